"""Loops are found early, cut off, and told from what pictures really repeat."""

import random

import pytest

from phi3v.conversation.repetition import cut_repetition, find_loop

LINE = "The quick brown fox jumps over the lazy dog.\n"
PARAGRAPH = "".join(f"Clause {name} of this agreement stays in force.\n" for name in "ABCDEFGH")

LOOPS = {
    "a line": "Title\n" + LINE * 15,
    "a phrase": "In the beginning " + "there was the word and " * 15,
    "a phrase in Hebrew": "כותרת\n" + "שלום לכל האנשים הטובים כאן\n" * 15,
    "a paragraph": PARAGRAPH * 5,
    "one word": "STOP " + "THE " * 60,
    "a number": "Total 17 " + "0 " * 110,
    "a character": "Hmm" + "m" * 110,
    "an unfinished unit": LINE * 13 + LINE[:20],
    "a table's row": "| a | b |\n|---|---|\n" + "| Open | 5.00 |\n" * 55,
    "dots without end": "Chapter " + "." * 500,
    "a word between blanks of all widths": "STOP " + "THE  THE THE   " * 20,
    "a word longer than a line": "Pier\n" + "Harbour  Harbour Harbour   " * 7,
}
# What an answer may end in where the longest answer allowed has cut it.
CUT = {
    "a line": "Title\n" + LINE * 7,
    "a paragraph": PARAGRAPH[:172] * 4,
    "one word": "STOP " + "THE " * 26,
    "two characters": "Code " + "xy" * 55,
    "two words and a piece": "Price list\n" + "green tea\n" * 13 + "gre",
    "a blank within the last date": "Dates " + "00-00-2000 " * 17 + "0 ",
}
GENUINE_CUT = {
    "a column of equal prices": "Price list\n" + "$5.00\n" * 10,
    "laughter": "He said: " + "ha " * 20,
    "a table of zeros": "| day | a | b | c |\n|---|---|---|---|\n" + "| 0 | 0 | 0 | 0 |\n" * 5,
    "a chorus": "Verse\n" + "Hey Jude, don't make it bad at all\n" * 4,
    "blanks to fill in": "Name " + "_" * 90,
}
GENUINE = {
    "a column of equal prices": "Price list\n" + "$5.00\n" * 45,
    "laughter": "He said: " + "ha " * 30 + "and left.",
    "a cry": "A" + "a" * 80,
    "laughter at the end": "He said: " + "ha " * 40,
    "a table of zeros": "| day | a | b | c |\n|---|---|---|---|\n" + "| 0 | 0 | 0 | 0 |\n" * 40,
    "a table of yes and no": "| x | y |\n|---|---|\n" + "| yes | no |\n" * 45,
    "a chorus": "Verse\n" + "Hey Jude, don't make it bad at all\n" * 6,
    "lines on a blackboard": "I must not talk in class again.\n" * 10,
    "a form in triplicate": PARAGRAPH * 3,
    "dots of a table of contents": "Chapter 1 " + "." * 120 + " 7",
    "blanks to fill in": "Name " + "_" * 90 + "\nStreet " + "_" * 90,
    "a rule": "Title\n" + "=" * 200,
    "a word on every line": "Harbour\n" * 45,
    "a line of a word": "Pier\n" + "Harbour " * 15 + "\n" + "Harbour " * 15,
    "a line of short cells": "| " + "none | " * 25,
    "a row of a table's rule": "| a |" * 20 + "\n" + "|---" * 40 + "|",
    "a numbered list": "".join(f"{n}. wet paint on the wall\n" for n in range(1, 60)),
    "equal ends of lines": "".join(f"Room {n}: closed for the winter\n" for n in range(60)),
    "nothing": "",
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_found(name: str) -> None:
    assert find_loop(LOOPS[name]) is not None


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_repeat_is_none_at_any_moment(name: str) -> None:
    text = GENUINE[name]
    assert [end for end in range(0, len(text) + 1, 7) if find_loop(text[:end])] == []


@pytest.mark.parametrize("name", CUT)
def test_where_an_answer_is_cut_fewer_repeats_are_a_loop(name: str) -> None:
    assert find_loop(CUT[name]) is None
    assert find_loop(CUT[name], is_cut=True) is not None
    assert len(cut_repetition(CUT[name])) < 0.4 * len(CUT[name])


@pytest.mark.parametrize("name", GENUINE_CUT)
def test_where_an_answer_is_cut_a_few_equal_lines_are_none(name: str) -> None:
    text = GENUINE_CUT[name]
    assert find_loop(text, is_cut=True) is None
    assert cut_repetition(text) == text


def test_a_loop_with_blanks_of_all_widths_is_said_once() -> None:
    assert cut_repetition("STOP\n" + "the  way the   way " * 40) == "STOP\nthe  way"


def test_a_loop_is_named_with_its_unit_its_number_and_its_start() -> None:
    loop = find_loop("Title\n" + LINE * 15)
    assert loop is not None
    assert (loop.unit, loop.repeats) == (LINE, 15)
    assert loop.start in (5, 6)  # the line's end before it may count to it


def test_a_cut_loop_is_said_once() -> None:
    assert cut_repetition("Title\n" + LINE * 15) == "Title\n" + LINE.rstrip()


def test_a_text_without_a_loop_is_left_as_it_is() -> None:
    assert cut_repetition("ha ha ha \n") == "ha ha ha \n"


def test_a_loop_is_found_behind_a_long_text() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcdefgh \n") for _ in range(20_000))
    assert find_loop(text) is None
    loop = find_loop(text + LINE * 300)
    assert loop is not None
    assert abs(loop.start - 20_000) < 3


def test_what_repeats_within_a_loop_is_said_once_too() -> None:
    assert cut_repetition("Ja! " + "hahahahahahahahahaha ha" * 60) == "Ja! ha"
    assert cut_repetition("Total: 10000\n" * 60) == "Total: 10000"


def test_loops_that_lead_into_one_another_are_each_said_once() -> None:
    text = "SIGN " + "NAN" * 21 + "NNAN" * 6 + "N" * 120
    assert find_repeats(cut_repetition(text)) < 4
    assert cut_repetition(text).startswith("SIGN NA")


def find_repeats(text: str) -> int:
    """How often the commonest piece of three letters stands in a text."""
    return max(text.count(text[at : at + 3]) for at in range(len(text) - 2))
