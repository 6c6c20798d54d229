"""Cached and uncached answers are equal, whatever users do with a conversation."""

import os
import random

import numpy as np
import pytest
from support.conversations import (
    EDGE,
    PICTURES,
    answer,
    build_precise_model,
    build_small_processor,
    change_conversation,
)

from phi3v import Engine, Turn
from phi3v.inference.prefix_cache import count_common
from phi3v.inference.vision_cache import VisionCache

CONVERSATIONS = int(os.environ.get("PHI3V_TEST_CONVERSATIONS", "40"))


@pytest.fixture(scope="module")
def processor():
    return build_small_processor()


@pytest.fixture(scope="module")
def model(processor):
    return build_precise_model(processor)


def build_engine(model, processor, reuse_bytes):
    return Engine(model, processor, "random", reuse_bytes=reuse_bytes)


def test_random_conversations_get_the_answers_of_an_engine_without_caches(model, processor):
    cached = build_engine(model, processor, 3_000_000)  # holds some conversations, not all
    plain = build_engine(model, processor, 0)
    reused = crossed = 0
    for seed in range(CONVERSATIONS):
        rng = random.Random(seed)
        conversations: list[list[Turn]] = [[], []]
        for _ in range(4):
            which = rng.randrange(2)  # two users, taking turns
            turns = change_conversation(rng, conversations[which])
            if rng.random() < 0.2:
                answer(cached, turns, count=40, stop_after=rng.randint(1, 5))
            text, statistics = answer(cached, turns)
            expected, plain_statistics = answer(plain, turns)
            assert text == expected, f"conversation {seed}"
            assert plain_statistics.reused_tokens == 0
            reused += statistics.reused_tokens
            crossed += statistics.prompt_tokens <= EDGE < statistics.prompt_tokens + 12
            conversations[which] = [*turns, Turn("assistant", text)]
    assert reused > 0
    assert crossed > 0
    assert cached.vision_cache.encoded_images < plain.vision_cache.encoded_images


def test_a_second_question_computes_only_its_new_tokens(model, processor):
    engine = build_engine(model, processor, 10**8)
    turns = [Turn("user", "What is it?")]
    text, first = answer(engine, turns)
    assert first.reused_tokens == 0
    turns += [Turn("assistant", text), Turn("user", "Why?")]
    _, second = answer(engine, turns)
    assert second.reused_tokens >= first.prompt_tokens


def test_a_repeated_request_computes_one_token_of_the_prompt(model, processor):
    engine = build_engine(model, processor, 10**8)
    turns = [Turn("user", "What is it?", (PICTURES[0],))]
    first, _ = answer(engine, turns)
    again, statistics = answer(engine, turns)
    assert statistics.reused_tokens == statistics.prompt_tokens - 1
    assert again == first


def test_the_same_image_with_another_question_is_not_computed_again(model, processor):
    engine = build_engine(model, processor, 10**8)
    answer(engine, [Turn("user", "Describe this.", (PICTURES[0],))])
    _, statistics = answer(engine, [Turn("user", "Read this.", (PICTURES[0],))])
    assert statistics.reused_tokens > 313


def test_adding_an_image_to_a_chat_encodes_one_image(model, processor):
    engine = build_engine(model, processor, 10**8)
    turns = [Turn("user", "What is it?", (PICTURES[0],))]
    text, _ = answer(engine, turns)
    turns += [Turn("assistant", text), Turn("user", "And this?", (PICTURES[1],))]
    answer(engine, turns)
    assert engine.vision_cache.encoded_images == 2


def test_two_equal_images_in_a_request_are_encoded_once(model, processor):
    engine = build_engine(model, processor, 0)
    answer(engine, [Turn("user", "Same?", (PICTURES[0], PICTURES[0].copy()))])
    assert engine.vision_cache.encoded_images == 1


def test_different_images_of_one_size_have_different_keys(model, processor):
    engine, plain = (build_engine(model, processor, size) for size in (10**8, 0))
    other = PICTURES[0].transpose(0)
    answer(engine, [Turn("user", "What is it?", (PICTURES[0],))])
    text, statistics = answer(engine, [Turn("user", "What is it?", (other,))])
    assert statistics.reused_tokens < 20
    assert text == answer(plain, [Turn("user", "What is it?", (other,))])[0]


@pytest.mark.parametrize("long_first", [True, False])
def test_prefixes_of_one_set_of_rope_factors_are_never_used_with_the_other(
    model, processor, long_first
):
    engine, plain = (build_engine(model, processor, size) for size in (10**8, 0))
    short = [Turn("user", "What is it?", (PICTURES[0],))]
    long = [Turn("user", "What is it? " * 40, (PICTURES[0],))]
    first, second = (long, short) if long_first else (short, long)
    answer(engine, first)
    text, statistics = answer(engine, second)
    assert statistics.reused_tokens == 0
    assert text == answer(plain, second)[0]


def test_a_long_conversation_is_continued_without_computing_it_again(model, processor):
    engine, plain = (build_engine(model, processor, size) for size in (10**8, 0))
    turns = [Turn("user", "What is it? " * 60, (PICTURES[0],))]
    text, first = answer(engine, turns)
    assert first.prompt_tokens > EDGE
    turns += [Turn("assistant", text), Turn("user", "Why?")]
    text, second = answer(engine, turns)
    assert second.reused_tokens > EDGE
    assert text == answer(plain, turns)[0]


def test_without_a_budget_nothing_is_cached(model, processor):
    engine = build_engine(model, processor, 0)
    turns = [Turn("user", "What is it?", (PICTURES[0],))]
    answer(engine, turns)
    assert answer(engine, turns)[1].reused_tokens == 0
    assert engine.vision_cache.encoded_images == 2


def test_the_least_recently_used_features_are_evicted_first(model, processor):
    sized = VisionCache(model, processor, 10**8)
    images = [sized.prepare(picture, 1) for picture in PICTURES]
    (features,) = sized.encode(images[:1])
    cache = VisionCache(model, processor, 2 * features.nbytes)
    for index in (0, 1, 0, 2, 0):  # 2 evicts 1, which was used longer ago than 0
        cache.encode([images[index]])
    assert cache.encoded_images == 3
    cache.encode([images[1]])
    assert cache.encoded_images == 4


def test_features_larger_than_the_cache_are_returned_and_not_cached(model, processor):
    cache = VisionCache(model, processor, 10)
    for _ in range(2):
        assert len(cache.encode([cache.prepare(PICTURES[0], 1)])) == 1
    assert cache.encoded_images == 2


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 5, 3], 1)],
)
def test_common_prefixes_are_counted(first, second, common):
    assert count_common(np.array(first), np.array(second)) == common


def test_the_beginning_that_all_prompts_share_is_not_reused(model, processor):
    engine = build_engine(model, processor, 10**8)
    answer(engine, [Turn("user", "What is it?", (PICTURES[0],))])
    _, statistics = answer(engine, [Turn("user", "What is it?", (PICTURES[1],))])
    assert statistics.reused_tokens == 0
