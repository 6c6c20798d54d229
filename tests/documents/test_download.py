"""Downloads from web addresses; private addresses and failures are refused."""

import pytest
from support.sites import resolve_site

from phi3v.documents.download import fetch_image, is_public
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
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses_are_recognized(ip: str, public: bool) -> None:
    assert is_public(ip) is public
