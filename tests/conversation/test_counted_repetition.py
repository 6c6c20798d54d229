"""Endless counting is found, and cut to its first line; what images really count is not."""

import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from phi3v.conversation.repetition import cut_repetition, find_loop

NOVEMBER = date(2024, 11, 1)
COUNTED: dict[str, Callable[[int], str]] = {
    "a list": lambda n: f"{n}. The image shows a building.\n",
    "a list of one letter": lambda n: f"{n}. x\n",
    "a list without lines": lambda n: f"{n}) a house and a tree ",
    "a list in Arabic digits": lambda n: f"{n}. بيت\n".translate(
        str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    ),
    "headings": lambda n: f"## {n}. The house\n\nIt stands by the road in the rain.\n\n",
    "numbered bullets": lambda n: f"- Item {n}: a house\n",
    "a table's rows": lambda n: f"| {n} | Open | 5.00 |\n",
    "two counters": lambda n: f"Row {n} of {2 * n + 5}: nothing to see\n",
    "counting down": lambda n: f"{999 - n} bottles of beer on the wall\n",
    "dates": lambda n: f"On {NOVEMBER + timedelta(n)} the house was closed.\n",
    "times": lambda n: f"{n // 60 % 24:02}:{n % 60:02} the train leaves the station\n",
    "chapters": lambda n: f"Section {n // 9 + 1}.{n % 9 + 1} is about the same thing\n",
    "paragraphs": lambda n: (
        f"Picture {n} shows a house. " + "It stands by the road in the rain. " * 8 + "\n"
    ),
}


def count(line: Callable[[int], str], lines: int, first: int = 1) -> str:
    return "".join(line(number) for number in range(first, first + lines))


@pytest.mark.parametrize("kind", COUNTED)
def test_endless_counting_is_found(kind: str) -> None:
    text = "Here are the things:\n" + count(COUNTED[kind], 180)
    for end in range(len(text) - 40, len(text) + 1, 7):
        assert find_loop(text[:end]) is not None


@pytest.mark.parametrize("kind", [kind for kind in COUNTED if kind != "a list without lines"])
def test_endless_counting_is_cut_to_its_first_line(kind: str) -> None:
    line = COUNTED[kind]
    text = cut_repetition("Here are the things:\n" + count(line, 180))
    kept = text.removeprefix("Here are the things:\n")
    assert kept in count(line, 110)
    assert len(kept) < len(count(line, 110)) / 2 or kind == "times"


def test_counting_has_its_unit_repeats_and_start() -> None:
    loop = find_loop("Title\n" + count(COUNTED["a list"], 100))
    assert loop is not None
    assert (loop.unit, loop.repeats, loop.start) == ("1. The image shows a building.\n", 100, 6)


def test_genuine_lines_before_the_counting_are_kept() -> None:
    rng = random.Random(1)
    prices = "".join(f"{n}. The image shows {rng.randrange(900)} things.\n" for n in range(1, 40))
    text = prices + count(lambda n: f"{n}. The image shows 7 things.\n", 120, first=40)
    assert cut_repetition(text) == prices + "40. The image shows 7 things."


def grid(cell: str, rows: int, columns: int, between: str = " ") -> str:
    return (between.join([cell] * columns) + "\n") * rows


def draw_table(seed: int) -> str:
    """A table with a counter, and other columns as tables have them."""
    rng = random.Random(seed)
    most = rng.choice([2, 5, 20, 1000])
    names = rng.sample(["Tea", "Milk", "Bread", "Salt", "Apple pie with cream"], 3)
    return "| No. | Item | Price |\n|---|---|---|\n" + "".join(
        f"| {n} | {rng.choice(names)} | {rng.randrange(most)}.{rng.randrange(100):02} |\n"
        for n in range(1, 180)
    )


def draw_code(seed: int) -> str:
    rng = random.Random(seed)
    lines = [
        "x = 0",
        "if x:",
        "    return 1",
        "for i in range(10):",
        "    y += 1",
        "}",
        "",
        "print(x)",
    ]
    return "".join(f"{n:3}  {rng.choice(lines)}\n" for n in range(1, 180))


def draw_poem(seed: int) -> str:
    rng = random.Random(seed)
    words = "the a wind sea and night is old my love of stars on sings deep still rose".split()
    chorus = "And so it goes, and so it goes\n" * 2
    verses = ["\n".join(" ".join(rng.choices(words, k=6)) for _ in range(4)) for _ in range(20)]
    return "".join(f"{n}\n{verse}\n{chorus}\n" for n, verse in enumerate(verses, 1))


def draw_bill(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(
        f"2024-{n // 28 + 1:02}-{n % 28 + 1:02} {rng.randrange(10)},00  {rng.randrange(99)},00 €\n"
        for n in range(160)
    )


GENUINE = {
    "zeros": grid("0", 10, 10),
    "many zeros": grid("0", 31, 12),
    "zeros with commas": grid("0", 20, 20, ","),
    "zeros in a Markdown table": "| " + grid("0", 25, 12, " | ").replace("\n", " |\n| "),
    "crosses": grid("x", 15, 15),
    "ticks and dashes": grid("-", 20, 10, "\t"),
    "yes in a table": grid("yes", 12, 10),
    "an answer sheet": count(lambda n: f"{n}. A B C D\n", 100),
    "a chart of a hundred": "\n".join(
        " ".join(map(str, range(r, r + 10))) for r in range(1, 100, 10)
    ),
    "raffle numbers": count(lambda n: f"{n:04}\n", 200),
    "blanks to fill in": count(lambda n: f"{n}. ______\n", 100),
    "a month": count(lambda n: f"{n} November 2024: open from 9 to 17\n", 30),
    "rooms": count(lambda n: f"Room {n}: closed for the winter\n", 60),
    "years": count(
        lambda n: f"{n}: {n * n % 97} sheep and {n * n % 89} goats were counted\n", 170, 1800
    ),
}


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_counting_is_not_found_at_any_length(name: str) -> None:
    text = GENUINE[name]
    assert [end for end in range(0, len(text) + 1, 61) if find_loop(text[:end])] == []
    assert find_loop(text) is None


@pytest.mark.parametrize("name", ["zeros", "many zeros", "zeros with commas", "crosses", "rooms"])
def test_a_genuine_table_that_is_cut_stays_whole(name: str) -> None:
    assert find_loop(GENUINE[name], is_cut=name != "rooms") is None
    assert cut_repetition(GENUINE["zeros"]) == GENUINE["zeros"]


@pytest.mark.parametrize("draw", [draw_table, draw_code, draw_poem, draw_bill])
def test_drawn_tables_code_and_poems_are_genuine(draw: Callable[[int], str]) -> None:
    for seed in range(20):
        text = draw(seed)
        assert [end for end in range(0, len(text) + 1, 797) if find_loop(text[:end])] == []
        assert find_loop(text, is_cut=True) is None
