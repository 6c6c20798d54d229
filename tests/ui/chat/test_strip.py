"""The strip: pages of a document and frames of a video, added to the pictures by a click."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image
from support.cases import CASES, make_video

from phi3v.documents.pages import find_pages
from phi3v.ui.chat import pictures as pictures_module
from phi3v.ui.chat import strip as strip_module
from phi3v.ui.chat.conversation import to_gallery
from phi3v.ui.chat.pictures import check_pictures
from phi3v.ui.chat.strip import add_pages, draw_strip


@pytest.fixture
def said(monkeypatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(strip_module, "warn", found.append)
    monkeypatch.setattr(strip_module, "inform", found.append)
    monkeypatch.setattr(pictures_module, "warn", found.append)
    return found


def test_pages_appear_one_by_one_and_can_all_be_added() -> None:
    steps = list(draw_strip(str(CASES / "three-pages.tif"), "", 8))
    assert [len(pages) for pages, *_ in steps] == [0, 1, 2, 3]
    assert [button.visible for *_, button in steps] == [False, False, True, True]
    _, gallery, _ = steps[-1]
    assert len(gallery.value.root if hasattr(gallery.value, "root") else gallery.value) == 3


def test_a_range_and_a_number_of_frames_choose(tmp_path: Path) -> None:
    pages = list(draw_strip(str(CASES / "three-pages.tif"), "2-", 8))[-1][0]
    assert [page.number for page in pages] == [2, 3]
    clip = make_video(tmp_path / "clip.mp4")
    assert len(list(draw_strip(str(clip), "", 3.0))[-1][0]) == 3


def test_what_cannot_be_read_is_warned_of(said) -> None:
    steps = list(draw_strip(str(CASES / "locked.pdf"), "", 8))
    assert len(steps) == 1
    assert "locked with a password" in said[0]
    assert list(draw_strip(str(CASES / "three-pages.tif"), "x", 8))
    assert "no choice of pages" in said[1]


def test_added_frames_are_numbered_with_their_times(tmp_path: Path) -> None:
    pages = tuple(find_pages([make_video(tmp_path / "clip.mp4")], frames=2))
    shown = add_pages(str(tmp_path / "cache"), pages, [("a.png", "Image 1")])
    assert [caption for _, caption in shown] == [
        "Image 1", "Image 2 at 0:00.5", "Image 3 at 0:01.5",
    ]  # fmt: skip
    assert shown == to_gallery([file for file, _ in shown])  # so it is not checked again
    assert Image.open(shown[1][0]).size == (64, 48)


def test_a_video_among_the_pictures_becomes_its_frames(tmp_path: Path, monkeypatch, said) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    clip = make_video(tmp_path / "clip.mp4")
    shown = check_pictures([(str(clip), None)])
    assert len(shown) == 8
    assert "8 of 20 pages or frames were added" in said[0]
    assert check_pictures(shown) == gr.skip()
