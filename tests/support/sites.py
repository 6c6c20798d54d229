"""A local web site with a picture and bad responses, under a host name that counts as public."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator

from PIL import Image
from support.images import RED, encode

from phi3v.request import RequestError


class Site(http.server.BaseHTTPRequestHandler):
    """Serves a picture, files that are too large, a slow response, a page, and redirects."""

    def do_GET(self) -> None:
        if self.path == "/picture.png":
            self.answer(200, encode(Image.new("RGB", (6, 5), RED)))
        elif self.path == "/large":
            self.answer(200, bytes(500_000))
        elif self.path == "/huge":
            self.answer(200, bytes(2**20 + 1))
        elif self.path == "/slow":
            time.sleep(2)
        elif self.path == "/page":
            self.answer(200, b"<html>a page</html>")
        elif self.path.startswith("/to?"):
            self.answer(302, b"", location=self.path.removeprefix("/to?"))
        else:
            self.answer(404, b"")

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may have disconnected
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serve_site() -> Iterator[int]:
    """Serve the site on a free port, which is the value."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


async def resolve_site(host: str) -> str:
    """Resolve the one public host name, which is this machine.

    Raises RequestError for any other.
    """
    if host == "pictures.example":
        return "127.0.0.1"
    raise RequestError(f"{host} is not on the public internet")
