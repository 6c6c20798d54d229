"""Image files as people upload them: orientation, modes, limits, damage."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.images import RED, WHITE, encode

from phi3v.documents.images import MAX_PIXELS, open_image
from phi3v.request import RequestError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refuse(source: Path | Image.Image | str) -> str:
    with pytest.raises(RequestError) as refusal:
        open_image(source)
    return str(refusal.value)


def test_an_image_is_converted_to_rgb(tmp_path: Path) -> None:
    path = write(tmp_path / "grey.png", encode(Image.new("L", (3, 2), 7)))
    image = open_image(path)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (3, 2), (7, 7, 7))


def test_an_image_in_memory_is_not_modified() -> None:
    source = Image.new("RGB", (3, 2), RED)
    open_image(source).putpixel((0, 0), WHITE)
    assert source.getpixel((0, 0)) == RED


def test_a_phone_photo_is_turned_upright(tmp_path: Path) -> None:
    photo = Image.new("RGB", (8, 4), WHITE)
    photo.paste(RED, (0, 0, 2, 4))  # red at the left of the sensor
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the sensor's left is the photo's top
    path = write(tmp_path / "photo.png", encode(photo, exif=exif))
    upright = open_image(path)
    assert upright.size == (4, 8)
    assert (upright.getpixel((1, 0)), upright.getpixel((1, 7))) == (RED, WHITE)


def test_metadata_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    path = write(tmp_path / "photo.jpg", encode(Image.new("RGB", (8, 4)), "JPEG", exif=exif))
    image = open_image(path)
    assert image.info == {}
    assert dict(image.getexif()) == {}


def test_an_animation_is_opened_at_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, WHITE)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(write(tmp_path / "moving.gif", content)).getpixel((0, 0)) == RED


def test_a_cmyk_tiff_is_converted(tmp_path: Path) -> None:
    content = encode(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF")
    image = open_image(write(tmp_path / "print.tif", content))
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_become_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    path = write(tmp_path / "logo.tif", encode(clear, "TIFF" if mode == "PA" else "PNG"))
    assert open_image(path).getpixel((0, 0)) == WHITE


def test_a_palette_with_a_transparent_colour_becomes_white_there(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    path = write(tmp_path / "logo.gif", encode(image, "GIF", transparency=0))
    assert open_image(path).getpixel((0, 0)) == WHITE


def test_a_16_bit_image_is_scaled_to_8_bits(tmp_path: Path) -> None:
    scan = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
    path = write(tmp_path / "scan.png", encode(scan))
    assert open_image(path).getpixel((0, 0)) == (128, 128, 128)


def test_a_too_large_image_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "poster.png"
    Image.new("1", (20_000, 20_000)).save(path)
    begun = time.perf_counter()
    message = refuse(path)
    assert time.perf_counter() - begun < 0.5
    assert "poster.png is too large: 400,000,000 pixels" in message
    assert f"the limit is {MAX_PIXELS:,}" in message


def test_the_size_of_a_too_large_image_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "poster.png"
    Image.new("1", (10_000, 7_000)).save(path)
    assert "10,000 x 7,000 = 70,000,000 pixels" in refuse(path)


def test_a_text_file_with_an_image_suffix_is_recognized(tmp_path: Path) -> None:
    path = write(tmp_path / "notes.png", b"Dear diary,\n" * 20)
    assert refuse(path).startswith("notes.png is not a picture but a text file")


def test_a_truncated_jpeg_is_reported_as_damaged(tmp_path: Path) -> None:
    noise = Image.effect_noise((200, 200), 80)
    path = write(tmp_path / "half.jpg", encode(noise, "JPEG")[:4000])
    message = refuse(path)
    assert message.startswith("half.jpg is a damaged JPEG (200 x 200 pixels")
    assert "again" in message


def test_a_garbled_png_is_reported_as_damaged(tmp_path: Path) -> None:
    content = bytearray(encode(Image.effect_noise((200, 200), 80)))
    content[3000:3100] = bytes(100)
    assert "garbled.png is a damaged PNG" in refuse(write(tmp_path / "garbled.png", content))


def test_an_empty_file_is_reported_as_empty(tmp_path: Path) -> None:
    assert "nothing.jpg is empty (0 bytes)" in refuse(write(tmp_path / "nothing.jpg", b""))


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"%PDF-1.7\n\x00", "a PDF document"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"\x00\x00\x00\x18ftypmp42", "a video"),
        (b"\x01\x02\x03", "something else"),
    ],
)
def test_the_format_of_other_files_is_guessed(tmp_path: Path, head: bytes, found: str) -> None:
    assert found in refuse(write(tmp_path / "file.jpg", head + bytes(100)))


def test_postscript_is_not_interpreted(tmp_path: Path) -> None:
    content = encode(Image.new("RGB", (4, 4)), "EPS")
    assert "not a picture" in refuse(write(tmp_path / "drawing.png", content))


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    assert "gone.png is not there" in refuse(tmp_path / "gone.png")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refuse(tmp_path)


def test_an_image_without_pixels_is_refused() -> None:
    assert "0 x 5 pixels" in refuse(Image.new("RGB", (0, 5)))
