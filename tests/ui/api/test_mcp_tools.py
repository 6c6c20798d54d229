"""Pictures that agents send are opened within limits, or refused with a message."""

import base64
import io

import pytest
from PIL import Image
from support.cases import make_video

from phi3v.request import RequestError
from phi3v.ui.api.mcp_tools import open_sent


def as_data_url(size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_picture_in_a_data_url_is_opened() -> None:
    assert [image.size for image in open_sent([as_data_url((4, 3))], 10_000)] == [(4, 3)]


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
def test_what_is_no_picture_is_refused(images: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        open_sent(images, 10_000)


def test_frames_of_a_video_are_opened(tmp_path) -> None:
    content = make_video(tmp_path / "clip.mp4").read_bytes()
    url = "data:video/mp4;base64," + base64.b64encode(content).decode()
    assert [image.size for image in open_sent([url], 1_000_000)] == [(64, 48)] * 8
