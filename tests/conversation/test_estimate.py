"""Estimates agree with what the engine then uses."""

import io
from dataclasses import replace

import pytest
import torch
from PIL import Image
from support.golden import golden_image
from support.models import build_processor, build_random_model

from phi3v import Engine, Request, Sampling, Statistics, Turn
from phi3v.conversation.estimate import estimate_details, estimate_request
from phi3v.conversation.prompt import build_prompt
from phi3v.conversation.throughput import Throughput
from phi3v.documents.images import MAX_PIXELS, measure_image, open_image
from phi3v.request import RequestError
from phi3v.tasks import DETAILS

WIDE, TALL = golden_image(640, 480), golden_image(300, 900)


@pytest.fixture(scope="module")
def engine():
    processor = build_processor()
    model = build_random_model(processor, seed=0, max_position_embeddings=4000)
    return Engine(model, processor, "random")


def ask(*images, text="What is this?", count=100, num_crops=None):
    return Request((Turn("user", text, images),), Sampling(max_new_tokens=count), num_crops)


@pytest.mark.parametrize("num_crops", [*DETAILS.values(), 7])
@pytest.mark.parametrize("images", [(), (WIDE,), (WIDE, TALL)])
def test_tokens_and_crops_are_those_of_the_prompt(engine, images, num_crops):
    request = ask(*images, num_crops=num_crops, count=1)
    try:
        prompt = build_prompt(request, engine.processor, engine.context_length)
    except RequestError:
        assert estimate_request(request, engine).room < 0
        return
    estimate = estimate_request(request, engine)
    assert estimate.prompt_tokens == prompt.prompt_tokens
    assert estimate.image_tokens == prompt.image_tokens
    assert estimate.num_crops == prompt.num_crops
    assert sum(picture.tokens for picture in estimate.pictures) == prompt.image_tokens


def test_every_detail_is_estimated(engine):
    estimates = estimate_details(ask(WIDE), engine)
    assert list(estimates) == ["fast", "balanced", "fine", "auto"]
    grids = [(e.pictures[0].rows, e.pictures[0].columns) for e in estimates.values()]
    assert grids == [(1, 1), (2, 2), (3, 4), (3, 4)]
    assert estimates["auto"].room == 4000 - 100 - estimates["auto"].prompt_tokens


def test_a_picture_too_elongated_for_one_crop_is_left_out_there(engine):
    estimates = estimate_details(ask(golden_image(4000, 3)), engine)
    assert "fast" not in estimates
    assert "fine" in estimates


def test_a_request_that_does_not_fit_names_a_detail_that_would(engine):
    estimate = estimate_request(ask(WIDE, WIDE, WIDE, num_crops=16), engine)
    assert estimate.room < 0
    assert "the context holds 4000. With detail balanced it takes" in estimate.problem


def test_a_request_that_fits_at_no_detail_names_the_longest_answer(engine):
    estimate = estimate_request(ask(WIDE, count=3900), engine)
    assert f"an answer of {4000 - estimate.prompt_tokens} tokens at most" in estimate.problem


def test_too_many_pictures_are_reported(engine):
    assert "fewer pictures" in estimate_request(ask(*[WIDE] * 13), engine).problem


def test_times_are_unknown_until_the_first_answer(engine):
    fresh = Engine(engine.model, engine.processor, "fresh")
    assert estimate_request(ask(), fresh).most_seconds is None
    list(fresh.stream(ask(count=4)))
    estimate = estimate_request(ask(), fresh)
    assert 0 < estimate.first_token_seconds < estimate.most_seconds


def test_the_kv_cache_s_memory_is_that_of_its_tokens(engine):
    ids = engine.processor("Hello")["input_ids"]
    with torch.inference_mode():
        cache = engine.model(input_ids=ids, use_cache=True).past_key_values
    needed = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    estimate = estimate_request(ask(), engine)
    tokens = estimate.prompt_tokens + estimate.max_new_tokens
    assert estimate.cache_bytes / tokens == needed / ids.shape[1]


def figures(**values):
    known = Statistics(100, 0, 10, 9.0, 50.0, "end", prompt_time=2.0)
    return replace(known, **values)


def test_throughput_is_the_median_without_queueing_and_cached_tokens():
    throughput = Throughput()
    for statistics in (figures(), figures(reused_tokens=50), figures(prompt_time=1.0)):
        throughput.record(statistics)
    assert throughput.prefill_seconds(100) == pytest.approx(2.0)
    assert throughput.decode_seconds(100) == pytest.approx(2.0)


def test_mostly_cached_prompts_do_not_count_towards_prefill_speed():
    throughput = Throughput()
    for cached in (0, 99, 99, 60):
        throughput.record(figures(reused_tokens=cached))
    assert throughput.prefill_seconds(100) == pytest.approx(2.0)


def test_an_answer_that_never_began_does_not_count_towards_throughput():
    throughput = Throughput()
    throughput.record(figures(prompt_time=0.0, tokens_per_second=0.0))
    assert throughput.prefill_seconds(1) is throughput.decode_seconds(1) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_measured_size_is_the_opened_picture_s(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    assert measure_image(path) == open_image(path).size


def test_measuring_refuses_what_opening_refuses(tmp_path):
    path = tmp_path / "poster.png"
    Image.new("1", (10_000, 7_000)).save(path)
    with pytest.raises(RequestError, match=f"the limit is {MAX_PIXELS:,}"):
        measure_image(path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(io.BytesIO(b"no picture").getvalue())
    with pytest.raises(RequestError, match="not a picture but a text file"):
        measure_image(broken)
    with pytest.raises(RequestError, match="is not there"):
        measure_image(tmp_path / "gone.png")
