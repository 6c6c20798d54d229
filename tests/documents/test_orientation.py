"""A turned picture is measured, opened and stripped alike, wherever its orientation stands."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cases import CASES, draw_sign, insert_chunk, make_chunk
from support.images import encode

from phi3v.documents.images import measure_image, open_image
from phi3v.documents.metadata import strip_file

XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
XMP_ELEMENT = b"<x:xmpmeta><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>"


def exif() -> bytes:
    found = Image.Exif()
    found[0x0112] = 6
    return found.tobytes().removeprefix(b"Exif\0\0")


def raw_profile(name: str, data: bytes) -> bytes:
    text = f"\n{name}\n{len(data):8}\n{data.hex()}\n".encode("latin-1")
    keyword = f"Raw profile type {name}".encode()
    return make_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text))


def xmp_chunk(packet: bytes) -> bytes:
    return make_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)


CHUNKS = {
    "exif": make_chunk(b"eXIf", exif()),
    "xmp": xmp_chunk(XMP),
    "xmp element": xmp_chunk(XMP_ELEMENT),
    "raw exif": raw_profile("exif", b"Exif\0\0" + exif()),
    "raw app1": raw_profile("APP1", b"Exif\0\0" + exif()),
    "raw xmp": raw_profile("xmp", XMP),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("name", CHUNKS)
def test_a_png_is_turned_by_any_of_its_chunks(tmp_path: Path, name: str, before: bytes) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(insert_chunk(encode(draw_sign("RGB")), CHUNKS[name], before))
    assert_turned_and_stripped(path)


@pytest.mark.parametrize("packet", [XMP, XMP_ELEMENT])
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_other_files_are_turned_by_xmp(tmp_path: Path, suffix: str, packet: bytes) -> None:
    path = tmp_path / f"photo.{suffix}"
    draw_sign("RGB").save(path, xmp=packet)
    assert_turned_and_stripped(path)


def assert_turned_and_stripped(path: Path) -> None:
    before = open_image(path)
    assert before.size == measure_image(path) == (60, 120)
    assert before.getpixel((40, 20))[0] < 60 < before.getpixel((20, 20))[0]  # turned clockwise
    assert strip_file(path)
    content = path.read_bytes()
    assert b"xmpmeta" not in content
    assert b"Raw profile" not in content
    assert measure_image(path) == (60, 120)
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(before))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_measured_as_it_is_opened(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "scan.tif"
    draw_sign("RGB").save(path, tiffinfo={0x0112: orientation})
    assert measure_image(path) == open_image(path).size
    assert (open_image(path).width == 60) == (orientation >= 5)


@pytest.mark.parametrize("name", ["orientation6.jpg", "xmp-orientation.png"])
def test_the_cases_keep_their_shape(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((CASES / name).read_bytes())
    before = open_image(path)
    assert strip_file(path)
    assert before.size == measure_image(path) == open_image(path).size
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(before))


def test_an_orientation_in_a_broken_exif_is_none(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    chunk = make_chunk(b"eXIf", struct.pack(">2sHI", b"MM", 42, 99))
    path.write_bytes(insert_chunk(encode(draw_sign("RGB")), chunk, b"IDAT"))
    assert open_image(path).size == measure_image(path) == (120, 60)
