"""Running out of memory: reported with advice, caches freed, the next request answered."""

import pytest
import torch
from support.golden import golden_image
from support.models import build_processor, build_random_model

from phi3v import Engine, GenerationError, Request, RequestError, Sampling, Turn
from phi3v.inference.memory import describe_shortage, is_shortage, read_peak

CUDA_MESSAGE = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 7 GiB"
CPU_MESSAGE = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 400 bytes."
REQUEST = Request((Turn("user", "What is it?", (golden_image(40, 30),)),), Sampling(4), 1)


@pytest.fixture
def engine():
    processor = build_processor()
    return Engine(build_random_model(processor, seed=0), processor, name="random")


def fail_once(engine, error):
    """Let the model's next forward pass raise an error."""

    def raise_it(module, *args):
        hook.remove()
        raise error

    hook = engine.model.model.layers[1].register_forward_pre_hook(raise_it)


def answer(engine):
    return "".join(chunk.text for chunk in engine.stream(REQUEST))


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (torch.OutOfMemoryError(CUDA_MESSAGE), "2.50 GiB more were needed"),
        (RuntimeError(CPU_MESSAGE), "400 bytes more were needed"),
        (torch.OutOfMemoryError("out of memory"), "more was needed than there is"),
    ],
)
def test_a_shortage_is_reported_and_the_next_request_is_answered(engine, error, needed):
    expected = answer(engine)
    engine.clear_caches()
    fail_once(engine, error)
    with pytest.raises(RequestError, match=rf"memory of cpu: {needed}.* GB are free") as caught:
        answer(engine)
    for flag in ("--num-crops", "--max-new-tokens", "--reuse-memory", "--quantize"):
        assert flag in str(caught.value)
    assert answer(engine) == expected


def test_a_shortage_clears_the_caches(engine):
    answer(engine)
    assert len(engine.prefix_cache._prefixes) == 1
    fail_once(engine, torch.OutOfMemoryError(CUDA_MESSAGE))
    with pytest.raises(RequestError):
        answer(engine)
    assert len(engine.prefix_cache._prefixes) == len(engine.vision_cache._features) == 0
    assert engine.prefix_cache._prefixes.currsize == engine.vision_cache._features.currsize == 0


def test_another_error_is_no_shortage(engine):
    assert not is_shortage(RuntimeError("shapes do not match"))
    fail_once(engine, RuntimeError("shapes do not match"))
    with pytest.raises(GenerationError, match="shapes do not match"):
        answer(engine)


def test_peak_memory_is_reported_for_gpus_only(engine):
    assert read_peak(torch.device("cpu")) is None
    assert list(engine.stream(REQUEST))[-1].statistics.peak_memory is None
    assert "9 bytes more" in describe_shortage("tried to allocate 9 bytes", engine.device)
