"""Stage 1: the card, the versions, what its memory and products reach, attention backends."""

import platform
import subprocess
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec

import torch
import transformers
from torch.nn.attention import SDPBackend

from benchmarks.gpu.context import Context, build_small, open_engine
from benchmarks.gpu.measuring import measure_product
from benchmarks.gpu.report import Row, needs_cuda

STAGE = "environment"
PRODUCT_SIDE = 8192
OPTIONAL = ("bitsandbytes", "accelerate", "flash_attn")
# Heads, queries, keys, width, whether causal, whether masked: as the published sizes call
# attention. The tower's batch of 13 is the crops of a 1344 x 1008 picture.
CALLS = {
    "tower": (13, 16, 577, 577, 64, False, False),
    "prefill": (1, 32, 2048, 2048, 96, True, False),
    "prefill behind a prefix": (1, 32, 512, 2048, 96, False, True),
    "step, eager": (1, 32, 1, 2048, 96, False, False),
    "step, masked": (1, 32, 1, 2048, 96, False, True),
}


def describe(context: Context) -> dict[str, object]:
    """Return card, driver, versions and date: what figures are quoted with."""
    about: dict[str, object] = {
        "card": platform.processor() or platform.machine(),
        "device": str(context.device),
        "dtype": str(context.dtype).removeprefix("torch."),
        "layers": context.layers,
        "small": context.small,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": str(date.today()),
    }
    if context.is_cuda:
        properties = torch.cuda.get_device_properties(context.device)
        about |= {
            "card": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory": properties.total_memory,
            "driver": read_driver(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return about | {name: "installed" for name in OPTIONAL if find_spec(name)}


def read_driver() -> str:
    """Return the version of the driver as nvidia-smi prints it; "unknown" without one."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip().partition("\n")[0]


def environment(context: Context) -> Iterator[Row]:
    """Print what the other stages' figures depend on."""
    for name, value in describe(context).items():
        yield Row(STAGE, name, str(value))
    yield Row(STAGE, "copy bandwidth, read plus written", context.bandwidth / 1e9, "GB/s")
    side = PRODUCT_SIDE if context.is_cuda else 512
    rate = measure_product(context.device, context.dtype, side)
    yield Row(STAGE, f"product of {side} x {side}", rate / 1e12, "TFLOP/s")
    if not context.is_cuda:
        yield needs_cuda(STAGE, "attention backends")
        return
    # An engine chooses backends for the process, if it does; the tiny one is made at once.
    open_engine(build_small(context.device, context.dtype))
    for name, call in CALLS.items():
        yield Row(STAGE, f"attention backend, {name}", choose_backend(context, *call))


def choose_backend(
    context: Context,
    rows: int,
    heads: int,
    queries: int,
    keys: int,
    width: int,
    is_causal: bool,
    is_masked: bool,
) -> str:
    """Return the name of the backend that PyTorch takes for a call of this shape."""
    device, dtype = context.device, context.dtype
    query = torch.empty(rows, heads, queries, width, device=device, dtype=dtype)
    key, value = torch.empty(2, rows, heads, keys, width, device=device, dtype=dtype)
    mask = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=device) if is_masked else None
    chosen = torch._fused_sdp_choice(query, key, value, mask, 0.0, is_causal)
    return str(SDPBackend(chosen).name)
