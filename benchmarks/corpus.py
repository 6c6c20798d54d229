"""Opens files that other programs made, and compares them with what was meant.

`python -m benchmarks.corpus` needs ImageMagick, ffmpeg, img2pdf and qpdf (Debian has
them). It prints a line for each kind and exits with 1 if one was wrong or silent: a file must give
the pictures that were put into it, or a problem that names it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from phi3v.documents.pages import Problem, find_pages, open_pages

# Mean difference per sample, of 255, between a picture and what was meant.
EXACT, LOSSY, COARSE = 2.0, 8.0, 24.0
COUNT: Final = 8  # pictures of each kind
FRAMES: Final = 5
TURNS: Final = (
    "TopLeft", "TopRight", "BottomRight", "BottomLeft", "LeftTop", "RightTop", "RightBottom",
    "LeftBottom",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """How a kind of file is made from pictures, and what must come of it.

    command has {source} (or {sources}, the frames; {pattern}, for ffmpeg) and {target}. pictures is
    how many are meant, 0 for a refusal that says `refusal`.
    """

    name: str
    suffix: str
    command: str
    tolerance: float = EXACT
    pictures: int = 1
    is_grey: bool = False
    refusal: str = ""


def convert(name: str, suffix: str, options: str, *rest: object, **more: object) -> Kind:
    """Return a kind that ImageMagick makes of one picture."""
    return Kind(name, suffix, f"convert {{source}} {options} {{target}}", *rest, **more)  # type: ignore[arg-type]


def film(name: str, suffix: str, options: str, tolerance: float = COARSE) -> Kind:
    """Return a kind of video or animation that ffmpeg makes of some frames."""
    command = f"ffmpeg -loglevel error -y -framerate 5 -i {{pattern}} {options} {{target}}"
    return Kind(name, suffix, command, tolerance, FRAMES)


KINDS: Final = (
    convert("PNG", "png", ""),
    convert("PNG, 16 bits", "png", "-depth 16"),
    convert("PNG, grey of 16 bits", "png", "-colorspace Gray -depth 16", COARSE, is_grey=True),
    convert("PNG, palette", "png", "-colors 64 -type Palette", COARSE),
    convert("PNG, interlaced", "png", "-interlace PNG"),
    convert("PNG, transparent", "png", "-alpha set -bordercolor none"),
    convert("JPEG", "jpg", "-quality 92", LOSSY),
    convert("JPEG, progressive", "jpg", "-interlace JPEG -quality 92", LOSSY),
    convert("JPEG, grey", "jpg", "-colorspace Gray -quality 92", LOSSY, is_grey=True),
    convert("JPEG, CMYK", "jpg", "-colorspace CMYK -quality 95", COARSE),
    convert("GIF", "gif", "-colors 128", COARSE),
    convert("WebP", "webp", "-quality 90", LOSSY),
    convert("WebP, lossless", "webp", "-define webp:lossless=true"),
    convert("BMP", "bmp", ""),
    convert("BMP 3", "bmp", "-define bmp:format=bmp3"),
    convert("TIFF", "tif", "-compress none"),
    convert("TIFF, LZW", "tif", "-compress LZW"),
    convert("TIFF, deflate", "tif", "-compress Zip"),
    convert("TIFF, JPEG", "tif", "-compress JPEG -quality 92", LOSSY),
    convert("TIFF, 16 bits", "tif", "-depth 16"),
    convert(
        "TIFF, float", "tif", "-colorspace Gray -depth 32 -define quantum:format=floating-point",
        COARSE, is_grey=True,
    ),
    convert("TIFF, big-endian", "tif", "-endian MSB"),
    convert("TIFF, tiles", "tif", "-define tiff:tile-geometry=64x64"),
    Kind("TIFF, pages", "tif", "convert {sources} {target}", EXACT, FRAMES),
    # ImageMagick 6 writes the rows of a TGA from the top and says that they are from the bottom.
    Kind("TGA", "tga", "ffmpeg -loglevel error -y -i {source} -update 1 {target}"),
    convert("PPM", "ppm", ""),
    convert("PGM", "pgm", "-colorspace Gray", COARSE, is_grey=True),
    convert("JPEG 2000", "jp2", "-quality 60", LOSSY),
    convert("AVIF", "avif", "-quality 85", COARSE),
    convert("HEIC", "heic", "-quality 85", COARSE),
    Kind("GIF, animated", "gif", "convert -delay 20 {sources} {target}", COARSE, FRAMES),
    Kind("WebP, animated", "webp", "convert -delay 20 {sources} {target}", COARSE, FRAMES),
    film("APNG", "png", "-f apng", LOSSY),
    film("MP4, H.264", "mp4", "-c:v libx264 -pix_fmt yuv420p -crf 12"),
    film("MP4, MPEG-4", "mp4", "-c:v mpeg4 -q:v 2"),
    film("MOV", "mov", "-c:v libx264 -pix_fmt yuv420p -crf 12"),
    film("WebM, VP8", "webm", "-c:v libvpx -b:v 4M"),
    film("WebM, VP9", "webm", "-c:v libvpx-vp9 -b:v 4M -deadline realtime"),
    film("Matroska", "mkv", "-c:v libx264 -pix_fmt yuv420p -crf 12"),
    film("AVI, MJPEG", "avi", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"),
    film("Ogg, Theora", "ogv", "-c:v libtheora -q:v 10"),
    film("FLV", "flv", "-c:v flv -q:v 2"),
    film("MPEG transport", "ts", "-c:v mpeg2video -q:v 2 -r 25 -g 5"),
    Kind("PDF, img2pdf", "pdf", "img2pdf {sources} -o {target}", COARSE, FRAMES),
    Kind("PDF, turned", "pdf", "qpdf --rotate=+0:1 {pdf} {target}", COARSE, FRAMES),
    Kind("PDF, linearized", "pdf", "qpdf --linearize {pdf} {target}", COARSE, FRAMES),
    Kind("PDF, object streams", "pdf", "qpdf --object-streams=generate {pdf} {target}", COARSE,
         FRAMES),
    Kind("PDF, locked", "pdf", "qpdf --encrypt a b 256 -- {pdf} {target}", pictures=0,
         refusal="locked with a password"),
    convert("Photoshop", "psd", "", pictures=0, refusal="Photoshop"),
    Kind("PostScript", "eps", "printf '%%!PS-Adobe-3.0' > {target}", pictures=0,
         refusal="PostScript"),
    Kind("SVG", "svg", "printf '<svg/>' > {target}", pictures=0, refusal="SVG"),
    convert("PCX", "pcx", "", pictures=0, refusal="not a picture"),
    Kind("Word", "docx", "zip -q {target} word/document.xml", pictures=0, refusal="Word"),
    Kind("a cut PNG", "png", "head -c 300 {source} > {target}", pictures=0, refusal="damaged"),
    Kind("a cut PDF", "pdf", "head -c 40 {pdf} > {target}", pictures=0, refusal="garbled"),
)  # fmt: skip


def draw(number: int, size: tuple[int, int]) -> Image.Image:
    """Draw a picture that no turn, mirror or other number of it equals."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    smooth = np.stack([200 - 90 * x, 120 + 80 * y, 60 + 120 * x * y], axis=-1)
    image = Image.fromarray(smooth.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    width, height = size[0] // 3, size[1] // 3
    pen.rectangle((4, 4, width, height), fill="white")
    pen.rectangle((8 + 3 * number, 8, width - 4, height // 2), fill="black")
    pen.text((size[0] // 2, size[1] // 2), f"number {number}", fill="black")
    return image


def make(kind: Kind, number: int, folder: Path) -> tuple[Path, list[Image.Image]]:
    """Make one file of a kind; return it and the pictures that are meant."""
    size = (160 + 16 * number, 96 + 16 * (number * 5 % 8))
    work = folder / "sources"
    work.mkdir(exist_ok=True)
    (work / "word").mkdir(exist_ok=True)
    (work / "word" / "document.xml").write_text("<w:document/>")
    count = max(kind.pictures, 1) if "{source}" not in kind.command else 1
    meant = [draw(number + 1 + index, size) for index in range(count if kind.pictures else 2)]
    sources = [work / f"source-{index:02}.png" for index in range(len(meant))]
    for picture, path in zip(meant, sources, strict=True):
        picture.save(path)
    pdf = work / "source.pdf"
    target = folder / f"{kind.name.replace(', ', '-').replace(' ', '_')}-{number}.{kind.suffix}"
    if "{pdf}" in kind.command:
        run(f"img2pdf {' '.join(map(str, sources))} -o {pdf}", work)
    fields = {
        "source": str(sources[0]),
        "sources": " ".join(map(str, sources)),
        "pattern": str(work / "source-%02d.png"),
        "pdf": str(pdf),
        "target": str(target),
    }
    run(kind.command.format(**fields), work)
    for path in sources:
        path.unlink()
    return target, meant if kind.pictures else []


def make_turned(number: int, folder: Path) -> tuple[Path, list[Image.Image]]:
    """Make a JPEG with one of the eight orientations."""
    meant = draw(number, (200, 120))
    upright, target = folder / "upright.png", folder / f"turned-{TURNS[number]}.jpg"
    undone = (None, 0, 3, 1, 5, 4, 6, 2)[number]  # Pillow's transposition that undoes the turn
    (meant if undone is None else meant.transpose(Image.Transpose(undone))).save(upright)
    exif = Image.Exif()
    exif[0x0112] = number + 1
    with Image.open(upright) as image:
        image.save(target, quality=92, exif=exif)
    upright.unlink()
    return target, [meant]


def run(command: str, folder: Path) -> None:
    """Run a shell command of this file, without any input of others."""
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, timeout=60)


def judge(kind: Kind, path: Path, meant: Sequence[Image.Image]) -> str:
    """Return what is wrong with the way a file is read; "" if nothing is."""
    opened = list(open_pages(find_pages([path])))
    problems = [page for page in opened if isinstance(page, Problem)]
    images = [page[1] for page in opened if not isinstance(page, Problem)]
    if not opened:
        return "silent"
    if not meant:
        told = any(kind.refusal in page.message and path.name in page.message for page in problems)
        return "" if told and not images else f"refused as: {problems[:1]}"
    if problems or len(images) != len(meant):
        return f"{len(images)} of {len(meant)} pictures, {[page.message for page in problems]}"
    return "; ".join(
        filter(None, (compare(kind, *pair) for pair in zip(images, meant, strict=True)))
    )


def compare(kind: Kind, image: Image.Image, meant: Image.Image) -> str:
    """Return how a picture differs from what was meant; "" if it does not."""
    if kind.suffix == "pdf":
        if abs(image.width / image.height - meant.width / meant.height) > 0.02:
            return f"shape {image.size}"
        image = image.resize(meant.size)
    if image.size != meant.size:
        return f"size {image.size} for {meant.size}"
    if kind.is_grey:
        image, meant = stretch(image), stretch(meant)
    found, wanted = (np.asarray(picture).astype(np.float32) for picture in (image, meant))
    difference = float(np.abs(found - wanted).mean())
    return "" if difference <= kind.tolerance else f"differs by {difference:.1f}"


def stretch(image: Image.Image) -> Image.Image:
    """Return the grey values between black and white: what is grey has a scale of its own."""
    values = np.asarray(image.convert("L")).astype(np.float32)
    low, high = values.min(), max(values.max(), values.min() + 1)
    return Image.fromarray(((values - low) * (255 / (high - low))).astype(np.uint8))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make and judge all files; return 1 if any is wrong or silent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT, help=f"files of each kind ({COUNT})")
    count = parser.parse_args(arguments).count
    wrong = total = 0
    not_made: list[str] = []
    turned = Kind("JPEG, turned", "jpg", "", LOSSY)
    with tempfile.TemporaryDirectory() as name:
        for kind in (*KINDS, turned):
            failures, made = [], 0
            for number in range(count):
                try:
                    maker = make_turned(number % 8, Path(name)) if kind is turned else None
                    path, meant = maker or make(kind, number, Path(name))
                except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                    not_made.append(f"{kind.name}: {(error.stderr or b'')[-120:]!r}")
                    break
                made += 1
                if problem := judge(kind, path, meant):
                    failures.append(f"{path.name}: {problem}")
            total, wrong = total + made, wrong + len(failures)
            print(f"{kind.name:24} {made:3} files, {len(failures)} wrong", *failures[:2], sep="  ")
    print(f"{total} files of {len(KINDS) + 1 - len(not_made)} kinds, {wrong} wrong")
    print(*(f"not made here: {line}" for line in not_made), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
