"""Words to print: English ones, invented ones, numbers, and random letters.

Every tenth English word is held out: training never prints it and evaluation prints nothing else.
"""

import random
import string
import tomllib
from pathlib import Path

LISTS = tomllib.loads(Path(__file__).with_name("words.toml").read_text())
ENGLISH = LISTS["english"].split()
FIRST_NAMES = LISTS["first_names"].split()
LAST_NAMES = LISTS["last_names"].split()

HELD_OUT = tuple(sorted(set(ENGLISH)))[::10]
TRAINED = tuple(sorted(set(ENGLISH) - set(HELD_OUT)))

ONSETS = (*"bcdfghjklmnpqrstvwxyz", "br", "ch", "cl", "fl", "gr", "pl", "sh", "st", "th", "tr")
VOWELS = (*"aeiou", "ai", "ea", "oo", "ou", "y")
CODAS = ("", "", "", *"dlmnrstkx", "ck", "ng", "nt", "st", "ll")
PUNCTUATION = ".,:;!?-'\"()&%$#/+*=@_<>[]"


def invent_word(rng: random.Random) -> str:
    """A pronounceable word of one to four syllables."""
    syllables = rng.choice((1, 2, 2, 2, 3, 3, 4))
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables)
    )


def write_number(rng: random.Random) -> str:
    """A number as it is printed: plain, with decimals, a price, a time, a year, a date, a code."""
    kind = rng.randrange(10)
    if kind == 0:
        return f"{rng.choice('$€£$')}{rng.randint(1, 999)}.{rng.randint(0, 99):02d}"
    if kind == 1:
        return f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}"
    if kind == 2:
        return str(rng.randint(1900, 2039))
    if kind == 3:
        return f"{rng.randint(1, 100)}%"
    if kind == 4:
        letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 3)))
        return f"{letters}{rng.choice(('', '-'))}{rng.randint(0, 999)}"
    if kind == 5:
        mark = rng.choice("./-")
        return (
            f"{rng.randint(1, 31):02d}{mark}{rng.randint(1, 12):02d}{mark}{rng.randint(1990, 2039)}"
        )
    if kind == 6:
        return f"{rng.randint(1000, 99999):,}"
    if kind <= 8:
        return f"{rng.randrange(100)}.{rng.randrange(100):02d}"[: rng.choice((4, 5, 5))].rstrip(".")
    return str(rng.randrange(10 ** rng.randint(1, 6)))


def draw_letters(rng: random.Random, punctuation: bool) -> str:
    """Random characters: what no language model can guess."""
    alphabet = string.ascii_letters + string.digits + (PUNCTUATION if punctuation else "")
    return "".join(rng.choices(alphabet, k=rng.randint(2, 8)))


def set_case(word: str, case: str) -> str:
    """The word in "upper", "lower" or "title" case."""
    return {"upper": word.upper(), "lower": word.lower(), "title": word.capitalize()}[case]


def choose_word(
    rng: random.Random, case: str, held_out: bool, hard: float = 0.15, wide: bool = True
) -> str:
    """One word to print; `hard` is the share of random characters, numbers come on top of it."""
    if held_out:
        return set_case(rng.choice(HELD_OUT), case)
    roll = rng.random()
    if not wide:
        if roll < 0.1:
            return write_number(rng)
        return set_case(invent_word(rng)[:9] if roll < 0.3 else rng.choice(TRAINED), case)
    if roll < hard:
        return draw_letters(rng, punctuation=rng.random() < 0.4)
    if roll < hard + 0.12:
        return write_number(rng)
    word = invent_word(rng) if roll < hard + 0.45 else rng.choice(TRAINED)
    word = set_case(word, case)
    if rng.random() < 0.08:
        word += rng.choice(".,!?:")
    return word
