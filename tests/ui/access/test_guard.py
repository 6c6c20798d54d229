"""A served page with a login: what is refused, to whom, and in which words."""

import base64
import os
import time
from collections.abc import Iterator

import httpx
import pytest
from support.agents import PATH as MCP_PATH
from support.agents import talk
from support.fake_engine import FakeEngine
from support.serving import connect, serve

from phi3v.settings import Settings
from phi3v.ui.access.logins import FREE_FAILURES

mcp = pytest.importorskip("mcp", reason="see requirements-mcp.txt")

BASIC = {"authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
BEARER = {"authorization": "Bearer me:secret"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(FakeEngine(), Settings(auth="me:secret", mcp=True)) as address:
        yield address


@pytest.fixture(scope="module")
def open_url() -> Iterator[str]:
    """The URL of an app without a login."""
    with serve(FakeEngine(), Settings(mcp=True)) as address:
        yield address


def find_routes(url: str) -> list[tuple[str, str]]:
    """Return method and path of all of Gradio's routes, and of some that others may add."""
    from phi3v.ui import build_page

    routes = [
        (method, route.path)
        for route in build_page(FakeEngine(), Settings()).app.routes
        for method in getattr(route, "methods", None) or ()
        if route.path.rstrip("/") != "/login"  # each call of it counts as an attempt
    ]
    own = ["v1/chat/completions", "v1/models", "metrics", "docs", "openapi.json"]
    tools = ["schema", "sse", "messages/", "", "http"]
    return [
        *routes,
        *[("POST", f"/{path}") for path in own],
        *[(method, f"/gradio_api/mcp/{path}") for path in tools for method in ("GET", "POST")],
    ]


def test_nothing_but_the_login_page_is_open(url: str) -> None:
    client = httpx.Client(base_url=url, timeout=30)
    answered = {
        path
        for method, path in find_routes(url)
        if client.request(method, path).status_code not in (401, 405)
    }
    folders = ("/assets/", "/static/", "/svelte/")
    assert {path for path in answered if not path.startswith(folders)} <= {
        "/", "/logout", "/favicon.ico", "/robots.txt", "/manifest.json",
        "/theme.css", "/gradio_api/theme.css", "/gradio_api/startup-events", "/pwa_icon",
        "/pwa_icon/{size}",
    }  # fmt: skip


def test_the_login_page_tells_nothing_of_the_endpoints(url: str) -> None:
    assert "/describe" not in httpx.get(url).text
    assert "/describe" in httpx.get(url, headers=BASIC).text


@pytest.mark.parametrize("headers", [BASIC, BEARER])
def test_programs_log_in_with_a_header(url: str, headers: dict[str, str]) -> None:
    for path in ("config", "gradio_api/info", "gradio_api/mcp/schema"):
        assert httpx.get(f"{url}{path}", headers=headers).status_code == 200


def test_a_wrong_header_is_refused(url: str) -> None:
    for wrong in ("Bearer me:no", "Basic x", "Bearer secret"):
        refused = httpx.get(f"{url}config", headers={"authorization": wrong})
        assert refused.status_code == 401
        assert "Log in first" in refused.json()["detail"]
    assert httpx.get(f"{url}config", headers=BASIC).status_code == 200


def test_a_client_logs_in_as_on_the_page(url: str) -> None:
    client = connect(url, auth=("me", "secret"))
    assert client.predict([{"role": "user", "text": "say hello"}], api_name="/chat") == "hello"


@pytest.mark.parametrize("headers", [BASIC, BEARER])
def test_an_agent_uses_the_tools_with_a_header(url: str, headers: dict[str, str]) -> None:
    assert list(talk(url, headers=headers)) == ["describe", "ocr", "compare"]
    found = talk(url, "describe", headers=headers, images=["http://127.0.0.1/x.png"])
    assert "not on the public internet" in found.content[0].text


def test_failed_logins_are_slowed() -> None:
    with serve(FakeEngine(), Settings(auth="me:secret")) as url:
        form = {"username": "me", "password": "no"}
        codes = [httpx.post(f"{url}login", data=form).status_code for _ in range(FREE_FAILURES)]
        assert set(codes) == {400}
        refused = httpx.post(f"{url}login", data={"username": "me", "password": "secret"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{url}config", headers=BASIC).status_code == 429


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", MCP_PATH), ("GET", "gradio_api/mcp/schema"), ("GET", "gradio_api/mcp/sse"),
     ("POST", "gradio_api/upload"), ("POST", "gradio_api/queue/join"),
     ("POST", "gradio_api/cancel"), ("POST", "v1/chat/completions")],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(open_url: str, method: str, path: str) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        refused = httpx.request(method, f"{open_url}{path}", headers={"origin": origin})
        assert refused.status_code == 403
        assert "another web site" in refused.text


def test_the_apps_own_page_uploads(open_url: str) -> None:
    sent = {"files": ("a.png", b"x", "image/png")}
    address = f"{open_url}gradio_api/upload"
    own = {"origin": open_url.rstrip("/")}
    assert httpx.post(address, files=sent, headers=own).status_code == 200
    assert httpx.post(address, files=sent).status_code == 200


def test_an_agent_without_an_origin_passes(open_url: str) -> None:
    assert list(talk(open_url)) == ["describe", "ocr", "compare"]


def test_a_name_that_was_pointed_at_this_machine_is_refused(open_url: str) -> None:
    refused = httpx.get(open_url, headers={"host": "evil.example"})
    assert refused.status_code == 421
    assert "--allowed-hosts" in refused.json()["detail"]


def test_a_refusal_is_in_the_users_language(open_url: str) -> None:
    hebrew = {"host": "evil.example", "accept-language": "he"}
    assert "--allowed-hosts" in httpx.get(open_url, headers=hebrew).json()["detail"]
    assert "The app" not in httpx.get(open_url, headers=hebrew).json()["detail"]


def test_every_response_binds_the_browser(open_url: str) -> None:
    for path in ("", "theme.css", "gradio_api/info", "no-such-path"):
        headers = httpx.get(f"{open_url}{path}").headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["frame-ancestors"] == policy["form-action"] == "'self'"
        for kind in ("img-src", "media-src", "connect-src"):
            assert policy[kind] == "'self' data: blob:"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_space_may_be_framed_by_its_own_site(monkeypatch: pytest.MonkeyPatch) -> None:
    from phi3v.ui.page import guards

    monkeypatch.setenv("SPACE_ID", "me/app")
    monkeypatch.setenv("SPACE_HOST", "me-app.hf.space")
    headers, guard, _ = (entry.cls(None, *entry.args) for entry in guards(Settings()))
    policy = headers.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy
    assert not guard.hosts.is_local
    assert guard.hosts.public_host == "me-app.hf.space"


def test_no_forwarded_address_is_believed_by_itself() -> None:
    from phi3v.ui.page import guards

    guards(Settings())
    assert os.environ["FORWARDED_ALLOW_IPS"] == ""


def test_an_address_has_its_share_of_waiting_requests() -> None:
    engine = FakeEngine()
    with serve(engine, Settings(per_address=2)) as url:
        clients = [connect(url) for _ in range(2)]
        jobs = [
            client.submit([{"role": "user", "text": "held"}], api_name="/chat")
            for client in clients
        ]
        while engine.running + len(engine.queue) < 3:
            time.sleep(0.01)
        sent = {"files": ("a.png", b"x", "image/png")}
        refused = httpx.post(f"{url}gradio_api/upload", files=sent)
        assert refused.status_code == 429
        assert "2 requests of this address" in refused.json()["detail"]
        engine.gate.set()
        assert [job.result(30) for job in jobs]
        assert httpx.post(f"{url}gradio_api/upload", files=sent).status_code == 200
