"""TIFFs have pages, videos and animations have frames with times; none is lost without a word."""

from pathlib import Path

import pytest
from PIL import Image
from support.cases import CASES, draw_sign, make_video

from phi3v.documents.pages import Page, Problem, find_pages, open_pages
from phi3v.documents.resolution import spread_evenly, write_time
from phi3v.documents.sources import open_sources, take_pages
from phi3v.request import RequestError


def make_animation(path: Path, count: int = 5, duration: int = 250) -> Path:
    frames = [Image.new("RGB", (40, 30), (number * 40, 0, 0)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return path


def pages_of(path: Path, **options) -> list[Page]:
    found = list(find_pages([path], **options))
    assert not [page for page in found if isinstance(page, Problem)]
    return found


def test_all_pages_of_a_tiff_are_found_and_differ() -> None:
    pages = pages_of(CASES / "three-pages.tif")
    assert [page.name for page in pages] == [
        f"three-pages.tif, page {number}" for number in (1, 2, 3)
    ]
    assert len({page.open().tobytes() for page in pages}) == 3


def test_a_range_selects_pages_of_a_tiff() -> None:
    assert [page.number for page in pages_of(CASES / "three-pages.tif", pages="2-")] == [2, 3]
    (problem,) = find_pages([CASES / "three-pages.tif"], "7")
    assert "has 3 pages" in problem.message


def test_a_smaller_copy_in_a_tiff_is_no_page(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    small = draw_sign("RGB", (30, 15))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    draw_sign("RGB").save(path, save_all=True, append_images=[small])
    assert len(pages_of(path)) == 1


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif"])
def test_frames_of_an_animation_have_their_times(tmp_path: Path, suffix: str) -> None:
    path = make_animation(tmp_path / f"moving.{suffix}")
    pages = pages_of(path)
    assert [page.time for page in pages] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert pages[2].name == f"moving.{suffix}, frame 3 of 5 at 0:00.5"
    reds = [page.open().getpixel((20, 15))[0] for page in pages]
    assert all(abs(red - number * 40) < 12 for number, red in enumerate(reds))


def test_a_long_animation_says_how_many_frames_were_taken(tmp_path: Path) -> None:
    path = make_animation(tmp_path / "long.gif", count=6)
    pages = pages_of(path, frames=2)
    assert [page.name for page in pages] == [
        "long.gif, frame 2 of 6 at 0:00.2", "long.gif, frame 5 of 6 at 0:01.0",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.webm", "clip.mkv", "clip.avi"])
def test_frames_of_a_video_are_spread_over_it(tmp_path: Path, name: str) -> None:
    pages = pages_of(make_video(tmp_path / name), frames=4)
    assert [page.number for page in pages] == [3, 8, 13, 18]
    assert [page.time for page in pages] == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.011)
    greys = [page.open().getpixel((30, 20))[0] for page in pages]
    assert all(
        abs(grey - (page.number - 1) * 240 / 19) < 14
        for grey, page in zip(greys, pages, strict=True)
    )


def test_a_video_that_breaks_off_shows_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.webm", count=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    opened = list(open_pages(find_pages([path], frames=3)))
    assert 1 <= len([page for page in opened if isinstance(page, tuple)]) <= 3


def test_a_damaged_video_is_a_problem(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[:100])
    (problem,) = find_pages([path])
    assert "clip.mp4 is a damaged video" in problem.message


def test_a_song_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (problem,) = find_pages([path])
    assert "sound but no pictures" in problem.message


def test_a_playlist_that_names_other_files_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {make_video(tmp_path / 'a.mp4')}\n")
    ((problem),) = open_pages(find_pages([path]))
    assert isinstance(problem, Problem)


def test_the_frames_asked_for_must_be_some(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="choose 1 or more"):
        list(find_pages([], frames=0))


def test_indices_are_spread_evenly() -> None:
    assert list(spread_evenly(3, 8)) == [0, 1, 2]
    assert list(spread_evenly(100, 4)) == [12, 37, 62, 87]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (62.5, "1:02.5"), (3723, "1:02:03.0")]
)
def test_times_are_written_as_a_clock_shows_them(seconds: float, text: str) -> None:
    assert write_time(seconds) == text


def test_sources_of_a_question_become_its_images(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    draw_sign("RGB").save(picture)
    images = open_sources([picture, CASES / "three-pages.tif", make_animation(tmp_path / "m.gif")])
    assert images[0] == picture
    assert [image.size for image in images[1:]] == [(320, 120)] * 3 + [(40, 30)] * 5


def test_of_a_long_document_the_first_pages_are_taken() -> None:
    taken = take_pages(CASES / "three-pages.tif", "three-pages.tif", frames=2)
    assert (len(taken.pages), taken.total, taken.is_picture) == (2, 3, False)


def test_no_more_frames_than_fit_are_opened(tmp_path: Path) -> None:
    asked = []

    def fit(size: tuple[int, int], count: int) -> int:
        asked.append((size, count))
        return 3

    clip = make_video(tmp_path / "clip.mp4")
    images = open_sources([clip, CASES / "three-pages.tif"], 6, fit)
    assert [image.size for image in images] == [(64, 48)] * 3 + [(320, 120)] * 3
    assert asked == [((64, 48), 6)]
