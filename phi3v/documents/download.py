"""Downloads files and images from public web addresses; no request reaches a private address.

The only code that fetches a URL given by a user: size, duration and every redirect are checked.
Must not know the model or the page.
"""

import asyncio
import io
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import httpx
from PIL import Image
from safehttpx import AsyncSecureTransport

from phi3v.documents.images import open_stream
from phi3v.request import RequestError
from phi3v.translatable import Text

MAX_REDIRECTS: Final = 5
# The end of a long name has its suffix; file systems take up to 255 bytes.
MAX_NAME_LENGTH: Final = 60
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
COMPATIBLE: Final = ipaddress.ip_network("::/96")
# What can go wrong between here and a site: TLS, broken responses, names that IDNA refuses, ports
# that there are not, and several failures at once where a host has several addresses.
FETCH_ERRORS: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    ValueError,
    OverflowError,
    ExceptionGroup,
)

Resolve = Callable[[str], Awaitable[str]]


def fetch_image(
    url: str,
    *,
    limit_bytes: int = 20 * 2**20,
    timeout: float = 20.0,
    resolve: Resolve | None = None,
) -> Image.Image:
    """Download an image from a public http or https address and open it; see open_image.

    Reads at most limit_bytes and takes at most timeout seconds, redirects included; each redirect
    is checked like the first address. resolve returns the IP address to connect to for a host name;
    the default returns public addresses only. Raises RequestError for an address that is not
    public, fails, or exceeds a limit, and for what is no readable image.
    """
    content, name = fetch_file(url, limit_bytes=limit_bytes, timeout=timeout, resolve=resolve)
    return open_stream(io.BytesIO(content), name)


def fetch_file(
    url: str,
    *,
    limit_bytes: int = 20 * 2**20,
    timeout: float = 20.0,
    resolve: Resolve | None = None,
) -> tuple[bytes, str]:
    """Download an image or PDF without opening it; return its bytes and name; see fetch_image."""
    url = url.strip()
    try:
        content = asyncio.run(download(url, limit_bytes, timeout, resolve or resolve_public))
        return content, name_file(httpx.URL(url))
    except RequestError:
        raise
    except (TimeoutError, httpx.TimeoutException) as error:
        raise RequestError(
            "The address did not deliver a picture within {timeout:g} seconds: try again, or "
            "download the picture and upload it.",
            timeout=timeout,
        ) from error
    except FETCH_ERRORS as error:
        raise RequestError(
            "No picture could be loaded from that address: check it in the browser, or download "
            "the picture and upload it."
        ) from error


async def download(url: str, limit_bytes: int, timeout: float, resolve: Resolve) -> bytes:
    """Return the bytes at an address after up to MAX_REDIRECTS redirects; see fetch_image."""
    # Decompression could exceed the limit in one step, so no compressed content is accepted.
    headers = {
        "Accept": "image/*, application/pdf",
        "Accept-Encoding": "identity",
        "User-Agent": "phi3v/0.1",
    }
    async with asyncio.timeout(timeout):
        for _ in range(MAX_REDIRECTS + 1):
            address = check_address(url)
            # Connect to the IP address that was checked: a second DNS lookup could return another
            # one. (An explicit transport also ignores the environment's proxy variables.)
            transport = AsyncSecureTransport(await resolve(address.host))
            async with (
                httpx.AsyncClient(transport=transport, timeout=timeout) as client,
                client.stream("GET", address, headers=headers) as response,
            ):
                if not response.has_redirect_location:
                    return await read_body(response, limit_bytes)
                url = str(address.join(response.headers["location"]))
    raise RequestError(
        "The address redirects more than {limit} times: give its target.", limit=MAX_REDIRECTS
    )


def check_address(url: str) -> httpx.URL:
    """Parse an address. Raises RequestError unless it is http or https with a host."""
    address = httpx.URL(url)
    if address.scheme not in ("http", "https") or not address.host:
        raise RequestError(
            "{address} is no web address: give one that starts with http:// or https:// and a "
            "host's name.",
            address=url[:60] or Text("Nothing"),
        )
    return address


async def resolve_public(host: str) -> str:
    """Return the first public IP address of a host name. Raises RequestError if it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise RequestError(
            "There is no host named {host}: check the address.", host=host
        ) from error
    for *_, address in found:
        if is_public(str(address[0])):
            return str(address[0])
    raise RequestError(
        "{host} is not on the public internet, and only public addresses are loaded: download "
        "the picture and upload it.",
        host=host,
    )


def is_public(ip: str) -> bool:
    """True if an IP address is public, and with it every IPv4 address that IPv6 embeds.

    `is_global` alone is also true of multicast, of site-local and reserved addresses, and of
    ranges whose packets a gateway sends on to the IPv4 address inside.
    """
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped or (address in NAT64 and low_bits(address))
        if mapped:  # just another form of the IPv4 address
            return is_public(str(mapped))
        if address.is_site_local or not all(map(is_public, map(str, embedded_in(address)))):
            return False
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special


def embedded_in(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that tunnels reach by an IPv6 one: compatible, 6to4, Teredo."""
    compatible = low_bits(address) if address in COMPATIBLE else None
    found = [compatible, address.sixtofour, *(address.teredo or ())]
    return [inner for inner in found if inner is not None]


def low_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    """Return the last 32 bits as an IPv4 address."""
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def name_file(address: httpx.URL) -> str:
    """Return the name of the file at an address, as a file system takes it; else its host."""
    name = re.sub(r"[\x00-\x1f\x7f/\\\\]", "_", Path(address.path).name)
    return name[-MAX_NAME_LENGTH:].lstrip(".") or address.host


async def read_body(response: httpx.Response, limit_bytes: int) -> bytes:
    """Return a response's body; the limit counts received bytes, not the Content-Length header.

    Raises RequestError for a larger body and for any status but 200.
    """
    if response.status_code != 200:
        raise RequestError(
            "The address answered {code} {reason}: check it in the browser, or download the "
            "picture and upload it.",
            code=response.status_code,
            reason=response.reason_phrase,
        )
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > limit_bytes:
            raise RequestError(
                "The picture at that address is larger than the limit of {limit:g} MB: download "
                "it, make it smaller and upload it.",
                limit=limit_bytes / 2**20,
            )
    return bytes(content)
