"""Recognizes files by their first bytes: which reader they need, or what they are instead.

Knows what people hand in beside pictures: office documents, raw photos, drawings, videos. Must not
decode anything.
"""

import zipfile
from collections.abc import Callable
from typing import BinaryIO, Final, Literal

from phi3v.translatable import Text

# Packings of a TIFF that are undone in a time bounded by the number of its pixels.
PLAIN_PACKING: Final = (
    "raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "tiff_ccitt", "group3",
    "group4", "tiff_raw_16",
)  # fmt: skip

# What reads a file: Pillow in this process ("plain"), in the worker ("coded"), or as its packing
# asks ("tiff"); PDFium, FFmpeg, or nothing.
Reader = Literal["plain", "tiff", "coded", "pdf", "video", ""]

READABLE: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
# Pillow opens more formats, among them PostScript, for which it runs an interpreter on the file.
# (A JPEG of several pictures is opened as one.)
PLAIN_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "AVIF")
# HEIF is known to Pillow only after its plugin was registered.
FORMATS: Final = (*PLAIN_FORMATS, "TIFF", "JPEG2000", "ICO", "TGA")

HEIF_BRANDS: Final = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2",
    b"msf1", b"heif",
}  # fmt: skip
AVIF_BRANDS: Final = {b"avif", b"avis"}
VIDEO_STARTS: Final = (b"\x1a\x45\xdf\xa3", b"OggS", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3")
PLAIN_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
TIFF_STARTS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JPEG_2000_STARTS: Final = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
OFFICE_SUFFIXES: Final = (
    ".doc", ".docx", ".docm", ".xls", ".xlsx", ".xlsm", ".ppt", ".pptx", ".odt", ".ods", ".odp",
    ".odg", ".rtf", ".pages", ".numbers", ".key",
)  # fmt: skip
TGA_SUFFIXES: Final = (".tga", ".icb", ".vda", ".vst", ".tpic")
HEAD_BYTES: Final = 1024
# What an upload offers, as kinds and suffixes; those of TGA and MPO are of no kind.
DOCUMENT_TYPES: Final = ["image", "video", ".pdf", ".tga", ".mpo", ".jp2", ".heic", ".heif"]


def explain_office(name: str, found: str) -> Text:
    """Return the message for a document that its own program can save as PDF."""
    return Text(
        "{name} is {found}, which is not read here: save it as PDF in the program that made it "
        "and give that.",
        name=name,
        found=found,
    )


def explain_raw(name: str, found: str = Text("a raw photo")) -> Text:
    """Return the message for a photo as the camera's sensor has it."""
    return Text(
        "{name} is {found}, and only the small preview inside it could be shown: develop it and "
        "give a JPEG.",
        name=name,
        found=found,
    )


def explain_other(name: str, found: str, readable: str = READABLE) -> Text:
    """Return the message for a picture or document of a kind that is not read."""
    return Text(
        "{name} is not a picture that can be read here but {found}: save it as {readable}.",
        name=name,
        found=found,
        readable=readable,
    )


# The beginnings of files that are told by name, and what they are. Checked in this order.
KNOWN: Final[tuple[tuple[bytes, Callable[[str, str], Text], Text], ...]] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", explain_office, Text("an office document")),
    (b"{\\rtf", explain_office, Text("an office document")),
    (b"FUJIFILMCCD-RAW", explain_raw, Text("a raw photo")),
    (b"IIU\0", explain_raw, Text("a raw photo")),
    (b"IIRO", explain_raw, Text("a raw photo")),
    (b"IIRS", explain_raw, Text("a raw photo")),
    (b"8BPS", explain_other, Text("a Photoshop document")),
    (b"%!PS", explain_other, Text("a PostScript document")),
    (b"\xc5\xd0\xd3\xc6", explain_other, Text("a PostScript document")),
    (b"AT&TFORM", explain_other, Text("a DjVu document")),
    (b"\xff\x0a", explain_other, Text("a JPEG XL picture")),
    (b"\0\0\0\x0cJXL ", explain_other, Text("a JPEG XL picture")),
)


def recognize(head: bytes, name: str) -> Reader:
    """Return the reader of a file by its first HEAD_BYTES bytes; name decides for TGA only."""
    if head.startswith(PLAIN_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "plain"
    if head[:1] == b"P" and head[1:2] in b"123456yf" and head[2:3].isspace():
        return "plain"
    if head.startswith(TIFF_STARTS):
        return "tiff"
    if head.startswith((*JPEG_2000_STARTS, b"\0\0\1\0")):
        return "coded"
    if head[4:8] == b"ftyp":
        brands = list_brands(head)
        if brands & AVIF_BRANDS:
            return "plain"
        if brands & HEIF_BRANDS:
            return "coded"
        return "" if head[8:12] == b"crx " else "video"
    if b"%PDF-" in head:
        return "pdf"
    if head.startswith(VIDEO_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "video"
    if head[4:8] in (b"moov", b"mdat", b"wide") or head[:1] == b"\x47" == head[188:189]:
        return "video"
    return "coded" if name.lower().endswith(TGA_SUFFIXES) else ""


def list_brands(head: bytes) -> set[bytes]:
    """Return the brands that an ISO media file names in its first box: what it can be read as."""
    size = min(int.from_bytes(head[:4]), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, size, 4)}


def explain_unreadable(file: BinaryIO, name: str) -> Text:
    """Return the message for a file that is no picture or a broken one, by its content."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        return Text("{name} is empty (0 bytes): upload it again.", name=name)
    for start, explain, found in KNOWN:
        if head.startswith(start):
            return explain(name, found)
    if head[4:12] == b"ftypcrx " or (head.startswith(TIFF_STARTS) and head[8:10] == b"CR"):
        return explain_raw(name)
    if head.startswith(b"PK\x03\x04"):
        return explain_archive(file, name)
    if name.lower().endswith(OFFICE_SUFFIXES):
        return explain_office(name, Text("an office document"))
    reader = recognize(head, name)
    if reader in ("plain", "tiff", "coded"):
        return Text(
            "{name} is a damaged {format}: the file breaks off or is garbled. Save or download it "
            "again.",
            name=name,
            format=name_format(head),
        )
    found = Text("a video") if reader == "video" else Text("a PDF document")
    if not reader:
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg")) and b"<svg" in text:
            return explain_other(name, Text("an SVG drawing"), Text("PNG or PDF"))
        is_text = all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head[:64])
        found = Text("a text file") if is_text else Text("something else or a damaged file")
    return Text(
        "{name} is not a picture but {found}: give {readable}.",
        name=name,
        found=found,
        readable=READABLE,
    )


def explain_archive(file: BinaryIO, name: str) -> Text:
    """Return the message for a ZIP file: an office document, an e-book, or an archive."""
    file.seek(0)
    head = file.read(200)
    try:
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            entries = [info.filename for info in archive.filelist[:1000]]
    except Exception:  # a broken archive: its beginning has to do
        entries = []
    for folder, found in (
        ("word/", Text("a Word document")),
        ("xl/", Text("an Excel sheet")),
        ("ppt/", Text("a PowerPoint presentation")),
    ):
        if any(entry.startswith(folder) for entry in entries):
            return explain_office(name, found)
    if b"[Content_Types].xml" in head or b"opendocument" in head or b"_rels/" in head:
        return explain_office(name, Text("an office document"))
    if b"application/epub" in head:
        return explain_office(name, Text("an e-book"))
    return Text(
        "{name} is a ZIP archive, which is not opened here: unpack it and give the files in it.",
        name=name,
    )


def name_format(head: bytes) -> str:
    """Return the name of a picture's format by the first bytes of its file."""
    if head[4:8] == b"ftyp":
        return "AVIF" if list_brands(head) & AVIF_BRANDS else Text("HEIC photo")
    names = (
        (b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"RIFF", "WebP"),
        (b"BM", "BMP"), (b"II", "TIFF"), (b"MM", "TIFF"), (b"\0\0\0\x0cjP", "JPEG 2000"),
        (b"\xff\x4f", "JPEG 2000"),
    )  # fmt: skip
    return next((found for start, found in names if head.startswith(start)), Text("picture"))
