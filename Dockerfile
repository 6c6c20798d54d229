# Two targets: `cpu` and `cuda`. They differ in PyTorch alone: its CUDA build brings CUDA's libraries,
# and the driver's come from the host (NVIDIA Container Toolkit).
#   docker build --target cpu -t phi3v:cpu .
#   docker run -p 127.0.0.1:7860:7860 phi3v:cpu --model embedded
FROM python:3.12.12-slim-bookworm AS base

# Downloads of the hub, and whatever is kept beside them, are in the volume.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HOME=/cache/huggingface \
    GRADIO_TEMP_DIR=/tmp/gradio \
    PHI3V_HOST=0.0.0.0 \
    PHI3V_PORT=7860
RUN useradd --uid 1000 --create-home phi3v \
    && install --directory --owner=phi3v --group=phi3v /cache
WORKDIR /app
VOLUME /cache
EXPOSE 7860
# While the model is loaded, or downloaded, there is no answer yet: a quarter of an hour is not
# counted.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['PHI3V_PORT'] + '/health', timeout=4)"]
# As process 1 Python ends at SIGINT, and ignores SIGTERM.
STOPSIGNAL SIGINT
ENTRYPOINT ["python", "app.py"]

# PyTorch first: it is most of the image, and changes least.
FROM base AS cpu-packages
COPY requirements.txt requirements-mcp.txt ./
RUN grep '^torch' requirements.txt > torch.txt \
    && pip install --index-url https://download.pytorch.org/whl/cpu -r torch.txt
RUN pip install -r requirements.txt -r requirements-mcp.txt

FROM base AS cuda-packages
COPY requirements.txt requirements-mcp.txt requirements-quantize.txt ./
RUN grep '^torch' requirements.txt > torch.txt && pip install -r torch.txt
RUN pip install -r requirements.txt -r requirements-mcp.txt -r requirements-quantize.txt
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The app's files belong to root, so that the app cannot change them.
FROM cuda-packages AS cuda
COPY app.py LICENSE ./
COPY assets assets
COPY phi3v phi3v
USER 1000:1000

FROM cpu-packages AS cpu
COPY app.py LICENSE ./
COPY assets assets
COPY phi3v phi3v
USER 1000:1000
