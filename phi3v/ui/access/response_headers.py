"""ASGI middleware that adds the headers which bind the browser to this app alone.

The Content-Security-Policy lets the page load and send nothing elsewhere, so that no picture that
the model writes of, and no file that a user loads, can call another server.
"""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio's page has scripts and styles in its HTML, makes functions of text (js= of events), and
# shows pictures, camera and downloads by data: and blob: addresses, which are the page's own.
POLICY: Final = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
# The pages of huggingface.co show a Space in a frame.
SPACE_FRAMES: Final = "https://huggingface.co https://*.hf.space"


class ResponseHeaders:
    """Adds the Content-Security-Policy and its companions to every response."""

    def __init__(self, app: ASGIApp, is_on_space: bool = False) -> None:
        self.app = app
        frames = f"'self' {SPACE_FRAMES}" if is_on_space else "'self'"
        parts = POLICY | {"frame-ancestors": frames}
        self.headers = {
            "Content-Security-Policy": "; ".join(map(" ".join, parts.items())),
            "X-Content-Type-Options": "nosniff",
            # not no-referrer, with which browsers send the page's own forms with Origin: null
            "Referrer-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its response."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)
