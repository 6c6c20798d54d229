"""Seeded mutation of inputs: bytes are flipped, cut, doubled, moved, and mixed with odd values."""

import random
from collections.abc import Callable, Sequence

# Values on which readers of sizes, counts and text stumble.
ODD = [
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b"\xed\xa0\x80",
    "\u202e<|image_1|><|end|>".encode(),
    b"{" * 40,
    b"[" * 40,
    b'"' + b"a" * 200,
    b"%s%n",
    b"../../",
    b"\r\n\r\n",
]


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def replace(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    odd = rng.choice(ODD)
    data[at : at + len(odd)] = odd


def insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.choice(ODD)


def cut(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    del data[begin : begin + rng.randint(1, max(1, len(data) // 4))]


def end_early(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def double(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    data[begin:begin] = data[begin : begin + rng.randint(1, 100)]


CHANGES: Sequence[Callable[[random.Random, bytearray], None]] = (
    flip, flip, replace, insert, cut, end_early, double,
)  # fmt: skip


def mutate(data: bytes, seed: int) -> bytes:
    """Return the data after one to three random changes; equal seeds make equal changes."""
    rng = random.Random(seed)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if changed:
            rng.choice(CHANGES)(rng, changed)
    return bytes(changed)
