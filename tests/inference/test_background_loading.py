"""Loading in the background: early requests wait for it, and raise its error if it fails."""

import threading

import pytest
from support.models import build_processor, build_random_model

from phi3v import Engine, GenerationError, Request, RequestError, Sampling, Turn
from phi3v.inference.background_loading import LoadingEngine
from phi3v.ui import words
from phi3v.ui.answering import make_stream, write_answer
from phi3v.ui.page import describe_engine

REQUEST = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=4))


@pytest.fixture
def gate():
    """An event that ends loading."""
    gate = threading.Event()
    yield gate
    gate.set()


def start(gate, outcome):
    """Return an engine that loads until the gate is set; an outcome that is an error is raised."""

    def load():
        gate.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return LoadingEngine(load, name="random")


@pytest.fixture(scope="module")
def engine():
    processor = build_processor()
    return Engine(build_random_model(processor, seed=0), processor, name="random")


def test_an_early_request_is_answered_once_the_model_is_loaded(gate, engine):
    loading = start(gate, engine)
    stream = loading.stream(REQUEST)
    assert next(stream).phase == "loading"
    assert loading.is_loading
    gate.set()
    chunks = [chunk for chunk in stream if chunk.phase != "loading"]
    assert chunks[-1].statistics.new_tokens == 4
    assert not loading.is_loading
    assert "".join(chunk.text for chunk in chunks) == "".join(
        chunk.text for chunk in engine.stream(REQUEST)
    )


@pytest.mark.parametrize(
    ("error", "expected"), [(RequestError("full"), RequestError), (OSError("x"), GenerationError)]
)
def test_an_error_in_loading_is_raised_for_every_request(gate, error, expected):
    loading = start(gate, error)
    gate.set()
    for _ in range(2):
        with pytest.raises(expected) as caught:
            list(loading.stream(REQUEST))
        assert caught.value.__cause__ is error


def test_a_stop_ends_waiting_for_the_model(gate):
    stop = threading.Event()
    stream = start(gate, None).stream(REQUEST, stop)
    next(stream)
    stop.set()
    assert [chunk.text for chunk in stream] == []


def test_the_page_says_that_the_model_is_loading(gate, engine):
    loading = start(gate, engine)
    pieces = write_answer(make_stream(loading, None), REQUEST)
    assert next(pieces) == ("", words.LOADING)
    assert describe_engine(loading) == words.LOADING_NOTE.format(name="random")
    gate.set()
    assert "4 new tokens" in list(pieces)[-1][1]
    assert describe_engine(loading).startswith("Answers come from **random** on cpu")


def test_the_page_says_why_loading_failed(gate):
    fixable, other = (start(gate, error) for error in (RequestError("Disk full."), OSError("x")))
    gate.set()
    for loading in (fixable, other):
        with pytest.raises((RequestError, GenerationError)):
            list(loading.stream(REQUEST))
    assert describe_engine(fixable) == "**random** could not be loaded: Disk full."
    assert describe_engine(other) == f"**random** could not be loaded: {words.NOT_LOADED}"
