"""The benchmarks measure what they claim; the figures are not tested."""

import ast
import random
from collections import defaultdict

import pytest
import torch
from support.golden import golden_image
from support.models import build_processor, build_random_model

from benchmarks.__main__ import ask_engine, choose_crops, converse, draw_noise
from benchmarks.accuracy import KINDS
from benchmarks.floor import bytes_per_token, measure_bandwidth
from benchmarks.growth import (
    Row,
    Way,
    draw_rows,
    grow_images,
    grow_turns,
    grow_users,
    make_ways,
    read_rows,
    take_median,
    write_rows,
)
from phi3v import Engine, load

ROWS = [Row("pictures", count, way, 0.5 / count, 7.0) for way in "ab" for count in (1, 2)]


@pytest.fixture(scope="module")
def engine():
    processor = build_processor()
    return Engine(build_random_model(processor, seed=0), processor, name="random")


def test_pictures_turns_and_users_grow_as_listed():
    asked = []

    def answer(turns):
        asked.append((len(turns), sum(len(turn.images) for turn in turns)))
        return "text", 0.5, 10.0

    way = Way("a", "sdpa", answer)
    for grow, axis, expected in (
        (grow_images, "pictures", [(1, 1), (1, 2), (1, 4), (1, 8)]),
        (grow_turns, "turns", [(2 * turn - 1, 1) for turn in range(1, 9)]),
        (grow_users, "users at once", [(1, 1)] * 15),
    ):
        asked.clear()
        rows = grow(way, lambda: None)
        assert asked == expected
        assert {row.axis for row in rows} == {axis}
        assert all((row.first_token_seconds, row.tokens_per_second) == (0.5, 10) for row in rows)


def test_both_ways_answer(engine):
    engine.stop_token_ids = lambda: []
    for way in make_ways(engine, num_crops=1, new_tokens=4):
        rows = grow_turns(way, lambda: golden_image(40, 30))
        assert len(rows) == 8
        assert all(row.first_token_seconds > 0 for row in rows)


def test_written_rows_are_read_and_plotted(tmp_path):
    pytest.importorskip("matplotlib", reason="requirements-dev.txt has it")
    write_rows(ROWS, tmp_path / "growth.csv", "a note, with a comma")
    rows, note = read_rows(tmp_path / "growth.csv")
    assert (rows, note) == (ROWS, "a note, with a comma")
    draw_rows(rows, note, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_median_is_of_one_axis_count_and_way():
    rows = [Row("turns", 1, "a", seconds, 1.0) for seconds in (3.0, 1.0, 2.0)]
    rows += [Row("turns", 1, "b", 9.0, 1.0), Row("turns", 2, "a", 9.0, 1.0)]
    assert take_median(("turns", 1, "a"), rows).first_token_seconds == 2.0


def test_bytes_per_token_count_the_decoder_and_the_context(engine):
    config = engine.model.config
    decoder = 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32 + config.vocab_size * 32
    assert bytes_per_token(engine, 0) == 4 * decoder
    assert bytes_per_token(engine, 10) == 4 * decoder + 10 * 2 * 2 * 32 * 4
    assert measure_bandwidth(torch.device("cpu"), size=1000, runs=1) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_cases_depend_on_their_seed_and_judge_an_empty_answer_wrong(kind: str) -> None:
    case, again, other = (KINDS[kind](random.Random(seed)) for seed in (1, 1, 2))
    assert again.wanted == case.wanted
    assert [a.tobytes() for a in again.images] == [b.tobytes() for b in case.images]
    assert other.images[0].tobytes() != case.images[0].tobytes()
    assert case.judge("") == float("wrong" in kind)


def test_right_answers_are_judged_right() -> None:
    for kind in KINDS:
        case = KINDS[kind](random.Random(3))
        answer = case.wanted
        if "highest" in kind:
            answer = f"Jan: 1, Mar: 99. The highest is 99 for {answer.split()[0]}."
        elif "objects" in kind:
            pairs = ast.literal_eval(answer)
            phrases = (f"a {name} {'in' if p == 'centre' else 'at'} the {p}" for name, p in pairs)
            answer = f"{' and '.join(phrases)}, on a white background."
        elif "photographs" in kind:
            answer = "Start the app with --model."
        assert case.judge(answer) == float("wrong" not in kind), kind
        if "differ" in kind:
            assert case.judge(f"{answer}: the two pictures are identical.") == 0


@pytest.mark.parametrize(("size", "most"), [((336, 336), 1), ((640, 480), 4), ((1344, 1008), 9)])
def test_two_pictures_fit_the_context_by_default(size: tuple[int, int], most: int) -> None:
    engine = load("embedded", "cpu", "float32")
    num_crops = choose_crops(engine, size, 32)
    assert 1 <= num_crops <= most
    converse(
        lambda turns: (ask_engine(engine, turns, num_crops, 32)[0], 0.0, 0.0),
        [draw_noise(size, seed) for seed in (1, 2)],
        defaultdict(list),
    )
