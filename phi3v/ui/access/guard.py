"""ASGI middleware that lets a request through, or refuses it: by host, origin and login.

Everything is guarded except what OPEN lists, so that a route which someone adds is guarded too.
"""

import json
import secrets
from collections import Counter
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phi3v.translatable import Text
from phi3v.ui.access.hosts import Hosts
from phi3v.ui.access.logins import Credentials, FailedLogins, network_of
from phi3v.ui.api.mcp_tools import authorize_tools
from phi3v.ui.api.openai.errors import ApiError, describe_error
from phi3v.ui.i18n.languages import Language, language_of, translate
from phi3v.ui.i18n.localizing import RewritingSend

# What the login page needs: itself (Gradio serves it in place of the page), its scripts and looks;
# and what tells a container that the app answers.
OPEN_PATHS: Final = (
    "/",
    "/login",
    "/logout",
    "/favicon.ico",
    "/health",
    "/robots.txt",
    "/manifest.json",
    "/theme.css",
    "/gradio_api/theme.css",
    "/gradio_api/startup-events",
    "/gradio_api/login_check",
)
OPEN_FOLDERS: Final = ("/assets/", "/static/", "/svelte/", "/pwa_icon")
ENDPOINTS: Final = b"window.gradio_api_info = "
NO_ENDPOINTS: Final = b'{"named_endpoints": {}, "unnamed_endpoints": {}}'
LOGIN_PATH: Final = "/login"
MCP_PATH: Final = "/gradio_api/mcp"


class Guard:
    """Refuses requests for other hosts, from other sites' pages, and without the login.

    Without credentials everyone may call everything. A request with the login in its headers gets
    a session of Gradio's, as if it had logged in on the page. per_address is the most uploads and
    waiting answers that one address may have at once; 0 sets no limit.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        credentials: Credentials | None = None,
        per_address: int = 0,
    ) -> None:
        self.app = app
        self.per_address = per_address
        self.open_requests: Counter[str] = Counter()
        self.hosts = hosts
        self.credentials = credentials
        self.failures = FailedLogins()
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with why it is refused."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._find_stranger(scope) or self._find_intruder(scope)
        if refusal is None:
            if scope["type"] == "http" and is_attempt(scope) and self.credentials:
                send = self._watch_login(scope, send)
            elif self.credentials and is_login_page(scope):
                language = language_of(Request(scope))
                send = RewritingSend(send, "text/html", hide_endpoints, language)
            if self.per_address and is_waiting(scope):
                await self._share(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    def _find_stranger(self, scope: Scope) -> JSONResponse | None:
        """Return the refusal of a request for another host or from another site's page."""
        if not self.hosts.knows_host(scope):
            return refuse(
                scope,
                421,
                Text(
                    "The app is not called by this name: open it as localhost, or start it with "
                    "--allowed-hosts and the name."
                ),
            )
        if not self.hosts.knows_origin(scope):
            return refuse(
                scope,
                403,
                Text("A page of another web site has sent this, and only the app's own may."),
            )
        return None

    def _find_intruder(self, scope: Scope) -> JSONResponse | None:
        """Return the refusal of a request that lacks the login, None if it has or needs none.

        A request with the right Authorization header is given a session.
        """
        if self.credentials is None or has_session(scope):
            return None
        client = self.hosts.client_of(scope)
        authorization = Headers(scope=scope).get("authorization")
        if authorization is not None or is_attempt(scope):
            seconds = self.failures.seconds_to_wait(client)
            if seconds:
                message = Text(
                    "Too many logins have failed: try again in {seconds} seconds.", seconds=seconds
                )
                return refuse(scope, 429, message, {"retry-after": str(seconds)})
        if is_attempt(scope):
            self.failures.record(client)  # until it has succeeded: many can be under way at once
        if authorization is not None:
            if not self.credentials.accept(authorization):
                self.failures.record(client)
                return refuse_login(scope)
            self._open_session(scope, authorization)
            return None
        return None if is_open(scope) else refuse_login(scope)

    async def _share(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its address has its share of open ones already."""
        key = network_of(self.hosts.client_of(scope))
        if self.open_requests[key] >= self.per_address:
            message = Text(
                "{count} requests of this address are waiting already, its share (--per-address): "
                "wait for one of them.",
                count=self.per_address,
            )
            await refuse(scope, 429, message, {"retry-after": "1"})(scope, receive, send)
            return
        self.open_requests[key] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.open_requests[key] -= 1
            if not self.open_requests[key]:
                del self.open_requests[key]

    def _open_session(self, scope: Scope, authorization: str) -> None:
        """Give a request a session of Gradio's, whose own routes look for one."""
        assert self.credentials is not None
        app = scope["app"]
        app.tokens.setdefault(self._session, self.credentials.user)
        cookie = f"access-token-unsecure-{app.cookie_id}={self._session}"
        scope["headers"] = [*scope["headers"], (b"cookie", cookie.encode())]
        if scope["path"].startswith(MCP_PATH):
            authorize_tools(app.get_blocks().mcp_server_obj, authorization)

    def _watch_login(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that forgets the failures of an address once it has logged in."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.failures.forget(self.hosts.client_of(scope))
            await send(message)

        return watch


def is_attempt(scope: Scope) -> bool:
    """True for a request that sends user and password of the login page."""
    return scope.get("method") == "POST" and scope["path"].rstrip("/") == LOGIN_PATH


def is_waiting(scope: Scope) -> bool:
    """True for a request that stays open while something is uploaded or waits for its answer."""
    path, method = scope["path"], scope.get("method")
    if method == "GET":
        return path == "/gradio_api/queue/data" or path.startswith("/gradio_api/call/")
    return method == "POST" and path.startswith(("/gradio_api/upload", MCP_PATH, "/v1/"))


def is_open(scope: Scope) -> bool:
    """True for what everyone may call, because the login page needs it."""
    path = scope["path"]
    is_login = path.rstrip("/") == LOGIN_PATH
    is_read = scope.get("method") in ("GET", "HEAD")
    known = (path.rstrip("/") or "/") in OPEN_PATHS or path.startswith(OPEN_FOLDERS)
    return is_login or (is_read and known)


def is_login_page(scope: Scope) -> bool:
    """True for a request that Gradio answers with the login page."""
    is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
    return is_page and not has_session(scope)


def hide_endpoints(page: bytes, _: Language) -> bytes:
    """Return the login page without the list of endpoints, which Gradio writes into every page."""
    start = page.find(ENDPOINTS)
    if start < 0:
        return page
    text = page[start + len(ENDPOINTS) :].decode()
    rest = text[json.JSONDecoder().raw_decode(text)[1] :]
    return page[:start] + ENDPOINTS + NO_ENDPOINTS + rest.encode()


def has_session(scope: Scope) -> bool:
    """True for a request with the cookie of someone who has logged in on the page."""
    app: Any = scope["app"]
    cookies = Request(scope).cookies if scope["type"] == "http" else {}
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(cookies.get(name, "") in app.tokens for name in names)


def refuse(
    scope: Scope, status: int, message: Text, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the response that says in the user's language why a request is refused.

    Clients of /v1 get it in OpenAI's form.
    """
    language = language_of(Request(scope)) if scope["type"] == "http" else None
    text = translate(message, language)
    if scope["path"].startswith("/v1/"):
        return JSONResponse(describe_error(ApiError(status, text)), status, headers)
    return JSONResponse({"detail": text}, status, headers)


def refuse_login(scope: Scope) -> JSONResponse:
    """Return the response to a request without the login; Gradio's clients look for its form.

    A browser would ask for `Basic` in a window of its own, over the login page.
    """
    message = Text(
        "Log in first; programs send the header Authorization: Basic, or Bearer user:password."
    )
    return refuse(scope, 401, message, {"www-authenticate": 'Bearer realm="phi3v"'})
