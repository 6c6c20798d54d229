"""Words to print: English, composed and invented ones, names, numbers, and random letters.

Every tenth English word and name is held out: training never prints it, and held-out samples print
nothing else. The model must read words, not guess known ones: with a few hundred words, all of them
short, "WAREHOUSE" was read as two, and with fifty surnames "Quinn" as another one. So many words
are composed or invented, and some have letters swapped or doubled: without those "Garcia" was read
as "Garchai" and "RABBIT" as "RABIT".
"""

import random
import string
import tomllib
from collections.abc import Sequence
from pathlib import Path

LISTS = tomllib.loads(Path(__file__).with_name("words.toml").read_text())
ENGLISH = LISTS["english"].split()

HELD_OUT = tuple(sorted(set(ENGLISH)))[::10]
TRAINED = tuple(sorted(set(ENGLISH) - set(HELD_OUT)))
NAMES = LISTS["first_names"].split(), LISTS["last_names"].split()
HELD_OUT_NAMES = tuple(names[5::10] for names in NAMES)
TRAINED_NAMES = tuple([name for name in names if name not in names[5::10]] for names in NAMES)

PLACES = LISTS["places"].split()
HELD_OUT_PLACES = tuple(PLACES[3::8])
TRAINED_PLACES = tuple(name for name in PLACES if name not in HELD_OUT_PLACES)

ONSETS = (*"bcdfghjklmnpqrstvwxyz", "br", "ch", "cl", "fl", "gr", "pl", "sh", "st", "th", "tr")
VOWELS = (*"aeiou", *"aeiou", "ai", "ea", "oo", "ou", "y", "ia", "ie", "io", "au", "ei", "oi")
CODAS = ("", "", "", *"dlmnrstkx", "ck", "ng", "nt", "st", "ll")
ENDINGS = (
    *("s", "ed", "er", "ers", "est", "ing", "ings", "ly", "y", "al", "ion", "ment", "ness"),
    *("able", "ful", "less", "ship", "ward", "wards", "wise", "day", "house", "port", "berg"),
)
GARBLED = 0.12  # the share of words with letters swapped, or one doubled or left out
NUMBERS = 0.17  # the share of numbers
UNSEEN = 0.65  # the share of invented ones among names of people and places
PUNCTUATION = ".,:;!?-'\"()&%$#/+*=@_<>[]"


def invent_word(rng: random.Random) -> str:
    """Invent a pronounceable word of one to four syllables."""
    syllables = rng.choice((1, 2, 2, 2, 3, 3, 4))
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables)
    )


def form_word(rng: random.Random) -> str:
    """Compose a longer word: two English words, or one with an ending."""
    while True:
        end = rng.choice(ENDINGS) if rng.random() < 0.5 else rng.choice(TRAINED)
        word = rng.choice(TRAINED) + end
        if word not in HELD_OUT:
            return word


def garble(rng: random.Random, word: str) -> str:
    """Swap two letters of the word, or double one, or leave out one of two equal ones."""
    position = rng.randrange(len(word) - 1)
    first, second = word[position : position + 2]
    if first == second:
        return word[:position] + word[position + 1 :]
    change = second + first if rng.random() < 0.6 else first + first + second
    return word[:position] + change + word[position + 2 :]


def write_name(rng: random.Random, held_out: bool) -> str:
    """Return first name, perhaps a middle initial, and last name; most are invented in training."""
    if held_out:
        first, last = (rng.choice(names) for names in HELD_OUT_NAMES)
    else:
        first, last = (
            invent_word(rng)[:10].capitalize() if rng.random() < UNSEEN else rng.choice(names)
            for names in TRAINED_NAMES
        )
    middle = f"{rng.choice('ABCDEFGHJKLMNPRST')}. " if rng.random() < 0.1 else ""
    return f"{first} {middle}{last}"


def write_place(rng: random.Random, held_out: bool) -> str:
    """Return the name of a city or street; most are invented in training."""
    names = HELD_OUT_PLACES if held_out else TRAINED_PLACES
    invented = not held_out and rng.random() < UNSEEN
    name = invent_word(rng)[:12].capitalize() if invented else rng.choice(names)
    return f"{name}{rng.choice(('', '', '', ' Street', ' Road', '-on-Sea', ' City'))}"


def join(parts: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def pluralize(thing: str) -> str:
    """Return "circles", "crosses"."""
    return thing + ("es" if thing.endswith("s") else "s")


def write_number(rng: random.Random) -> str:
    """Return a number in print: plain, with decimals, a price, a time, a year, a date, a code."""
    kind = rng.randrange(16)
    if kind in (0, 10):
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
    if kind in (7, 8):
        return f"{rng.randrange(100)}.{rng.randrange(100):02d}"[: rng.choice((4, 5, 5))].rstrip(".")
    return str(rng.randrange(10 ** rng.choice((1, 2, 2, 3, 3, 3, 4, 5, 6))))


def draw_letters(rng: random.Random, punctuation: bool) -> str:
    """Return random characters, which no language model can guess."""
    alphabet = string.ascii_letters + string.digits + (PUNCTUATION if punctuation else "")
    return "".join(rng.choices(alphabet, k=rng.randint(2, 8)))


def set_case(word: str, case: str) -> str:
    """Return the word in "upper", "lower" or "title" case."""
    return {"upper": word.upper(), "lower": word.lower(), "title": word.capitalize()}[case]


def choose_word(
    rng: random.Random, case: str, held_out: bool, hard: float = 0.15, wide: bool = True
) -> str:
    """Choose a word to print; `hard` is the share of random characters, besides numbers."""
    if held_out:
        return set_case(rng.choice(HELD_OUT), case)
    roll = rng.random() - NUMBERS
    if roll < 0:
        return write_number(rng)
    if wide and roll < hard:
        return draw_letters(rng, punctuation=rng.random() < 0.4)
    roll -= hard if wide else 0
    if roll < 0.2:
        word = invent_word(rng)[: None if wide else 9]
    else:
        word = form_word(rng)[: None if wide else 12] if roll < 0.42 else rng.choice(TRAINED)
    if len(word) > 2 and rng.random() < GARBLED:
        word = garble(rng, word)
    word = set_case(word, case)
    return word + rng.choice(".,!?:") if wide and rng.random() < 0.08 else word
