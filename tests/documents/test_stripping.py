"""Stripping leaves a readable file readable, and nothing of what does not belong to the picture."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cases import CASES, draw_sign, insert_chunk, make_chunk
from support.images import encode

from phi3v.documents.images import open_image
from phi3v.documents.metadata import strip_bytes, strip_file
from phi3v.request import RequestError

SECRET = b"a secret place"
READABLE = ["bad-exif.jpg", "empty-exif.jpg", "short-exif.jpg", "stripbroke_0.webp"]
BROKEN = [
    "striplef_1011.webp", "striplef_1128.png", "stripesc_SyntaxError_1163.png",
    "stripesc_SyntaxError_117.jpg", "cut.webp",
]  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_a_readable_file_stays_readable(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((CASES / name).read_bytes())
    before = np.asarray(open_image(path))
    assert strip_file(path)
    assert np.array_equal(np.asarray(open_image(path)), before)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_left_or_stripped_without_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((CASES / name).read_bytes())
    with pytest.raises(RequestError):
        open_image(path)
    strip_file(path)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_what_follows_the_picture_is_dropped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    draw_sign("RGB").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole + SECRET)
    before = np.asarray(open_image(path))
    assert strip_file(path)
    assert SECRET not in path.read_bytes()
    assert np.array_equal(np.asarray(open_image(path)), before)


def test_only_the_first_picture_of_an_mpo_stays() -> None:
    content = (CASES / "both.mpo").read_bytes()
    stripped = strip_bytes(content)
    assert stripped.count(b"\xff\xd8\xff") == 1
    assert b"MPF\0" not in stripped
    before, after = Image.open(io.BytesIO(content)), Image.open(io.BytesIO(stripped))
    assert np.array_equal(np.asarray(before), np.asarray(after))


def test_a_progressive_jpeg_keeps_all_its_scans() -> None:
    noise = Image.effect_noise((90, 70), 80).convert("RGB")
    content = encode(noise, "JPEG", progressive=True, comment=SECRET)
    stripped = strip_bytes(content + SECRET)
    assert SECRET not in stripped
    assert stripped.count(b"\xff\xda") == content.count(b"\xff\xda") > 2
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(c))) for c in (content, stripped)))


@pytest.mark.parametrize("kind", [b"prIv", b"iDOT", b"caBX"])
def test_a_chunk_that_displaying_does_not_need_is_dropped(kind: bytes) -> None:
    content = insert_chunk(encode(draw_sign()), make_chunk(kind, SECRET), b"IDAT")
    assert SECRET not in strip_bytes(content)


def test_an_unknown_critical_chunk_is_not_guessed_at() -> None:
    content = insert_chunk(encode(draw_sign()), make_chunk(b"NEED", SECRET), b"IDAT")
    with pytest.raises(ValueError, match="needs"):
        strip_bytes(content)


def test_chunks_inside_a_frame_of_an_animated_webp_are_dropped() -> None:
    frames = [draw_sign("RGB"), draw_sign("RGB").rotate(180)]
    content = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    at = content.index(b"ANMF")
    (length,) = struct.unpack("<I", content[at + 4 : at + 8])
    hidden = b"HIDE" + struct.pack("<I", len(SECRET)) + SECRET
    frame = content[at + 8 : at + 8 + length] + hidden
    longer = content[:at] + b"ANMF" + struct.pack("<I", len(frame)) + frame
    longer += content[at + 8 + length :]
    longer = longer[:4] + struct.pack("<I", len(longer) - 8) + longer[8:]
    stripped = strip_bytes(longer)
    assert SECRET not in stripped
    assert Image.open(io.BytesIO(stripped)).n_frames == 2


def test_a_jpeg_without_an_end_is_not_stripped(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(draw_sign(), "JPEG").removesuffix(b"\xff\xd9") + SECRET)
    assert not strip_file(path)
