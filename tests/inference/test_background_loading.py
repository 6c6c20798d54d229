"""The page is there before the network: who asks early waits, and learns why if it never comes."""

import threading

import pytest
from support.models import build_processor, build_random_model

from phi3v import Engine, GenerationError, Request, RequestError, Sampling, Turn
from phi3v.inference.background_loading import LoadingEngine
from phi3v.ui import words
from phi3v.ui.answering import make_stream, write_answer
from phi3v.ui.page import note_start

REQUEST = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=4))


@pytest.fixture
def gate():
    """Loading ends when it is set."""
    gate = threading.Event()
    yield gate
    gate.set()


def start(gate, outcome):
    """An engine that is being loaded until the gate opens; an error as outcome is raised."""

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


def test_a_request_that_comes_early_is_answered_once_the_network_is_there(gate, engine):
    starting = start(gate, engine)
    stream = starting.stream(REQUEST)
    assert next(stream).phase == "loading"
    assert starting.is_loading
    gate.set()
    chunks = [chunk for chunk in stream if chunk.phase != "loading"]
    assert chunks[-1].statistics.new_tokens == 4
    assert not starting.is_loading
    assert "".join(chunk.text for chunk in chunks) == "".join(
        chunk.text for chunk in engine.stream(REQUEST)
    )


@pytest.mark.parametrize(
    ("error", "expected"), [(RequestError("full"), RequestError), (OSError("x"), GenerationError)]
)
def test_what_prevents_loading_is_told_to_every_request(gate, error, expected):
    starting = start(gate, error)
    gate.set()
    for _ in range(2):
        with pytest.raises(expected) as caught:
            list(starting.stream(REQUEST))
        assert caught.value.__cause__ is error


def test_a_stop_ends_the_waiting(gate):
    stop = threading.Event()
    stream = start(gate, None).stream(REQUEST, stop)
    next(stream)
    stop.set()
    assert [chunk.text for chunk in stream] == []


def test_the_page_says_that_the_network_is_being_loaded(gate, engine):
    starting = start(gate, engine)
    pieces = write_answer(make_stream(starting, None), REQUEST)
    assert next(pieces) == ("", words.LOADING)
    assert note_start(starting) == words.LOADING_NOTE.format(name="random")
    gate.set()
    assert "4 new tokens" in list(pieces)[-1][1]
    assert note_start(starting).startswith("Answers come from **random** on cpu")


def test_the_page_says_why_no_network_comes(gate):
    fixable, other = (start(gate, error) for error in (RequestError("Disk full."), OSError("x")))
    gate.set()
    for starting in (fixable, other):
        with pytest.raises((RequestError, GenerationError)):
            list(starting.stream(REQUEST))
    assert note_start(fixable) == "**random** could not be loaded: Disk full."
    assert note_start(other) == f"**random** could not be loaded: {words.NOT_LOADED}"
