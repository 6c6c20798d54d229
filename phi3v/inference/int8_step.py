"""Products of one token with 8-bit weights, without waiting for the device.

bitsandbytes looks for outliers among the activations of every product, and the computer waits for
that answer before it launches the next: four times in each layer of each decode step. Here a fixed
number of the largest activations is never rounded to 8 bits. Imports bitsandbytes.
"""

import torch
from bitsandbytes.functional import int8_vectorwise_quant
from bitsandbytes.nn import Linear8bitLt
from torch import nn

# Activations of a token that are not rounded to 8 bits: the largest. Models of up to 13 billion
# parameters have at most 7 outlier features (LLM.int8(), arXiv 2208.07339); 16 columns of a matrix
# of bytes, read in sectors of 32, are a sixth of all 3,072. The time was not measured.
OUTLIERS = 16


class TokenLinear8bit(Linear8bitLt):
    """A Linear8bitLt whose products of a single token need no answer from the device."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply (..., D) by the weights: (..., O)."""
        if x.numel() != x.shape[-1]:
            return super().forward(x)
        if self.weight.CB is not None:
            self.init_8bit_state()
        states = multiply_token(x.reshape(1, -1), self.state.CB, self.state.SCB)
        return (states if self.bias is None else states + self.bias).view(*x.shape[:-1], -1)


def multiply_token(
    states: torch.Tensor, weights: torch.Tensor, scales: torch.Tensor
) -> torch.Tensor:
    """Multiply one token, (1, D), by weights of 8 bits, (O, D): (1, O) in the token's type.

    Row o of the weights stands for weights[o] * scales[o] / 127.
    """
    columns = states.abs().topk(min(OUTLIERS, states.shape[1])).indices[0]
    rest = states.index_fill(1, columns, 0).to(torch.float16)
    rounded, scale, _ = int8_vectorwise_quant(rest)  # a threshold of 0: it looks for no outliers
    # The largest ones in float32: their sum is rounded once, as in a product of whole matrices.
    outliers = states[:, columns].float() @ weights[:, columns].float().t() * (scales / 127)
    product = torch.ops.bitsandbytes.int8_scaled_mm.default(
        rounded, weights, scale, scales, dtype=torch.float16
    )
    return (product.float() + outliers).to(states.dtype)


def decode_without_waiting(model: nn.Module) -> None:
    """Let a model's Linear8bitLt layers multiply single tokens by `multiply_token`."""
    for module in model.modules():
        if type(module) is Linear8bitLt:
            module.__class__ = TokenLinear8bit
