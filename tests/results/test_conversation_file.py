"""Saved conversations are loaded again; damaged, foreign and oversized files are refused."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from phi3v.request import RequestError, Sampling, Turn
from phi3v.results import conversation_file, zip_limits
from phi3v.results.conversation_file import Conversation, load_conversation, save_conversation

HOSTILE = Path(__file__).parents[1] / "hostile" / "cases"
RED, BLUE = Image.new("RGB", (30, 20), "red"), Image.new("RGB", (10, 40), "blue")


def make_conversation() -> Conversation:
    return Conversation(
        (
            Turn("user", "What is <this>?", (RED, BLUE)),
            Turn("assistant", "אדום וכחול", token_ids=(5, 6)),
            Turn("user", "And | this?", (RED,)),
        ),
        "microsoft/Phi-3.5-vision-instruct",
        "abc123",
        Sampling(77, 0.5, 0.9, seed=3),
        num_crops=4,
    )


def save(conversation: Conversation, path: Path) -> Path:
    save_conversation(conversation, path)
    return path


def repack(path: Path, **changed: object) -> Path:
    """Rewrite a zip with entries changed or removed, or fields of its manifest changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["conversation.json"])
    manifest.update(changed.pop("manifest", {}))
    entries["conversation.json"] = json.dumps(manifest).encode()
    entries.update(changed.pop("entries", {}))
    for name in changed.pop("without", ()):
        del entries[name]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_a_conversation_is_restored_completely(tmp_path: Path) -> None:
    before = make_conversation()
    after = load_conversation(save(before, tmp_path / "talk.zip"))
    assert (after.model, after.revision) == (before.model, before.revision)
    assert (after.sampling, after.num_crops) == (before.sampling, before.num_crops)
    assert [(turn.role, turn.text, turn.token_ids) for turn in after.turns] == [
        (turn.role, turn.text, turn.token_ids) for turn in before.turns
    ]
    assert [[image.tobytes() for image in turn.images] for turn in after.turns] == [
        [image.tobytes() for image in turn.images] for turn in before.turns
    ]


def test_a_stream_in_memory_can_be_saved_and_loaded() -> None:
    buffer = io.BytesIO()
    save_conversation(make_conversation(), buffer)
    assert len(load_conversation(buffer).turns) == 3


def test_the_zip_has_readable_markdown(tmp_path: Path) -> None:
    with zipfile.ZipFile(save(make_conversation(), tmp_path / "talk.zip")) as archive:
        text = archive.read("conversation.md").decode()
        names = archive.namelist()
    assert "- Model: microsoft/Phi-3.5-vision-instruct abc123" in text
    assert "- Seed: 3" in text
    assert "![Image 3](pictures/image-3.png)" in text
    assert "אדום וכחול" in text
    assert "pictures/image-3.png" in names


def test_no_metadata_is_saved(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a secret camera"
    photo = tmp_path / "photo.jpg"
    RED.save(photo, exif=exif)
    path = save(Conversation((Turn("user", "?", (photo,)),)), tmp_path / "talk.zip")
    with zipfile.ZipFile(path) as archive:
        assert b"a secret camera" not in archive.read("pictures/image-1.png")


def test_an_unwritable_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be written"):
        save_conversation(make_conversation(), tmp_path / "no" / "talk.zip")


@pytest.mark.parametrize("content", [b"", b"nothing like a zip", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "talk.zip"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="talk.zip is no saved conversation"):
        load_conversation(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="gone.zip is not there"):
        load_conversation(tmp_path / "gone.zip")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"version": 2}, "at version"),
        ({"format": "other"}, "at format"),
        ({"turns": [{"role": "robot", "text": ""}]}, "at turns.0.role"),
        ({"turns": [{"role": "user", "text": 5}]}, "at turns.0.text"),
        ({"num_crops": 1000}, "at num_crops"),
        ({"sampling": {"temperature": 9.0}}, "temperature is 9"),
        ({"turns": [{"role": "user", "text": "", "images": ["../../etc/passwd"]}]}, "lacks"),
        ({"turns": [{"role": "user", "text": "", "images": ["/etc/passwd"]}]}, "lacks"),
    ],
)
def test_an_invalid_manifest_is_refused(tmp_path: Path, manifest, message) -> None:
    path = repack(save(make_conversation(), tmp_path / "talk.zip"), manifest=manifest)
    with pytest.raises(RequestError, match=message):
        load_conversation(path)


def test_a_missing_image_is_reported_by_name(tmp_path: Path) -> None:
    path = repack(
        save(make_conversation(), tmp_path / "talk.zip"), without=["pictures/image-2.png"]
    )
    with pytest.raises(RequestError, match=r"lacks 'pictures/image-2.png'"):
        load_conversation(path)


def test_an_image_is_checked_like_an_upload(tmp_path: Path) -> None:
    entries = {"pictures/image-1.png": b"<script>"}
    path = repack(save(make_conversation(), tmp_path / "talk.zip"), entries=entries)
    with pytest.raises(RequestError, match="is not a picture but a text file"):
        load_conversation(path)


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(conversation_file, "MAX_IMAGE_BYTES", 1000)
    entries = {"pictures/image-1.png": bytes(1_000_000)}
    path = repack(save(make_conversation(), tmp_path / "talk.zip"), entries=entries)
    with pytest.raises(RequestError, match="larger than the limit"):
        load_conversation(path)


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(conversation_file, "MAX_ZIP_BYTES", 100)
    with pytest.raises(RequestError, match="the limit is 0"):
        load_conversation(save(make_conversation(), tmp_path / "talk.zip"))


def test_too_many_images_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(conversation_file, "MAX_IMAGES", 2)
    with pytest.raises(RequestError, match="3 pictures, the limit is 2"):
        load_conversation(save(make_conversation(), tmp_path / "talk.zip"))


def test_a_garbled_zip_is_refused(tmp_path: Path) -> None:
    path = save(make_conversation(), tmp_path / "talk.zip")
    content = bytearray(path.read_bytes())
    content[60:120] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(RequestError):
        load_conversation(path)


def test_images_with_too_many_pixels_together_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(conversation_file, "MAX_ALL_PIXELS", 1500)
    with pytest.raises(RequestError, match="more than 1,500 pixels together"):
        load_conversation(save(make_conversation(), tmp_path / "talk.zip"))


@pytest.mark.parametrize(
    "name",
    ["bomb_conversation.zip", "zipescape_OSError.zip", "zipescape_UnicodeDecodeError.zip"],
)
def test_a_hostile_zip_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="is no saved conversation"):
        load_conversation(HOSTILE / name)


def write_zip(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def name_images(*images: str) -> bytes:
    turns = [{"role": "user", "text": "", "images": list(images)}]
    return json.dumps({"turns": turns}).encode()


@pytest.mark.parametrize(
    "entries",
    [
        {f"{number}": b"" for number in range(1000)},  # in the directory
        {f"{number:0200}": b"" for number in range(5000)},  # a directory that is not even read
        {"conversation.json": name_images("p.png"), "p.png": bytes(2_000_000)},
        {"conversation.json": name_images("p.png", "p.png"), "p.png": b"x"},
    ],
    ids=["entries", "directory", "ratio", "twice"],
)
def test_nothing_is_unpacked_beyond_a_limit(tmp_path: Path, monkeypatch, entries) -> None:
    path = write_zip(tmp_path / "talk.zip", entries)
    monkeypatch.setattr(conversation_file, "open_stream", None)  # it would fail
    with pytest.raises(RequestError, match="is no saved conversation"):
        load_conversation(path)


def test_all_entries_together_are_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(zip_limits, "MAX_UNPACKED_BYTES", 1000)
    path = write_zip(tmp_path / "talk.zip", {"conversation.json": name_images(), "x": bytes(1000)})
    with pytest.raises(RequestError, match="is no saved conversation"):
        load_conversation(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "talk.zip", {"conversation.json": name_images()}, method)
    with pytest.raises(RequestError, match="is no saved conversation"):
        load_conversation(path)


def test_images_can_be_stored_one_by_one(tmp_path: Path) -> None:
    path = save(make_conversation(), tmp_path / "talk.zip")
    loaded = load_conversation(path, keep=lambda image: f"{image.width} wide")
    assert loaded.turns[0].images == ("30 wide", "10 wide")
