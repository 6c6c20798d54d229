"""Downloads from web addresses; private addresses and failures are refused."""

import httpx
import pytest
from support.sites import resolve_site

from phi3v.documents.download import fetch_image, is_public, name_file
from phi3v.request import RequestError


def fetch_refused(url: str, **options: object) -> str:
    with pytest.raises(RequestError) as refusal:
        fetch_image(url, **options)
    return str(refusal.value)


def test_an_image_is_downloaded(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/picture.png"
    assert fetch_image(url, resolve=resolve_site).size == (6, 5)


def test_a_redirect_is_followed(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/to?/picture.png"
    assert fetch_image(url, resolve=resolve_site).size == (6, 5)


@pytest.mark.parametrize("target", ["http://10.0.0.1/x.png", "http://localhost/x.png"])
def test_a_redirect_to_a_private_address_is_refused(site_port: int, target: str) -> None:
    url = f"http://pictures.example:{site_port}/to?{target}"
    assert "not on the public internet" in fetch_refused(url, resolve=resolve_site)


def test_a_redirect_to_a_file_is_refused(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/to?file:///etc/passwd"
    assert "no web address" in fetch_refused(url, resolve=resolve_site)


def test_too_many_redirects_are_refused(site_port: int) -> None:
    start = f"http://pictures.example:{site_port}/to?"
    message = fetch_refused(start + start * 6 + "/picture.png", resolve=resolve_site)
    assert "redirects more than 5 times" in message


def test_a_download_over_the_limit_is_refused(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/large"
    assert "larger than the limit of 0.25 MB" in fetch_refused(
        url, limit_bytes=2**18, resolve=resolve_site
    )


def test_a_site_that_does_not_answer_times_out(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/slow"
    assert "within 0.2 seconds" in fetch_refused(url, timeout=0.2, resolve=resolve_site)


def test_a_web_page_is_no_image(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/page"
    assert "page is not a picture but a text file" in fetch_refused(url, resolve=resolve_site)


def test_an_error_status_is_reported(site_port: int) -> None:
    url = f"http://pictures.example:{site_port}/gone.png"
    assert "answered 404 Not Found" in fetch_refused(url, resolve=resolve_site)


def test_a_refused_connection_is_reported() -> None:
    url = "http://pictures.example:9/picture.png"
    assert "No picture could be loaded" in fetch_refused(url, resolve=resolve_site)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "http://10.1.2.3/x.png",
        "http://192.168.0.1/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/x.png",
        "http://[::ffff:127.0.0.1]/x.png",
        "http://0.0.0.0/x.png",
        "http://2130706433/x.png",
        "http://localhost:7860/x.png",
    ],
)
def test_private_addresses_are_refused(url: str) -> None:
    assert "not on the public internet" in fetch_refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ä..example/x.png",
        "http://" + "a" * 300 + ".example/",
        "http://xn--a.example/",
        "http://pictures.example:99999/",
        "http://pictures.example:0/",
        "https://pictures.example:{port}/picture.png",
        "http://[v1.a]/",
        "http://[::",
        "http://pictures.example/\r\nX: y",
        "http://pictures.example:{port}/to?http://%5B::",
        "http://pictures.example/" + "a" * 100_000,
        "http://\x00/",
    ],
)
def test_every_failure_is_told_in_words(site_port: int, url: str) -> None:
    async def resolve(host: str) -> str:
        return "127.0.0.1"

    refusal = fetch_refused(url.format(port=site_port), resolve=resolve)
    assert "No picture could be loaded" in refusal


def test_several_failures_at_once_are_told_in_words() -> None:
    async def resolve(host: str) -> str:
        raise ExceptionGroup("both addresses", [ConnectionError(), ConnectionError()])

    assert "No picture could be loaded" in fetch_refused("http://a.example", resolve=resolve)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.png", "b.png"), ("/", "a.example"), ("/%00.png", "_.png"), ("/..", "a.example"),
     ("/" + "a" * 300 + ".png", "a" * 56 + ".png")],
)  # fmt: skip
def test_a_file_is_named_as_a_file_system_takes_it(path: str, name: str) -> None:
    assert name_file(httpx.URL(f"http://a.example{path}")) == name


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/x.png", "picture.png", "", "http://"]
)
def test_only_http_addresses_are_downloaded(url: str) -> None:
    assert "is no web address" in fetch_refused(url)


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        # is_global is True for these
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("fec0::1", False),
        ("4000::1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("::10.0.0.1", False),
        ("::93.184.215.14", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b:1::a00:1", False),
        # Teredo: its server, and its client in reverse, 10.0.0.1
        ("2001:0:5db8:d70e::f5ff:fffe", False),
        ("2001:0:a00:1::a247:28f1", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        # other forms of a public address
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::5db8:d70e", True),
        ("2002:5db8:d70e::1", True),
    ],
)
def test_public_addresses_are_recognized(ip: str, public: bool) -> None:
    assert is_public(ip) is public
