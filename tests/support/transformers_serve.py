"""`transformers serve` with the embedded checkpoint, in a process of its own.

The command looks its models up in transformers itself, and hands pictures to the chat template,
which the published one does not take: so it gets the class, and a template of the same format.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from support.golden import ROOT
from support.serving import find_free_port

from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER

# Each picture's tag before the text of its turn, numbered over all turns.
TEMPLATE = (
    "{% set count = namespace(value=0) %}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + '\\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{% set count.value = count.value + 1 %}"
    "{{ '<|image_' + count.value | string + '|>' + '\\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '<|end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' + '\\n' }}{% endif %}"
)
LAUNCH = "import sys; from support.transformers_serve import launch; launch(*sys.argv[1:])"


@contextmanager
def serve_transformers(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a copy of the embedded checkpoint in this folder; yield URL and model name."""
    copied = folder / "embedded"
    shutil.copytree(EMBEDDED_FOLDER, copied)
    (copied / "chat_template.jinja").write_text(TEMPLATE)
    url = f"http://127.0.0.1:{find_free_port()}"
    command = [sys.executable, "-c", LAUNCH, str(copied), url.rpartition(":")[2]]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=log, stderr=log, env=make_environment(folder)
    )
    try:
        wait_until_healthy(url, process, folder / "log")
        yield url, str(copied)
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def make_environment(folder: Path) -> dict[str, str]:
    """Return an environment with phi3v and this package, and an empty hub cache."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    cache = folder / "hub"
    cache.mkdir()
    return os.environ | {"PYTHONPATH": paths, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}


def wait_until_healthy(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait for the server to load its model."""
    end = time.monotonic() + 180
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def launch(folder: str, port: str) -> None:
    """Run the command with Phi-3-V among transformers' own models."""
    import transformers
    from transformers.cli.serve import Serve
    from transformers.models.auto import modeling_auto

    import phi3v

    transformers.Phi3VForCausalLM = phi3v.Phi3VForCausalLM
    # It hands over pictures by their addresses.
    preprocess = phi3v.Phi3VImageProcessor.preprocess
    phi3v.Phi3VImageProcessor.preprocess = lambda self, images, **options: preprocess(
        self, self.fetch_images(images), **options
    )
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES["phi3_v"] = "Phi3VForCausalLM"
    Serve(force_model=folder, port=int(port), host="127.0.0.1", device="cpu", dtype="float32")
