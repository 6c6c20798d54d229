"""Words to print: English ones, formed and invented ones, names, numbers, and random letters.

Every tenth English word and name is held out: training never prints it and evaluation prints
nothing else. What is read must not be what is known: a few hundred words, all of them short, made
"WAREHOUSE" two words and fifty surnames made "Quinn" another one. So many are formed or invented,
and some have letters exchanged or doubled: else "Garcia" is read "Garchai" and "RABBIT" "RABIT".
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

ONSETS = (*"bcdfghjklmnpqrstvwxyz", "br", "ch", "cl", "fl", "gr", "pl", "sh", "st", "th", "tr")
VOWELS = (*"aeiou", *"aeiou", "ai", "ea", "oo", "ou", "y", "ia", "ie", "io", "au", "ei", "oi")
CODAS = ("", "", "", *"dlmnrstkx", "ck", "ng", "nt", "st", "ll")
ENDINGS = (
    *("s", "ed", "er", "ers", "est", "ing", "ings", "ly", "y", "al", "ion", "ment", "ness"),
    *("able", "ful", "less", "ship", "ward", "wards", "wise", "day", "house", "port", "berg"),
)
GARBLED = 0.12  # the share of words with a letter exchanged, doubled or left out
NUMBERS = 0.17  # the share of numbers
PUNCTUATION = ".,:;!?-'\"()&%$#/+*=@_<>[]"


def invent_word(rng: random.Random) -> str:
    """A pronounceable word of one to four syllables."""
    syllables = rng.choice((1, 2, 2, 2, 3, 3, 4))
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables)
    )


def form_word(rng: random.Random) -> str:
    """A longer word: two English ones in one, or one with an ending."""
    while True:
        end = rng.choice(ENDINGS) if rng.random() < 0.5 else rng.choice(TRAINED)
        word = rng.choice(TRAINED) + end
        if word not in HELD_OUT:
            return word


def garble(rng: random.Random, word: str) -> str:
    """The word with two letters exchanged, or one doubled, or one of two like ones left out."""
    place = rng.randrange(len(word) - 1)
    first, second = word[place : place + 2]
    if first == second:
        return word[:place] + word[place + 1 :]
    change = second + first if rng.random() < 0.6 else first + first + second
    return word[:place] + change + word[place + 2 :]


def write_name(rng: random.Random, held_out: bool) -> str:
    """First name, perhaps a middle initial, and last name; half of the names are invented."""
    if held_out:
        first, last = (rng.choice(names) for names in HELD_OUT_NAMES)
    else:
        first, last = (
            invent_word(rng)[:10].capitalize() if rng.random() < 0.5 else rng.choice(names)
            for names in TRAINED_NAMES
        )
    middle = f"{rng.choice('ABCDEFGHJKLMNPRST')}. " if rng.random() < 0.1 else ""
    return f"{first} {middle}{last}"


def join(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def pluralize(thing: str) -> str:
    """ "circles", "crosses"."""
    return thing + ("es" if thing.endswith("s") else "s")


def write_number(rng: random.Random) -> str:
    """A number as it is printed: plain, with decimals, a price, a time, a year, a date, a code."""
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
