"""A stand-in for CUDA graphs on a CPU: records operations with their tensors and replays them.

Replaying writes each result into the storage that the recording made, as a graph does. While
recording, whatever a capture on CUDA would refuse is an error: waiting for the device (`item`,
`nonzero`) and copies between types that allocate in every replay's place.
"""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FORBIDDEN = (
    "_local_scalar_dense",
    "aten.item.",
    "nonzero",
    "is_nonzero",
    "masked_select",
    "unique",
    "equal.",
)


class Recorder(TorchDispatchMode):
    """Runs operations and keeps them with their arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[tuple] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(name in str(function) for name in FORBIDDEN):
            raise RuntimeError(f"{function} cannot be captured")
        result = function(*args, **(kwargs or {}))
        self.tape.append((function, args, kwargs or {}, result))
        return result


class Graph:
    """What was recorded."""

    made = 0

    def __init__(self) -> None:
        self.tape: list[tuple] = []
        Graph.made += 1

    def replay(self) -> None:
        """Run everything again, into the same storages."""
        for function, args, kwargs, result in self.tape:
            inputs = {storage(one) for one in tensors((args, kwargs))}
            old = tensors(result)
            is_view = old and all(storage(one) in inputs for one in old)
            if is_view and not function._schema.is_mutable:
                continue
            for kept, new in zip(old, tensors(function(*args, **kwargs)), strict=True):
                if storage(kept) != storage(new):
                    kept.copy_(new)


def tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@contextmanager
def capture(graph: Graph, pool: object = None, capture_error_mode: str = ""):
    with Recorder() as recorder:
        yield
    graph.tape = recorder.tape


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let phi3v.model.cuda_graphs capture on a CPU."""
    from phi3v.model import cuda_graphs

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(cuda_graphs, "can_capture", lambda device: True)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda one: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
