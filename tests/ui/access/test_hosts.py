"""Which names and origins are the app's own, and where a request comes from."""

from ipaddress import ip_network

import pytest

from phi3v.ui.access.hosts import Hosts, is_loopback_address


def scope(client: str = "203.0.113.9", **headers: str) -> dict:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "client": (client, 5), "headers": pairs}


LOCAL = Hosts(is_local=True)
PROXY = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:7860", "LOCALHOST", "127.0.0.1:7860", "127.8.9.1", "[::1]:7860",
     "app.localhost:1", "localhost."],
)  # fmt: skip
def test_a_local_app_answers_local_names(host: str) -> None:
    assert LOCAL.knows_host(scope(host=host))


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "10.0.0.1",
     "[::2]", "0.0.0.0", "evil.example#localhost", "localhost@evil.example", "x.gradio.live",
     "[::1"],
)  # fmt: skip
def test_a_local_app_answers_no_other_name(host: str) -> None:
    assert not LOCAL.knows_host(scope(host=host))


def test_a_local_app_answers_a_name_that_it_is_told() -> None:
    assert Hosts(True, names=("app.example",)).knows_host(scope(host="App.Example:80"))


def test_a_shared_app_answers_the_names_of_links() -> None:
    shared = Hosts(True, is_shared=True)
    assert shared.knows_host(scope(host="1a2b.gradio.live"))
    assert not shared.knows_host(scope(host="gradio.live.evil.example"))


def test_an_app_that_listens_everywhere_answers_every_name() -> None:
    assert Hosts(is_local=False).knows_host(scope(host="app.example"))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:7860", "localhost:7860"),
        ("https://app.example", "app.example"),
        ("https://app.example", "app.example:443"),
        ("http://app.example:80", "app.example"),
        ("https://APP.example", "app.EXAMPLE"),
        ("http://[::1]:7860", "[::1]:7860"),
    ],
)
def test_the_origin_of_the_apps_own_page_is_known(origin: str, host: str) -> None:
    assert Hosts(False).knows_origin(scope(host=host, origin=origin))


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://evil.example", "http://app.example:8080", "http://app.example.evil.example",
     "app.example", "file://", "chrome-extension://app.example", "http://app.example@evil.example",
     "http://app.example:99999"],
)  # fmt: skip
def test_every_other_origin_is_refused(origin: str) -> None:
    assert not Hosts(False).knows_origin(scope(host="app.example", origin=origin))


def test_a_request_without_an_origin_comes_from_no_page() -> None:
    assert Hosts(False).knows_origin(scope(host="app.example"))


def test_a_second_origin_is_not_overlooked() -> None:
    both = scope(host="app.example", origin="http://app.example")
    both["headers"].append((b"origin", b"http://evil.example"))
    assert not Hosts(False).knows_origin(both)


def test_only_a_trusted_proxy_forwards_the_host() -> None:
    hosts = Hosts(False, proxies=PROXY)
    forwarded = {
        "host": "127.0.0.1:7860",
        "origin": "https://app.example",
        "x_forwarded_host": "app.example",
    }
    assert hosts.knows_origin(scope("10.1.2.3", **forwarded))
    assert not hosts.knows_origin(scope("203.0.113.9", **forwarded))


def test_a_space_is_known_by_its_public_host() -> None:
    hosts = Hosts(False, public_host="me-app.hf.space")
    assert hosts.knows_origin(scope(host="10.0.0.4:7860", origin="https://me-app.hf.space"))


@pytest.mark.parametrize(
    ("client", "forwarded", "found"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.2", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "nonsense", "nonsense"),
        ("fd00::1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.2", "198.51.100.1:5000", "198.51.100.1"),
    ],
)
def test_a_client_is_the_last_address_that_no_trusted_proxy_has(
    client: str, forwarded: str, found: str
) -> None:
    hosts = Hosts(False, proxies=PROXY)
    assert hosts.client_of(scope(client, x_forwarded_for=forwarded)) == found


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("192.168.0.4", False)],
)  # fmt: skip
def test_addresses_of_this_machine_alone_are_known(host: str, local: bool) -> None:
    assert is_loopback_address(host) is local
