"""Small files that stand for a kind of trouble each, and files drawn for one test."""

import struct
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

CASES = Path(__file__).parents[1] / "data" / "documents"
PNG_START = b"\x89PNG\r\n\x1a\n"


def draw_sign(mode: str = "L", size: tuple[int, int] = (120, 60)) -> Image.Image:
    """A light sign with a dark bar in its upper left quarter."""
    image = Image.new("L", size, 220)
    ImageDraw.Draw(image).rectangle((5, 5, size[0] // 2, size[1] // 2), fill=20)
    return image.convert(mode)


def make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def insert_chunk(png: bytes, chunk: bytes, before: bytes) -> bytes:
    """Put a chunk before the first of a kind in a PNG."""
    at = png.index(before) - 4
    return png[:at] + chunk + png[at:]


def make_video(
    path: Path, count: int = 20, rate: int = 10, size: tuple[int, int] = (64, 48)
) -> Path:
    """A video whose frames get lighter, each from 0 to 240 by its share of the whole."""
    import av

    codec = "libvpx" if path.suffix == ".webm" else "mpeg4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            grey = round(number * 240 / max(1, count - 1))
            frame = av.VideoFrame.from_image(Image.new("RGB", size, (grey, grey, grey)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
