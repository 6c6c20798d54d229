"""Muon for the weight matrices, AdamW for everything else.

Muon (Jordan et al., 2024) orthogonalises each matrix's momentum with a Newton-Schulz iteration.
torch.optim.Muon iterates in bfloat16 only, which a CPU without bfloat16 units cannot afford.
"""

import torch
from torch import Tensor, nn

# Coefficients of the quintic iteration: K. Jordan, "Muon: an optimizer for hidden layers".
QUINTIC = (3.4445, -4.7750, 2.0315)
BETAS = (0.9, 0.98)
MOMENTUM = 0.95


def has_fast_bfloat16(device: torch.device) -> bool:
    """True if bfloat16 products are faster than float32 ones: a GPU, AMX units or AVX512-BF16."""
    cpu = torch.cpu
    return device.type == "cuda" or cpu._is_amx_tile_supported() or cpu._is_avx512_bf16_supported()


def orthogonalise(matrices: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """Bring the singular values of each matrix of a stack (N, rows, columns) near 1."""
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay; parameters are viewed as matrices.

    Matrices of one shape are updated as one stack: few large operations instead of many small.
    """

    def __init__(self, parameters: list, lr: float, weight_decay: float):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    stacks.setdefault(weight.flatten(1).shape, []).append(weight)
            for weights in stacks.values():
                self.update_stack(weights, group["lr"], group["weight_decay"])

    def update_stack(self, weights: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        """Update weights of one shape."""
        gradient = torch.stack([weight.grad.flatten(1) for weight in weights])
        for weight in weights:
            if "momentum" not in self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight.flatten(1))
        old = torch.stack([self.state[weight]["momentum"] for weight in weights])
        momentum = old.lerp_(gradient, 1 - MOMENTUM)
        update = gradient.lerp_(momentum, MOMENTUM)
        fast = torch.bfloat16 if has_fast_bfloat16(update.device) else torch.float32
        update = orthogonalise(update, fast)
        update *= -rate * max(1.0, update.shape[1] / update.shape[2]) ** 0.5
        torch._foreach_mul_(weights, 1 - rate * weight_decay)
        torch._foreach_add_(weights, [u.view_as(w) for u, w in zip(update, weights, strict=True)])
        for weight, new in zip(weights, momentum, strict=True):
            self.state[weight]["momentum"] = new


def build_optimizers(
    module: nn.Module,
    muon_rate: float,
    adam_rate: float,
    weight_decay: float,
    slower: nn.Module,
    factor: float,
) -> list[torch.optim.Optimizer]:
    """Return Muon for hidden matrices, AdamW for embeddings, separators, norms and biases.

    Parameters of the submodule `slower` get `factor` times the rates.
    """
    slow = {id(weight) for weight in slower.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, weight in module.named_parameters():
        hidden = weight.dim() in (2, 4) and "embed_tokens.weight" not in name
        hidden = hidden and "position_embedding" not in name and not name.endswith("_GN")
        if weight.requires_grad:
            groups.setdefault((hidden, id(weight) in slow), []).append(weight)
    muon, adam = [], []
    for (hidden, is_slow), weights in groups.items():
        rate = (muon_rate if hidden else adam_rate) * (factor if is_slow else 1.0)
        (muon if hidden else adam).append({"params": weights, "lr": rate})
    return [
        Muon(muon, lr=muon_rate, weight_decay=weight_decay),
        torch.optim.AdamW(adam, lr=adam_rate, betas=BETAS, weight_decay=0.0),
    ]
