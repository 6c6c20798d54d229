"""Reads the frames of videos with FFmpeg's libraries, in the worker process.

Knows MP4, MOV, WebM, Matroska, AVI, Ogg, FLV and MPEG; others, among them playlists that name
further files, are not opened. Must not know the app.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import av
from PIL import Image

from phi3v.documents.decoding import MAX_PIXELS, explain_size
from phi3v.documents.formats import HEAD_BYTES
from phi3v.request import RequestError
from phi3v.translatable import Text

# Three hours at 60 frames a second; of a longer video the beginning is known.
MAX_TIMES: Final = 650_000
# A frame this much earlier than asked for, in seconds, is the one: times are rounded.
TOLERANCE: Final = 0.0005

av.logging.set_level(None)


@contextmanager
def open_video(file: BinaryIO, name: str) -> Iterator[tuple[Any, Any]]:
    """Open a video; give its container and stream. Raises RequestError for what is none."""
    demuxer = choose_demuxer(file.read(HEAD_BYTES))
    file.seek(0)
    try:
        with av.open(file, format=demuxer, metadata_errors="ignore") as container:
            streams = [stream for stream in container.streams.video if not is_cover(stream)]
            if not streams:
                raise RequestError(
                    "{name} has sound but no pictures: give a video, a picture or a PDF.", name=name
                )
            check_pixels(streams[0].width, streams[0].height, name)
            yield container, streams[0]
    except RequestError:
        raise
    except Exception as error:  # FFmpeg's errors are of many types
        raise RequestError(
            "{name} is a damaged video, or one of a kind that is not known here: save it as MP4 "
            "(H.264).",
            name=name,
        ) from error


def choose_demuxer(head: bytes) -> str | None:
    """Return FFmpeg's name of the container that a file begins like."""
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"FLV"):
        return "flv"
    if head.startswith(b"RIFF"):
        return "avi"
    if head.startswith(b"\0\0\x01\xba"):
        return "mpeg"
    if head.startswith(b"\0\0\x01\xb3"):
        return "mpegvideo"
    return "mpegts" if head.startswith(b"\x47") else "mov"


def is_cover(stream: Any) -> bool:
    """True for the picture of a song's cover."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def list_times(file: BinaryIO, name: str) -> list[float]:
    """Return the times of a video's frames in seconds, ascending, without decoding them."""
    times: set[float] = set()
    with open_video(file, name) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.size:
                    times.add(float(packet.pts * packet.time_base))
                if len(times) >= MAX_TIMES:
                    break
        except av.FFmpegError:  # it breaks off: what is there can be shown
            if not times:
                raise
    if not times:
        raise RequestError("{name} is a video without a single frame.", name=name)
    return sorted(times)


def decode_frame(file: BinaryIO, name: str, seconds: float) -> Image.Image:
    """Return the frame shown at a time, or the last one before it, upright and in RGB."""
    with open_video(file, name) as (container, stream):
        found = None
        try:
            container.seek(round(seconds / stream.time_base), stream=stream)
            found = find_frame(container, stream, seconds, name)
        except av.FFmpegError:  # no index to seek by, or damage between
            pass
        if found is None:
            container.seek(0)
            found = find_frame(container, stream, seconds, name)
        if found is None:
            raise RequestError(
                "{name} cannot be decoded: the video is damaged there. Save it again.", name=name
            )
        image = found.to_image()
        turned = getattr(found, "rotation", 0) % 360
        return image.rotate(turned, expand=True) if turned else image


def find_frame(container: Any, stream: Any, seconds: float, name: str) -> Any:
    """Return the first decoded frame at or after a time, else the last one; None without any."""
    last = None
    try:
        for frame in container.decode(stream):
            check_pixels(frame.width, frame.height, name)
            last = frame
            if frame.time is not None and frame.time >= seconds - TOLERANCE:
                break
    except av.FFmpegError:
        if last is None:
            raise
    return last


def check_pixels(width: int, height: int, name: str) -> None:
    """Raise RequestError for frames of more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        found = Text(
            "{width:,} x {height:,} = {count:,} pixels",
            width=width,
            height=height,
            count=width * height,
        )
        raise RequestError(explain_size(name, found))
