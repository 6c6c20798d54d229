"""Pictures of more than 8 bits a sample look as a viewer shows them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cases import CASES, draw_sign, insert_chunk, make_chunk
from support.images import encode

from phi3v.documents.images import open_image

SIGN = np.asarray(draw_sign()).astype(np.float64) / 255


def assert_like_the_sign(image: Image.Image) -> None:
    found = np.asarray(image.convert("L")).astype(int)
    assert np.abs(found - SIGN * 255).max() <= 24


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_bits_of_16_are_scaled_by_those_that_are_used(tmp_path: Path, bits: int) -> None:
    values = np.rint(SIGN / SIGN.max() * (2**bits - 1)).astype(np.uint16)
    for name in ("scan.png", "scan.tif"):
        Image.fromarray(values).save(tmp_path / name)
        found = np.asarray(open_image(tmp_path / name).convert("L"))
        assert (found.max(), found.min()) == (255, 23)


@pytest.mark.parametrize("bits", [8, 12, 16, 24, 31])
def test_bits_of_32_are_scaled_by_those_that_are_used(tmp_path: Path, bits: int) -> None:
    values = np.rint(SIGN / SIGN.max() * (2**bits - 1)).astype(np.int32)
    Image.fromarray(values).save(tmp_path / "scan.tif")
    found = np.asarray(open_image(tmp_path / "scan.tif").convert("L"))
    assert (found.max(), found.min()) == (255, 23)


@pytest.mark.parametrize("high", [1.0, 255.0, 4095.0, 65535.0])
def test_floats_are_scaled_by_their_range(tmp_path: Path, high: float) -> None:
    Image.fromarray((SIGN * high).astype(np.float32)).save(tmp_path / "float.tif")
    assert_like_the_sign(open_image(tmp_path / "float.tif"))


def test_values_that_are_no_numbers_do_not_darken_a_picture(tmp_path: Path) -> None:
    values = SIGN.astype(np.float32)
    values[-1, -3:] = np.nan, np.inf, 4.0
    Image.fromarray(values).save(tmp_path / "float.tif")
    found = np.asarray(open_image(tmp_path / "float.tif").convert("L"))[:-1]
    assert (found.max(), found.min()) == (220, 20)


def test_values_below_zero_are_the_darkest(tmp_path: Path) -> None:
    Image.fromarray((SIGN * 4000 - 1000).astype(np.int32)).save(tmp_path / "ct.tif")
    found = np.asarray(open_image(tmp_path / "ct.tif").convert("L"))
    assert (found.max(), found.min()) == (255, 0)


def test_a_transparent_grey_of_16_bits_is_white_and_no_other() -> None:
    plain = np.asarray(open_image(CASES / "grey16.png")).astype(int)
    found = np.asarray(open_image(CASES / "grey16-trns.png")).astype(int)
    same = np.abs(found - plain) <= 1
    assert (same | (found == 255)).all()
    assert same.mean() > 0.9


def test_a_16_bit_colour_picture_of_12_bits_is_not_black(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct_row(row) for row in SIGN)
    path = tmp_path / "colour.png"
    path.write_bytes(make_png(rows, SIGN.shape[1], SIGN.shape[0]))
    found = np.asarray(open_image(path).convert("L"))
    assert found.max() > 200
    assert found.min() < 40


def struct_row(row: np.ndarray) -> bytes:
    values = np.rint(row * 4095).astype(">u2")
    return np.repeat(values, 3).tobytes()


def make_png(rows: bytes, width: int, height: int) -> bytes:
    import struct
    import zlib

    header = make_chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0))
    pixels = make_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + make_chunk(b"IEND", b"")


def test_a_tiff_whose_zero_is_white_is_not_inverted(tmp_path: Path) -> None:
    values = np.rint((1 - SIGN) * 65535).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "fax.tif", tiffinfo={262: 0})
    content = (tmp_path / "fax.tif").read_bytes()
    with Image.open(tmp_path / "fax.tif") as image:
        if image.tag_v2[262] != 0:  # Pillow writes its own: change it in the file
            at = content.index(b"\x06\x01\x03\x00\x01\x00\x00\x00")
            (tmp_path / "fax.tif").write_bytes(content[: at + 8] + b"\0\0" + content[at + 10 :])
    assert_like_the_sign(open_image(tmp_path / "fax.tif"))


@pytest.mark.parametrize("name", ["cmyk.jpg", "la.png", "one.tif", "good.jp2", "good.avif"])
def test_other_kinds_have_dark_text_on_light(name: str) -> None:
    found = np.asarray(open_image(CASES / name).convert("L"))
    assert np.median(found) > 200
    assert found.min() < 60


def test_transparency_by_a_colour_of_16_bits_is_kept(tmp_path: Path) -> None:
    content = encode(Image.fromarray(np.full((4, 4), 5, np.uint16)))
    chunk = make_chunk(b"tRNS", b"\0\5")
    path = tmp_path / "clear.png"
    path.write_bytes(insert_chunk(content, chunk, b"IDAT"))
    assert open_image(path).getpixel((0, 0)) == (255, 255, 255)
