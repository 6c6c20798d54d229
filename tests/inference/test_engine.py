import threading
import time

import pytest
import torch
from support.golden import golden_image
from support.models import WrappedModel, build_processor, build_random_model

from phi3v import Engine, GenerationError, Request, Sampling, Turn
from phi3v.conversation.engine_protocol import BrokenWeightsError
from phi3v.request import RequestError


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    return build_random_model(processor, seed=0, max_position_embeddings=8192)


class SlowModel(WrappedModel):
    """A model that waits after every token."""

    def __init__(self, model, seconds):
        super().__init__(model)
        self.seconds = seconds

    def generate(self, *args, stopping_criteria=(), **kwargs):
        def wait(input_ids, scores):
            time.sleep(self.seconds)
            return torch.zeros(len(input_ids), dtype=torch.bool)

        return self.model_behind.generate(
            *args, stopping_criteria=type(stopping_criteria)([wait, *stopping_criteria]), **kwargs
        )


@pytest.fixture
def engine(model, processor):
    return Engine(model, processor, name="random")


@pytest.fixture
def slow_engine(model, processor):
    return Engine(SlowModel(model, 0.02), processor, name="slow")


def ask(text="Hello", count=8, **sampling):
    turns = (Turn("user", text),)
    return Request(turns, Sampling(max_new_tokens=count, **sampling))


def answer(engine, request):
    """Return the whole text and the statistics."""
    chunks = list(engine.stream(request))
    assert all(chunk.statistics is None for chunk in chunks[:-1])
    return "".join(chunk.text for chunk in chunks), chunks[-1].statistics


def wait_until(is_true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def test_the_streamed_text_is_that_of_generate(engine, model, processor):
    text, statistics = answer(engine, ask(count=12))
    inputs = processor("<|user|>\nHello<|end|>\n<|assistant|>\n")
    ids = model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)
    prompt_length = inputs["input_ids"].shape[1]
    assert text == processor.tokenizer.decode(ids[0, prompt_length:], skip_special_tokens=True)
    assert statistics.prompt_tokens == prompt_length
    assert statistics.image_tokens == 0
    assert statistics.new_tokens == 12
    assert statistics.finish_reason == "length"
    assert statistics.time_to_first_token > 0
    assert statistics.tokens_per_second > 0


@pytest.mark.parametrize("token", ["<|end|>", "<|endoftext|>", "</s>"])
def test_an_answer_ends_at_each_of_the_stop_tokens(engine, model, processor, token):
    wanted = processor.tokenizer.convert_tokens_to_ids(token)
    assert wanted in engine.stop_token_ids()

    class EndingModel(WrappedModel):
        def generate(self, *args, **kwargs):
            def prefer(input_ids, scores):
                scores[:, wanted] = 1e9 if len(input_ids[0]) > 20 else -1e9
                return scores

            return self.model_behind.generate(*args, logits_processor=[prefer], **kwargs)

    ending = Engine(EndingModel(model), processor, name="ending")
    _, statistics = answer(ending, ask(count=50))
    assert statistics.finish_reason == "end"
    assert statistics.new_tokens < 50


def test_closing_the_stream_ends_generate_within_one_token(slow_engine):
    stream = slow_engine.stream(ask(count=500))
    wait_until(lambda: next(stream) and slow_engine.new_tokens >= 5)
    stream.close()
    at_close = slow_engine.new_tokens
    time.sleep(0.2)
    assert slow_engine.new_tokens <= at_close + 1
    assert answer(slow_engine, ask(count=3))[1].new_tokens == 3


def test_closing_does_not_wait_for_the_model(model, processor):
    slow = Engine(SlowModel(model, 1.0), processor, name="very slow")
    stream = slow.stream(ask(count=5))
    next(stream)
    began = time.perf_counter()
    stream.close()
    assert time.perf_counter() - began < 0.5


def test_a_stop_ends_generate_within_one_token_and_still_gives_statistics(slow_engine):
    stop = threading.Event()
    stream = slow_engine.stream(ask(count=500), stop)
    wait_until(lambda: next(stream) and slow_engine.new_tokens >= 5)
    stop.set()
    at_stop = slow_engine.new_tokens
    statistics = list(stream)[-1].statistics
    assert statistics.finish_reason == "stopped"
    assert statistics.new_tokens <= at_stop + 1
    assert slow_engine.new_tokens == statistics.new_tokens


def test_a_stop_in_the_queue_ends_at_once(slow_engine):
    running = slow_engine.stream(ask(count=500))
    next(running)
    stop = threading.Event()
    queued = slow_engine.stream(ask(), stop)
    next(queued)
    stop.set()
    statistics = list(queued)[-1].statistics
    assert (statistics.finish_reason, statistics.new_tokens) == ("stopped", 0)
    running.close()


def test_an_error_in_the_thread_reaches_the_reader_with_its_cause(model, processor):
    class BreakingModel(WrappedModel):
        is_broken = True

        def generate(self, *args, **kwargs):
            if self.is_broken:
                raise MemoryError("no room")
            return self.model_behind.generate(*args, **kwargs)

    breaking = BreakingModel(model)
    engine = Engine(breaking, processor, name="breaking")
    with pytest.raises(GenerationError, match="no room") as caught:
        list(engine.stream(ask()))
    assert isinstance(caught.value.__cause__, MemoryError)
    breaking.is_broken = False
    assert answer(engine, ask(count=3))[1].new_tokens == 3


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), RuntimeError("CUDA error: an assert")],
)
def test_whatever_is_thrown_in_the_thread_reaches_the_reader_in_words(model, processor, error):
    class BreakingModel(WrappedModel):
        is_broken = True

        def generate(self, *args, **kwargs):
            if self.is_broken:
                raise error
            return self.model_behind.generate(*args, **kwargs)

    breaking = BreakingModel(model)
    engine = Engine(breaking, processor, name="breaking")
    with pytest.raises(GenerationError, match=type(error).__name__):
        list(engine.stream(ask()))
    breaking.is_broken = False
    assert answer(engine, ask(count=3))[1].new_tokens == 3


def test_a_device_that_fails_while_memory_is_freed_leaves_no_reader_waiting(model, processor):
    class FullModel(WrappedModel):
        def generate(self, *args, **kwargs):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    engine = Engine(FullModel(model), processor, name="full")
    engine.clear_caches = lambda: 1 / 0
    with pytest.raises(GenerationError, match="ZeroDivisionError"):
        list(engine.stream(ask()))


@pytest.mark.parametrize("part", ["lm_head", "model.layers.0", "model.vision_embed_tokens"])
def test_weights_that_are_no_numbers_are_told_by_the_first_logits(processor, part):
    model = build_random_model(processor, seed=0)
    with torch.no_grad():
        next(model.get_submodule(part).parameters()).fill_(float("nan"))
    engine = Engine(model, processor, name="nan/folder")
    picture = golden_image(40, 30)
    with pytest.raises(BrokenWeightsError, match="folder are damaged"):
        list(engine.stream(Request((Turn("user", "?", (picture,)),), Sampling(4), num_crops=1)))


def test_requests_are_answered_one_at_a_time_in_order_of_arrival(slow_engine):
    finished = []

    def read(number, stream):
        list(stream)
        finished.append(number)

    readers = []
    for number in range(5):
        stream = slow_engine.stream(ask(count=25))
        next(stream)  # it is queued from here on
        readers.append(threading.Thread(target=read, args=(number, stream)))
    for reader in reversed(readers):
        reader.start()
    for reader in readers:
        reader.join(timeout=30)
    assert finished == [0, 1, 2, 3, 4]
    assert slow_engine.new_tokens == 125


def test_simultaneous_requests_get_the_answers_of_separate_ones(engine):
    texts = [f"Question {number}" for number in range(8)]
    alone = [answer(engine, ask(text))[0] for text in texts]
    together = [""] * len(texts)

    def read(index):
        together[index] = answer(engine, ask(texts[index]))[0]

    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert together == alone


def test_a_seed_reproduces_a_random_answer(engine):
    first, again, other = (
        answer(engine, ask(count=20, temperature=1.5, seed=seed))[0] for seed in (7, 7, 8)
    )
    assert first == again != other


def test_a_conversation_longer_than_the_context_is_refused_before_any_work(engine):
    with pytest.raises(RequestError, match=r"\d{5} tokens.*answer may take 8.*holds 8192"):
        next(engine.stream(ask("word " * 9000)))
    assert engine.new_tokens == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p is 0"),
    ],
)
def test_sampling_out_of_range_is_refused(settings, message):
    with pytest.raises(RequestError, match=message):
        Sampling(**settings)


def test_a_small_model_prefills_with_all_threads_and_decodes_with_one(engine, monkeypatch):
    if not engine.decodes_on_one_thread:
        pytest.skip("only on a CPU")
    engine.threads = 3
    forward, seen = engine.model.forward, []

    def count_threads(*args, **kwargs):
        seen.append(torch.get_num_threads())
        return forward(*args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", count_threads)
    for _ in range(2):
        seen.clear()
        answer(engine, ask(count=4))
        assert seen[0] == 3
        assert len(seen) > 1
        assert set(seen[1:]) == {1}
