"""Linear layers of 8-bit and 4-bit weights on a CPU, and the conversion of a weight for them.

Knows one matrix at a time; knows nothing of the model or of files. Legend: N outputs, K inputs, B
blocks of weights that share a scale, T tokens.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

Backend = Literal["bitsandbytes", "onnxruntime"]

# Weights that share a scale. 64 is what bitsandbytes takes and as accurate in onnxruntime.
BLOCK_SIZE = 64
BITS = {"8bit": 8, "4bit": 4}
# MatMulNBits multiplies in int8, with the inputs rounded by blocks: the fastest on every processor.
INT8_ACCURACY = 4
# Rows converted at once: bitsandbytes compares each weight with all 16 values in float32.
ROWS_AT_ONCE = 256


class OnnxLinear(nn.Module):
    """MatMulNBits of onnxruntime: 4 or 8 bits in blocks, fast with AVX2, AVX512, VNNI and NEON."""

    def __init__(self, tensors: dict[str, torch.Tensor], in_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(tensors["weight"])
        self.session = build_session(tensors["weight"], tensors["scales"], in_features)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the layer: (..., K) -> (..., N), in the states' number format."""
        rows = states.reshape(-1, self.in_features).float().numpy()  # (T, K)
        (output,) = self.session.run(None, {"states": rows})
        return torch.from_numpy(output).to(states.dtype).view(*states.shape[:-1], self.out_features)


class BitsAndBytesLinear(nn.Module):
    """NF4 of bitsandbytes: 4 bits in blocks, by its kernel for AVX512-BF16."""

    def __init__(self, tensors: dict[str, torch.Tensor], in_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(tensors["weight"])
        self.register_buffer("weight", tensors["weight"])  # (N, K / 2)
        self.register_buffer("absmax", tensors["scales"])  # (K / 64, N)
        self.register_buffer("code", import_bitsandbytes().functional.get_4bit_type("nf4", "cpu"))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the layer: (..., K) -> (..., N); it computes in bfloat16."""
        shape = [self.out_features, self.in_features]
        product = torch.ops.bitsandbytes.gemv_4bit  # despite its name for any number of rows
        return product(states, self.weight, shape, self.absmax, self.code, BLOCK_SIZE)


def build_linear(
    tensors: dict[str, torch.Tensor], in_features: int, backend: Backend
) -> OnnxLinear | BitsAndBytesLinear:
    """Return the layer of a converted weight: "weight" and "scales" as convert_weight made them."""
    layer = OnnxLinear if backend == "onnxruntime" else BitsAndBytesLinear
    return layer(tensors, in_features)


def convert_weight(
    weight: torch.Tensor, quantize: str, backend: Backend
) -> dict[str, torch.Tensor]:
    """Convert a weight (N, K) to the backend's "weight" and "scales".

    Rows are converted by as many threads as PyTorch has, each alone: with both in every one of
    these small operations it took 2 to 12 times as long.
    """
    convert = (
        convert_rows_for_bitsandbytes
        if backend == "bitsandbytes"
        else partial(convert_rows_for_onnx, bits=BITS[quantize])
    )
    scales_dim = 1 if backend == "bitsandbytes" else 0
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        weights, scales = zip(*pool.map(convert, weight.split(ROWS_AT_ONCE)), strict=True)
    return {"weight": torch.cat(weights), "scales": torch.cat(scales, dim=scales_dim)}


def convert_rows_for_onnx(rows: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert rows (N, K) to numbers (N, B, 64 * bits / 8) without sign, and scales (N, B).

    The weight of largest magnitude in a block becomes the most negative number, -8 or -128, which
    has no positive counterpart; so the whole range is used.
    """
    middle = 2 ** (bits - 1)
    missing = -rows.shape[1] % BLOCK_SIZE
    padded = functional.pad(rows.to(torch.float32, copy=True), (0, missing))
    blocks = padded.unflatten(1, (-1, BLOCK_SIZE))  # (N, B, 64)
    low, high = blocks.aminmax(dim=2, keepdim=True)  # (N, B, 1)
    scales = torch.where(high > -low, high, low) / -middle
    divisors = torch.where(scales == 0, 1.0, scales)
    numbers = blocks.div_(divisors).round_().add_(middle).clamp_(0, 2 * middle - 1)
    numbers = numbers.to(torch.uint8)
    if bits == 4:
        numbers = numbers[..., 0::2] | numbers[..., 1::2] << 4
    return numbers, scales[..., 0]


def convert_rows_for_bitsandbytes(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert rows (N, K), N a multiple of 32, to weight (N, K / 2) and scales (K / 64, N).

    That is the order in which bitsandbytes' own layer arranges them at its first product.
    """
    bitsandbytes = import_bitsandbytes()
    height, width = rows.shape
    layer = bitsandbytes.nn.Linear4bit(
        width, height, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4", device="meta"
    )
    layer.weight = bitsandbytes.nn.Params4bit(
        rows.to(torch.bfloat16),
        requires_grad=False,
        quant_type="nf4",
        blocksize=BLOCK_SIZE,
        compress_statistics=False,
    ).to("cpu")
    with torch.inference_mode():
        layer.eval()(torch.zeros(1, width, dtype=torch.bfloat16))
    return layer.weight.data.clone(), layer.weight.quant_state.absmax.clone()


@cache
def import_bitsandbytes() -> Any:
    """Import bitsandbytes without its warning that the optional package `kernels` is missing."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    import bitsandbytes

    return bitsandbytes


def build_session(weight: torch.Tensor, scales: torch.Tensor, in_features: int) -> Any:
    """Return an onnxruntime session of one product: "states" (T, K) in float32 times a weight.

    weight is (N, B, 64 * bits / 8) and scales (N, B). The session has a copy of its own.
    """
    import onnx
    import onnxruntime

    share_threads()
    float32 = onnx.TensorProto.FLOAT
    height, _, block_bytes = weight.shape
    product = onnx.helper.make_node(
        "MatMulNBits",
        ["states", "weight", "scales"],
        ["output"],
        domain="com.microsoft",
        K=in_features,
        N=height,
        bits=8 * block_bytes // BLOCK_SIZE,
        block_size=BLOCK_SIZE,
        accuracy_level=INT8_ACCURACY,
    )
    graph = onnx.helper.make_graph(
        [product],
        "linear",
        [onnx.helper.make_tensor_value_info("states", float32, ["tokens", in_features])],
        [onnx.helper.make_tensor_value_info("output", float32, ["tokens", height])],
        [
            onnx.numpy_helper.from_array(weight.numpy(), "weight"),
            onnx.numpy_helper.from_array(scales.numpy(), "scales"),
        ],
    )
    versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    options.enable_cpu_mem_arena = False  # or each of 128 sessions would keep its largest output
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@cache
def share_threads() -> None:
    """Give all sessions of the process one pool, of as many threads as PyTorch has."""
    import onnxruntime

    onnxruntime.set_global_thread_pool_sizes(torch.get_num_threads(), 1)
