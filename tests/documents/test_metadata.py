"""Metadata is removed from image files; pixels, orientation and colour profile stay."""

import io
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from phi3v.documents.images import open_image
from phi3v.documents.metadata import strip_bytes, strip_file
from phi3v.ui.chat.pictures import check_pictures

SECRET = "a secret place"
IMAGE = Image.radial_gradient("L").resize((60, 40)).convert("RGB")


def write(path: Path, orientation: int = 6) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = SECRET
    options: dict[str, object] = {"exif": exif}
    if path.suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", SECRET)
    if path.suffix == ".webp":
        options["xmp"] = SECRET.encode()
    if path.suffix == ".jpg":
        options["comment"] = SECRET
    IMAGE.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_a_stripped_file_has_the_same_pixels_and_no_metadata(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, orientation=1)
    before = np.asarray(open_image(path))
    assert strip_file(path)
    assert SECRET.encode() not in path.read_bytes()
    assert np.array_equal(np.asarray(open_image(path)), before)
    after = path.read_bytes()
    assert strip_file(path)
    assert path.read_bytes() == after


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_stripped_file_keeps_its_orientation(tmp_path: Path, orientation: int, name: str) -> None:
    path = write(tmp_path / name, orientation)
    before = np.asarray(open_image(path))
    strip_file(path)
    assert SECRET.encode() not in path.read_bytes()
    assert np.array_equal(np.asarray(open_image(path)), before)


def test_a_colour_profile_is_kept(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    IMAGE.save(buffer, "JPEG", icc_profile=b"profile" * 9)
    assert Image.open(io.BytesIO(strip_bytes(buffer.getvalue()))).info["icc_profile"]


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\xff", b"text", b"RIFF"])
def test_an_invalid_file_is_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    assert not strip_file(path)
    assert path.read_bytes() == content


def test_an_upload_is_stored_without_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = write(tmp_path / "photo.jpg")
    assert check_pictures([(str(path), None)]) == [(str(path), "Image 1")]
    assert SECRET.encode() not in path.read_bytes()
    assert open_image(path).size == (40, 60)


def test_a_file_outside_the_upload_folder_is_not_modified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    path = write(tmp_path / "photo.jpg")
    before = path.read_bytes()
    check_pictures([(str(path), None)])
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".gif", ".avif", ".tiff"])
def test_other_formats_are_stored_as_pixels_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = tmp_path / f"photo{suffix}"
    IMAGE.save(path)
    ((kept, caption),) = check_pictures([(str(path), None)])
    assert isinstance(kept, Image.Image)
    assert (kept.info, caption) == ({}, "Image 1")
    assert not path.exists()
    assert gr.Gallery(format="png").postprocess([(kept, caption)]).root[0].image.path
