"""Pictures that agents send are opened within limits, or refused with a message."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from support.cases import make_video

from phi3v.documents.images import open_image
from phi3v.documents.sources import open_sources
from phi3v.request import RequestError
from phi3v.ui.api.mcp_tools import save_sent


def as_data_url(size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_picture_in_a_data_url_becomes_a_file(tmp_path: Path) -> None:
    (path,) = save_sent([as_data_url((4, 3))], 10_000, tmp_path)
    assert open_image(path).size == (4, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["data:image/png;base64,###"], "Image 1 is no data URL"),
        (["data:image/png,abcd"], "Image 1 is no data URL"),
        (["data:image/png;base64," + "A" * 40_000], "the limit is"),
        (["data:image/png;base64,aGVsbG8gd29ybGQ="], "Image 1 is not a picture"),
        (["/etc/passwd"], "is no web address"),
        (["http://127.0.0.1/x.png"], "not on the public internet"),
        (["data:,"] * 17, "17 pictures were sent, the limit is 16"),
    ],
)
def test_what_is_no_picture_is_refused(images: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        save_sent(images, 10_000, tmp_path)


def test_frames_of_a_video_are_taken(tmp_path: Path) -> None:
    content = make_video(tmp_path / "clip.mp4").read_bytes()
    url = "data:video/mp4;base64," + base64.b64encode(content).decode()
    sent = save_sent([url], 1_000_000, tmp_path)
    assert [image.size for image in open_sources(sent)] == [(64, 48)] * 8
