"""The comparison beside the chat of the Compare tab, for two pictures or more."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image, ImageDraw

import phi3v.ui.compare.layout as compare_view
from phi3v.comparison.difference import compare_pictures, draw_map
from phi3v.ui import words
from phi3v.ui.chat.conversation import to_gallery
from phi3v.ui.compare import words as compare_words
from phi3v.ui.compare.layout import choose_pair


def compare_shown(shown, first: int | None, second: int | None) -> tuple:
    """Return the outputs of a first comparison."""
    return compare_view.compare_shown((), shown, first, second)[1:]


def draw(path: Path, dot: str = "red") -> str:
    image = Image.new("RGB", (120, 90), "white")
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((10, 10, 50, 50), fill="navy")
    drawing.ellipse((90, 60, 110, 80), fill=dot)
    image.save(path)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    colours = ("red", "lime", "red")
    return [draw(tmp_path / f"{i}.png", colour) for i, colour in enumerate(colours)]


def test_the_place_where_two_similar_pictures_differ_is_named(files: list[str]) -> None:
    _, _, verdict, slider, changes = compare_shown(to_gallery(files[:2]), None, None)
    assert verdict.startswith("**Nearly the same**: Image 1 and Image 2 differ in one place")
    assert "Where: 1 bottom right." in verdict
    assert slider.label == "Image 1 | Image 2"
    assert changes.value is not None


def test_identical_pictures_are_recognized(files: list[str]) -> None:
    verdict = compare_shown(to_gallery([files[0], files[2]]), None, None)[2]
    assert verdict == "**Identical**: Image 1 and Image 2 are the same in every pixel."


def test_different_pictures_have_no_map(files: list[str], tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.effect_noise((120, 90), 90).save(noise)
    _, _, verdict, slider, changes = compare_shown(to_gallery([files[0], str(noise)]), None, None)
    assert verdict.startswith("**Different pictures**")
    assert slider.value is not None
    assert changes.value is None


def test_of_more_than_two_pictures_the_pair_is_chosen(files: list[str]) -> None:
    first, second, verdict, *_ = compare_shown(to_gallery(files), 2, 0)
    assert (first.visible, first.value, second.value) == (True, 2, 0)
    assert first.choices == [("Image 1", 0), ("Image 2", 1), ("Image 3", 2)]
    assert verdict.startswith("**Identical**: Image 3 and Image 1")


def test_of_two_pictures_there_is_nothing_to_choose(files: list[str]) -> None:
    assert compare_shown(to_gallery(files[:2]), None, None)[0].visible is False


def test_a_choice_that_is_gone_becomes_the_first_two() -> None:
    assert choose_pair(3, 1, 2) == (1, 2)
    assert choose_pair(2, 1, 2) == (0, 1)
    assert choose_pair(1, 0, 1) is None


def test_the_same_picture_chosen_twice_is_reported(files: list[str]) -> None:
    assert compare_shown(to_gallery(files), 1, 1)[2] == compare_words.SAME_TWICE


def test_one_picture_is_not_compared(files: list[str]) -> None:
    assert compare_shown(to_gallery(files[:1]), None, None)[2] == compare_words.EMPTY
    assert compare_shown(None, None, None)[2] == compare_words.EMPTY


def test_pictures_that_are_not_checked_yet_are_left_alone(files: list[str]) -> None:
    assert compare_shown([(file, None) for file in files], None, None) == (gr.skip(),) * 5


def test_a_missing_picture_is_reported_by_its_number(files: list[str]) -> None:
    Path(files[1]).unlink()
    verdict = compare_shown(to_gallery(files[:2]), None, None)[2]
    assert verdict == (
        "The pictures were not compared. Image 2 is not there (any more): upload it again."
    )


def test_a_failure_is_reported_in_plain_words(files: list[str], monkeypatch) -> None:
    def fail(*pictures: Image.Image) -> None:
        raise ArithmeticError("a secret from the inside")

    monkeypatch.setattr(compare_view, "compare_pictures", fail)
    assert compare_shown(to_gallery(files[:2]), None, None)[2] == compare_words.NOT_COMPARED.format(
        reason=words.BROKEN
    )


def test_many_places_are_counted_and_the_first_named() -> None:
    first = Image.new("RGB", (600, 600), "white")
    ImageDraw.Draw(first).line((0, 300, 600, 300), fill="black", width=4)
    second = first.copy()
    for x in range(40, 600, 120):
        for y in (60, 500):
            ImageDraw.Draw(second).rectangle((x, y, x + 30, y + 30), fill="red")
    text = compare_words.describe_difference(compare_pictures(first, second), "A", "B")
    assert "differ in 10 places" in text
    assert "8 bottom, and 2 more." in text


def test_the_map_is_grey_but_for_what_changed(files: list[str]) -> None:
    drawn = draw_map(compare_pictures(*(Image.open(file) for file in files[:2])))
    assert len(set(drawn.getpixel((30, 30)))) == 1
    red, green, _ = drawn.getpixel((100, 70))
    assert red > green + 50


def test_what_has_just_been_compared_is_not_compared_again(files: list[str]) -> None:
    done, *_ = compare_view.compare_shown((), to_gallery(files), 0, 2)
    assert compare_view.compare_shown(done, to_gallery(files), 0, 2) == (gr.skip(),) * 6
    assert compare_view.compare_shown(done, to_gallery(files), 0, 1)[0] != done
