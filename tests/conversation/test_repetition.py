"""Endless repetition is found early and cut; genuine repeats of images are not."""

import random

import pytest

from phi3v.conversation.repetition import cut_repetition, find_loop

LINE = "The quick brown fox jumps over the lazy dog.\n"
PARAGRAPH = "".join(f"Clause {name} of this agreement stays in force.\n" for name in "ABCDEFGH")

REPETITIONS = {
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
# Repetition at the end of answers that were cut at their token limit.
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


@pytest.mark.parametrize("name", REPETITIONS)
def test_endless_repetition_is_found(name: str) -> None:
    assert find_loop(REPETITIONS[name]) is not None


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_repeat_is_not_found_at_any_length(name: str) -> None:
    text = GENUINE[name]
    assert [end for end in range(0, len(text) + 1, 7) if find_loop(text[:end])] == []


@pytest.mark.parametrize("name", CUT)
def test_fewer_repeats_suffice_in_a_cut_answer(name: str) -> None:
    assert find_loop(CUT[name]) is None
    assert find_loop(CUT[name], is_cut=True) is not None
    assert len(cut_repetition(CUT[name])) < 0.4 * len(CUT[name])


@pytest.mark.parametrize("name", GENUINE_CUT)
def test_a_few_equal_lines_in_a_cut_answer_are_genuine(name: str) -> None:
    text = GENUINE_CUT[name]
    assert find_loop(text, is_cut=True) is None
    assert cut_repetition(text) == text


def test_whitespace_of_different_widths_counts_as_equal() -> None:
    assert cut_repetition("STOP\n" + "the  way the   way " * 40) == "STOP\nthe  way"


def test_a_repetition_has_its_unit_repeats_and_start() -> None:
    repetition = find_loop("Title\n" + LINE * 15)
    assert repetition is not None
    assert (repetition.unit, repetition.repeats) == (LINE, 15)
    assert repetition.start in (5, 6)  # the preceding newline may count as part of it


def test_a_repetition_is_cut_to_one_unit() -> None:
    assert cut_repetition("Title\n" + LINE * 15) == "Title\n" + LINE.rstrip()


def test_a_text_without_repetition_is_unchanged() -> None:
    assert cut_repetition("ha ha ha \n") == "ha ha ha \n"


def test_a_repetition_after_a_long_text_is_found() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcdefgh \n") for _ in range(20_000))
    assert find_loop(text) is None
    repetition = find_loop(text + LINE * 300)
    assert repetition is not None
    assert abs(repetition.start - 20_000) < 3


def test_a_repetition_within_the_unit_is_cut_too() -> None:
    assert cut_repetition("Ja! " + "hahahahahahahahahaha ha" * 60) == "Ja! ha"
    assert cut_repetition("Total: 10000\n" * 60) == "Total: 10000"


def test_consecutive_repetitions_are_all_cut() -> None:
    text = "SIGN " + "NAN" * 21 + "NNAN" * 6 + "N" * 120
    assert count_trigrams(cut_repetition(text)) < 4
    assert cut_repetition(text).startswith("SIGN NA")


def count_trigrams(text: str) -> int:
    """Return the count of the most frequent three letters in a text."""
    return max(text.count(text[at : at + 3]) for at in range(len(text) - 2))
