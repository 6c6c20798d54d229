"""Several models, one of them loaded at a time."""

import copy
import gc
import threading
import time
import weakref
from functools import cache

import pytest
from support.models import build_processor, build_random_model

from phi3v import Engine, GenerationError, Request, RequestError, Sampling, Turn
from phi3v.inference.model_choice import ModelChoice, Offer, name_offers


def ask(model=None, count=4, text="Hello"):
    return Request((Turn("user", text),), Sampling(max_new_tokens=count), model=model)


@cache
def build_model(name):
    return build_random_model(build_processor(), seed=ord(name), max_position_embeddings=8192)


class Loader:
    """Builds engines of random models by name and remembers, weakly, what it built."""

    def __init__(self):
        self.processor = build_processor()
        self.models = {name: build_model(name) for name in "abc"}
        self.built = []
        self.alive = []
        self.gate = threading.Event()
        self.gate.set()
        self.errors = {}
        self.counts = False

    def load(self, name):
        self.gate.wait()
        if self.counts:
            gc.collect()  # as load_checkpoint does
        self.alive.append([built for built, model in self.built if model() is not None])
        if name in self.errors:
            raise self.errors.pop(name)
        model = copy.deepcopy(self.models[name])
        self.built.append((name, weakref.ref(model)))
        return Engine(model, self.processor, name)


@pytest.fixture
def loader():
    loader = Loader()
    yield loader
    loader.gate.set()


def offer(loader, names="ab"):
    return ModelChoice({name: Offer(name, lambda name=name: loader.load(name)) for name in names})


def read(chunks):
    chunks = list(chunks)
    return "".join(chunk.text for chunk in chunks), chunks[-1].statistics


def test_the_first_is_loaded_at_once_and_the_others_when_they_are_asked(loader):
    choice = offer(loader)
    _, statistics = read(choice.stream(ask()))
    assert statistics.model == "a"
    assert [name for name, _ in loader.built] == ["a"]
    _, statistics = read(choice.stream(ask("b")))
    assert statistics.model == "b"
    assert choice.name == "b"
    _, statistics = read(choice.stream(ask()))  # who does not choose has the first
    assert statistics.model == "a"
    assert [name for name, _ in loader.built] == ["a", "b", "a"]


def test_a_model_gives_the_answer_that_it_gives_alone(loader):
    choice = offer(loader)
    for name in "ab":
        assert read(choice.stream(ask(name)))[0] == read(loader.load(name).stream(ask()))[0]


def test_one_is_freed_before_the_next_is_loaded(loader):
    loader.counts = True
    choice = offer(loader)
    for name in "aba":
        read(choice.stream(ask(name)))
    assert loader.alive == [[]] * 3


def test_a_request_waits_with_a_phase_until_its_model_is_loaded(loader):
    choice = offer(loader)
    read(choice.stream(ask("a")))
    loader.gate.clear()
    stream = choice.stream(ask("b"))
    phases = {next(stream).phase for _ in range(3)}
    assert phases == {"loading"}
    assert choice.is_loading
    loader.gate.set()
    _, statistics = read(stream)
    assert statistics.model == "b"


def test_a_model_is_not_replaced_while_it_answers(loader):
    choice = offer(loader)
    running = choice.stream(ask("a", count=200))
    while not next(running).text:
        pass
    other = choice.stream(ask("b"))
    chunk = next(other)
    assert (chunk.phase, chunk.number, chunk.total) == ("waiting", 1, 1)
    assert choice.name == "a"
    assert read(running)[1].new_tokens == 200
    assert read(other)[1].model == "b"


def test_a_request_behind_another_model_s_keeps_its_order(loader):
    """Or a busy model would never make way."""
    choice = offer(loader)
    running = choice.stream(ask("a", count=200))
    while not next(running).text:
        pass
    streams = [choice.stream(ask("b")), choice.stream(ask("a"))]
    assert [next(stream).number for stream in streams] == [1, 2]
    ended = []

    def finish(stream):
        ended.append(read(stream)[1].model)

    threads = [threading.Thread(target=finish, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    read(running)
    for thread in threads:
        thread.join()
    assert ended == ["b", "a"]


@pytest.mark.parametrize("way", ["stop", "close"])
def test_a_request_that_leaves_while_it_waits_makes_way(loader, way):
    choice = offer(loader)
    running = choice.stream(ask("a", count=2000))
    while not next(running).text:
        pass
    stop = threading.Event()
    leaving = choice.stream(ask("b"), stop)
    next(leaving)
    if way == "stop":
        stop.set()
        assert read_rest(leaving) == []
    else:
        leaving.close()
    assert read(choice.stream(ask("a")))[1].model == "a"
    running.close()
    assert [name for name, _ in loader.built] == ["a"]


def read_rest(stream):
    return [chunk.text for chunk in stream if chunk.text]


def test_a_model_that_fails_is_told_to_its_requests_and_tried_again_by_the_next(loader):
    loader.errors = {"b": RequestError("It needs 8.3 GB.")}
    choice = offer(loader)
    read(choice.stream(ask("a")))
    with pytest.raises(RequestError, match=r"8\.3 GB"):
        read(choice.stream(ask("b")))
    assert read(choice.stream(ask("b")))[1].model == "b"
    loader.errors = {"a": OSError("x")}
    with pytest.raises(GenerationError):
        read(choice.stream(ask("a")))
    assert read(choice.stream(ask("b")))[1].model == "b"


def test_a_model_that_is_not_offered_is_refused_with_those_that_are(loader):
    with pytest.raises(RequestError, match="no model 'c'; there is: a, b"):
        read(offer(loader).stream(ask("c")))


def test_many_requests_for_changing_models_are_all_answered(loader):
    choice = offer(loader)
    answers = []

    def run(name):
        answers.append(read(choice.stream(ask(name)))[1].model)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abbabaab"]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == sorted("abbabaab")


def test_folders_are_offered_by_their_last_part(tmp_path):
    for folder in ("one/mine", "two/mine"):
        (tmp_path / folder).mkdir(parents=True)
    names = (str(tmp_path / "one/mine"), "some/hub-id", str(tmp_path / "two/mine"), "embedded")
    offers = name_offers([Offer(name, lambda: None) for name in names])
    assert list(offers) == ["mine", "some/hub-id", "mine (2)", "embedded"]
    assert [offer.checkpoint for offer in offers.values()] == list(names)
