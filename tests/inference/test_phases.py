"""Phases of an answer, image preparation in the queue, and stopping in each phase."""

import gc
import threading
import time
import weakref

import pytest
from support.golden import golden_image
from support.models import build_processor, build_random_model

from phi3v import Engine, Request, RequestError, Sampling, Turn
from phi3v.inference import image_preparation
from phi3v.inference.engine import PREPARED_AHEAD
from phi3v.inference.vision_cache import MAX_BATCH_CROPS, batch_images

PICTURES = [golden_image(40 + 7 * number, 30) for number in range(3)]
LAYERS = 2


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture
def engine(processor, monkeypatch):
    monkeypatch.setitem(MAX_BATCH_CROPS, "cpu", 1)  # images of one crop would share a pass
    return Engine(build_random_model(processor, seed=0), processor, name="random")


@pytest.fixture
def gates(engine):
    """Events that block the model's layers: of the vision tower, and of the decoder."""
    gates = Gates(engine)
    yield gates
    gates.tower.set()
    gates.decoder.set()


class Gates:
    """Counts the layers that begin; each then waits for its gate."""

    def __init__(self, engine):
        self.tower, self.decoder = threading.Event(), threading.Event()
        self.tower_layers = self.decoder_layers = 0
        model = engine.model.model
        tower = model.vision_embed_tokens.img_processor["vision_model"]
        for layer in tower.encoder.layers:
            layer.register_forward_pre_hook(self.pass_tower)
        for layer in model.layers:
            layer.register_forward_pre_hook(self.pass_decoder)

    def pass_tower(self, *_):
        self.tower_layers += 1
        self.tower.wait(30)

    def pass_decoder(self, *_):
        self.decoder_layers += 1
        self.decoder.wait(30)


def ask(*images, count=4, text="What is it?"):
    return Request((Turn("user", text, images),), Sampling(max_new_tokens=count), num_crops=1)


def wait_for(stream, phase, number=0):
    """Return the first chunk of this phase, of the image or queue position `number`."""
    for chunk in stream:
        if (chunk.phase, chunk.number) == (phase, number):
            return chunk
    raise AssertionError(f"{phase} {number} never came")


def wait_until(is_true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def text_of(stream):
    return "".join(chunk.text for chunk in stream)


def test_phases_are_reported_in_order_with_the_number_of_each_image(engine, gates):
    engine.vision_cache.prepare = slowly(engine.vision_cache.prepare, 0.3)
    stream = engine.stream(ask(*PICTURES))
    assert wait_for(stream, "preparing", 2).total == 3
    assert wait_for(stream, "encoding", 1).total == 3
    gates.tower.set()
    wait_for(stream, "prefill")
    gates.decoder.set()
    rest = list(stream)
    assert {chunk.phase for chunk in rest if chunk.text} == {"answering"}
    assert rest[-1].statistics.new_tokens == 4


def test_a_cached_image_is_not_encoded_again(engine, gates):
    gates.tower.set()
    gates.decoder.set()
    assert list(engine.stream(ask(PICTURES[0])))
    gates.tower.clear()
    stream = engine.stream(ask(*PICTURES[:2]))
    assert wait_for(stream, "encoding", 2).total == 2


def test_queued_requests_report_position_and_length_of_the_queue(engine, gates):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    streams = [engine.stream(ask()) for _ in range(3)]
    chunks = [next(stream) for stream in streams]
    assert [(chunk.phase, chunk.number) for chunk in chunks] == [
        ("waiting", number) for number in (1, 2, 3)
    ]
    streams[0].close()
    assert [(chunk.number, chunk.total) for chunk in map(next, streams[1:])] == [(1, 2), (2, 2)]
    gates.decoder.set()
    assert text_of(running) == text_of(streams[1]) == text_of(streams[2])


def test_a_stop_while_images_are_prepared_ends_before_the_next(engine):
    prepared = []
    prepare = slowly(engine.vision_cache.prepare, 0.3)
    engine.vision_cache.prepare = lambda *args, **kwargs: prepared.append(prepare(*args, **kwargs))
    stop = threading.Event()
    stream = engine.stream(ask(*PICTURES), stop)
    next(stream)
    stop.set()
    assert list(stream)[-1].statistics.finish_reason == "stopped"
    time.sleep(1)
    assert len(prepared) <= 2
    assert engine.vision_cache.encoded_images == 0


@pytest.mark.parametrize("way", ["stop", "close"])
def test_a_stop_while_an_image_is_encoded_ends_at_the_next_layer(engine, gates, way):
    stop = threading.Event()
    stream = engine.stream(ask(*PICTURES), stop)
    wait_for(stream, "encoding", 1)
    if way == "stop":
        stop.set()
        statistics = list(stream)[-1].statistics
        assert (statistics.finish_reason, statistics.new_tokens) == ("stopped", 0)
    stream.close()
    gates.tower.set()
    gates.decoder.set()
    assert list(engine.stream(ask()))[-1].statistics.new_tokens == 4
    assert gates.tower_layers <= 1
    assert engine.vision_cache.encoded_images <= 1


@pytest.mark.parametrize("way", ["stop", "close"])
def test_a_stop_during_prefill_ends_at_the_next_layer(engine, gates, way):
    gates.tower.set()
    stop = threading.Event()
    stream = engine.stream(ask(PICTURES[0]), stop)
    wait_for(stream, "prefill")
    wait_until(lambda: gates.decoder_layers == 1)
    if way == "stop":
        stop.set()
        assert list(stream)[-1].statistics.new_tokens == 0
    stream.close()
    gates.decoder.set()
    wait_until(lambda: engine._queue.position(None) == (0, 0))
    before = gates.decoder_layers
    assert list(engine.stream(ask()))[-1].statistics.new_tokens == 4
    assert before == 1
    assert gates.decoder_layers == 1 + LAYERS
    assert engine.new_tokens == 4


def test_a_question_gets_the_same_answer_after_it_was_stopped_before(engine, gates, processor):
    stop = threading.Event()
    stream = engine.stream(ask(*PICTURES), stop)
    wait_for(stream, "encoding", 1)
    stop.set()
    list(stream)
    gates.tower.set()
    gates.decoder.set()
    fresh = Engine(build_random_model(processor, seed=0), processor, name="random")
    assert text_of(engine.stream(ask(*PICTURES))) == text_of(fresh.stream(ask(*PICTURES)))


def test_images_of_the_next_in_the_queue_are_prepared_ahead(engine, gates):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    prepared = []
    prepare = engine.vision_cache.prepare
    engine.vision_cache.prepare = lambda image, *args, **kwargs: (
        prepared.append((threading.current_thread(), image.width))
        or prepare(image, *args, **kwargs)
    )
    streams = [engine.stream(ask(picture)) for picture in PICTURES]
    for stream in streams:
        next(stream)
    reader = threading.current_thread()
    assert prepared == [(reader, picture.width) for picture in PICTURES[:PREPARED_AHEAD]]
    streams[0].close()
    wait_for(streams[2], "waiting", 2)
    assert prepared[-1] == (reader, PICTURES[2].width)
    gates.tower.set()
    gates.decoder.set()
    for stream in (running, *streams[1:]):
        assert list(stream)[-1].statistics.new_tokens == 4
    assert len(prepared) == len(PICTURES)


def test_requests_further_back_in_the_queue_hold_no_pixels(engine, gates, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        PICTURES[0].save(path)
    opened = []
    streams = [engine.stream(ask())]
    wait_for(streams[0], "prefill")
    open_image = image_preparation.open_image

    def open_and_record(source):
        image = open_image(source)
        opened.append(weakref.ref(image))
        return image

    image_preparation.open_image = open_and_record
    try:
        for path in paths:
            streams.append(engine.stream(ask(path)))
            next(streams[-1])
    finally:
        image_preparation.open_image = open_image
    gc.collect()
    assert [image() is not None for image in opened] == [True, True, False, False]
    gates.tower.set()
    gates.decoder.set()
    texts = [text_of(stream) for stream in streams]
    assert texts[1] == texts[4]


def test_a_stop_in_the_queue_frees_the_images_at_once(engine, gates):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    prepared = []
    prepare = engine.vision_cache.prepare

    def record(*args, **kwargs):
        picture = prepare(*args, **kwargs)
        prepared.append(weakref.ref(picture))
        return picture

    engine.vision_cache.prepare = record
    stop = threading.Event()
    stopped, closed = engine.stream(ask(PICTURES[0]), stop), engine.stream(ask(PICTURES[1]))
    next(stopped), next(closed)
    stop.set()
    assert list(stopped)[-1].statistics.finish_reason == "stopped"
    closed.close()
    del stopped, closed
    gc.collect()
    assert [picture() for picture in prepared] == [None, None]
    assert engine._queue.position(None) == (0, 0)


def test_a_broken_image_is_refused_at_once_however_long_the_queue_is(engine, gates, tmp_path):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    queued = [engine.stream(ask()) for _ in range(PREPARED_AHEAD + 1)]
    for stream in queued:
        next(stream)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(RequestError, match=r"broken\.png"):
        next(engine.stream(ask(tmp_path / "broken.png")))
    assert engine._queue.position(None) == (0, PREPARED_AHEAD + 1)


def test_a_file_that_disappears_in_the_queue_is_reported(engine, gates, tmp_path):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    queued = [engine.stream(ask()) for _ in range(PREPARED_AHEAD)]
    for stream in queued:
        next(stream)
    path = tmp_path / "gone.png"
    PICTURES[0].save(path)
    last = engine.stream(ask(path))
    next(last)
    path.unlink()
    gates.tower.set()
    gates.decoder.set()
    with pytest.raises(RequestError, match=r"gone\.png is not there"):
        list(last)
    assert list(engine.stream(ask()))[-1].statistics.new_tokens == 4


def test_a_reader_that_pauses_does_not_block_others(engine, gates):
    running = engine.stream(ask())
    wait_for(running, "prefill")
    pausing = [engine.stream(ask(picture)) for picture in PICTURES]
    for stream in pausing:
        next(stream)
    last = engine.stream(ask())
    gates.tower.set()
    gates.decoder.set()
    assert list(last)[-1].statistics.new_tokens == 4


@pytest.mark.parametrize(
    ("num_crops", "most", "sizes"),
    [(1, 1, [1, 1, 1]), (1, 2, [2, 1]), (1, 17, [3]), (4, 7, [1, 2])],
)
def test_small_images_share_a_pass_up_to_a_number_of_crops(engine, num_crops, most, sizes):
    shapes = [(64, 64), (64, 32), (64, 32)]  # at num_crops 4: 5, 3 and 3 crops
    pictures = [engine.vision_cache.prepare(golden_image(*shape), num_crops) for shape in shapes]
    assert [len(group) for group in batch_images(pictures, most)] == sizes


def slowly(function, seconds):
    def slow(*args, **kwargs):
        time.sleep(seconds)
        return function(*args, **kwargs)

    return slow
