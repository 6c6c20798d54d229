"""From a file or an address to an upright RGB picture, within limits.

Knows what people upload: phone photos, scans, animations, broken files, addresses they should not
reach. Whatever it refuses becomes a RequestError that names the file, what was found and what to
do. Knows nothing of the network, the page, or where a picture goes next.
"""

import asyncio
import io
import ipaddress
import re
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, Final

import httpx
import numpy as np
from PIL import Image, ImageOps
from safehttpx import AsyncSecureTransport

from phi3v.request import ImageSource, RequestError

# 64 million pixels hold any phone's photo (50 million and less) in 192 MB of RGB.
MAX_PIXELS: Final = 64_000_000
# Pillow opens more than these, among them PostScript, which runs an interpreter on the file.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO")
READABLE: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
MAX_REDIRECTS: Final = 5
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# What Pillow's decoders raise on broken files: each format has its own.
DECODE_ERRORS: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

Resolve = Callable[[str], Awaitable[str]]


def open_image(source: ImageSource, name: str | None = None) -> Image.Image:
    """Open a picture upright, as RGB, without its metadata; the first frame of an animation.

    Transparent parts become white: dropping alpha, as the published processor does, would show
    whatever colour lies hidden beneath. name is what messages call the picture; by default the
    file's own. Raises RequestError.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source, name or "The picture")
    path = Path(source)
    name = name or path.name
    try:
        with path.open("rb") as file:
            return open_stream(file, name)
    except FileNotFoundError as error:
        raise RequestError(f"{name} is not there (any more): upload it again.") from error
    except IsADirectoryError as error:
        raise RequestError(f"{name} is a folder: give a picture's file.") from error


def open_stream(file: BinaryIO, name: str) -> Image.Image:
    """Open a picture from an open binary file; see open_image."""
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        # Pillow has its own, higher, limit and tells the size only in words.
        found = re.search(r"\d{9,}", str(error))
        size = f"{int(found[0]):,} pixels" if found else "more than 178 million pixels"
        raise RequestError(explain_size(name, size)) from error
    except DECODE_ERRORS as error:
        raise RequestError(explain_unreadable(file, name)) from error
    with image:
        return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Decode a picture and bring it upright, to RGB, without metadata; see open_image."""
    width, height = image.size
    if width == 0 or height == 0:
        raise RequestError(f"{name} is {width} x {height} pixels: give a picture that has some.")
    if width * height > MAX_PIXELS:
        found = f"{width:,} x {height:,} = {width * height:,} pixels"
        raise RequestError(explain_size(name, found))
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        rgb = flatten(upright)
    except DECODE_ERRORS as error:
        raise RequestError(
            f"{name} is a damaged {image.format or 'picture'} ({width} x {height} pixels, but the "
            "file breaks off or is garbled): save or download it again."
        ) from error
    rgb.info = {}
    return rgb


def flatten(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, over white where the picture is transparent."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip nearly all to white
        values = np.asarray(image).astype(np.int64)
        shift = 8 if values.max(initial=0) > 255 else 0
        return Image.fromarray((values >> shift).clip(0, 255).astype(np.uint8)).convert("RGB")
    # A copy in every case: the caller's picture, or the open file, stays as it is.
    return image.convert("RGB")


def explain_size(name: str, found: str) -> str:
    """Say that a picture is too large, what was found and what the limit is."""
    return (
        f"{name} is too large: {found}, the limit is {MAX_PIXELS:,}. "
        "Make it smaller or cut out the part that matters."
    )


def explain_unreadable(file: BinaryIO, name: str) -> str:
    """Say what a file that is no readable picture seems to be instead, from its first bytes."""
    file.seek(0)
    head = file.read(64)
    if not head:
        return f"{name} is empty (0 bytes): upload it again."
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return f"{name} is a HEIC photo, which cannot be read here: save it as JPEG."
    if head.startswith(b"%PDF"):
        found = "a PDF document"
    elif head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        found = "a video"
    elif all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        found = "a text file"
    else:
        found = "something else or a damaged file"
    return f"{name} is not a picture but {found}: give {READABLE}."


def fetch_image(
    url: str,
    *,
    limit_bytes: int = 20 * 2**20,
    timeout: float = 20.0,
    resolve: Resolve | None = None,
) -> Image.Image:
    """Download a picture from a public http or https address and open it; see open_image.

    At most limit_bytes are read and at most timeout seconds spent, redirects included; each
    redirect is checked like the first address. resolve turns a host name into the IP address to
    connect to; by default only public addresses come out. Raises RequestError.
    """
    url = url.strip()
    try:
        content = asyncio.run(download(url, limit_bytes, timeout, resolve or resolve_public))
    except (TimeoutError, httpx.TimeoutException) as error:
        raise RequestError(
            f"The address did not deliver a picture within {timeout:g} seconds: try again, or "
            "download the picture and upload it."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RequestError(
            "No picture could be loaded from that address: check it in the browser, or download "
            "the picture and upload it."
        ) from error
    return open_stream(io.BytesIO(content), Path(httpx.URL(url).path).name or httpx.URL(url).host)


async def download(url: str, limit_bytes: int, timeout: float, resolve: Resolve) -> bytes:
    """Fetch the bytes behind an address; see fetch_image."""
    # Unpacking could pass the limit within one step, so nothing packed is asked for.
    headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "phi3v/0.1"}
    async with asyncio.timeout(timeout):
        for _ in range(MAX_REDIRECTS + 1):
            address = check_address(url)
            # The connection goes to the IP address that was checked: looking the name up once
            # more could bring another one. (An explicit transport also ignores proxy variables.)
            transport = AsyncSecureTransport(await resolve(address.host))
            async with (
                httpx.AsyncClient(transport=transport, timeout=timeout) as client,
                client.stream("GET", address, headers=headers) as response,
            ):
                if not response.has_redirect_location:
                    return await read_body(response, limit_bytes)
                url = str(address.join(response.headers["location"]))
    raise RequestError(f"The address redirects more than {MAX_REDIRECTS} times: give its target.")


def check_address(url: str) -> httpx.URL:
    """Parse an address and refuse everything but http and https."""
    address = httpx.URL(url)
    if address.scheme not in ("http", "https") or not address.host:
        raise RequestError(
            f"{url[:60] or 'Nothing'} is no web address: give one that starts with http:// or "
            "https:// and a host's name."
        )
    return address


async def resolve_public(host: str) -> str:
    """Look a host name up and return its first public IP address; RequestError if it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise RequestError(f"There is no host named {host}: check the address.") from error
    for *_, address in found:
        if is_public(str(address[0])):
            return str(address[0])
    raise RequestError(
        f"{host} is not on the public internet, and only public addresses are loaded: download "
        "the picture and upload it."
    )


def is_public(ip: str) -> bool:
    """True for an address of the public internet, also after taking it out of an IPv6 wrapping."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo[1] if address.teredo else None
        nat64 = None
        if address in NAT64:
            nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        inner = address.ipv4_mapped or address.sixtofour or teredo or nat64
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


async def read_body(response: httpx.Response, limit_bytes: int) -> bytes:
    """Read a response up to the limit, measured on what arrives and not on what is announced."""
    if response.status_code != 200:
        raise RequestError(
            f"The address answered {response.status_code} {response.reason_phrase}: check it in "
            "the browser, or download the picture and upload it."
        )
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > limit_bytes:
            raise RequestError(
                f"The picture at that address is larger than the limit of "
                f"{limit_bytes / 2**20:g} MB: download it, make it smaller and upload it."
            )
    return bytes(content)
