"""What can go wrong with a server, in words for people; knows status codes and error bodies."""

import json
from contextlib import suppress
from typing import Any, Final

import httpx

from phi3v.remote import words
from phi3v.remote.servers import Server
from phi3v.request import RequestError
from phi3v.translatable import Text

# Characters of a server's own message that are shown.
MAX_MESSAGE: Final = 400
# The longest wait that a server may ask for by Retry-After, and the usual one, in seconds.
MAX_REST: Final = 30.0
USUAL_REST: Final = 1.0


class ServerError(Exception):
    """A server failed, so that another one may be asked; `text` is for people.

    is_down is True where nothing at all answers at its address.
    """

    def __init__(self, text: Text, is_down: bool = False) -> None:
        super().__init__(str(text))
        self.text = text
        self.is_down = is_down


class BusyError(Exception):
    """A server takes no more requests for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"busy for {seconds} s")
        self.seconds = seconds

    def explain(self, server: Server) -> RequestError:
        """Return the error for users."""
        return RequestError(words.BUSY, address=server.address, seconds=self.seconds)


class FieldsRefusedError(Exception):
    """A server may not take some of a request's optional fields; `error` is what it said."""

    def __init__(self, fields: frozenset[str], error: RequestError) -> None:
        super().__init__(", ".join(sorted(fields)))
        self.fields = fields
        self.error = error


def explain_transport(server: Server, error: httpx.HTTPError) -> ServerError:
    """Return the error for a connection that failed or broke."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ServerError(Text(words.UNREACHABLE, address=server.address), is_down=True)
    if isinstance(error, httpx.ReadTimeout):
        seconds = error.request.extensions["timeout"]["read"]
        return ServerError(Text(words.SILENT, address=server.address, seconds=seconds))
    return ServerError(Text(words.BROKE_OFF, address=server.address))


def explain_status(server: Server, response: httpx.Response) -> Exception:
    """Return the error for an answer that is none, from its status and body, which was read."""
    status = response.status_code
    if status in (401, 403):
        return ServerError(Text(words.REFUSES_KEY, address=server.address))
    if response.is_redirect:
        return ServerError(Text(words.REDIRECTS, address=server.address))
    if status == 429 or (status == 503 and "retry-after" in response.headers):
        return BusyError(read_rest(response.headers.get("retry-after", "")))
    message = read_message(response.content)
    if status in (400, 413, 422):
        return RequestError(words.REFUSES, address=server.address, message=message)
    return ServerError(Text(words.FAILS, address=server.address, status=status, message=message))


def read_rest(value: str) -> float:
    """Return the seconds of a Retry-After header, within limits; a date counts as the usual."""
    try:
        return min(max(float(value), USUAL_REST), MAX_REST)
    except ValueError:
        return USUAL_REST


def read_message(content: bytes) -> str:
    """Return the message of an error's body, in one short line of printable characters."""
    text = content.decode("utf-8", "replace")
    with suppress(ValueError):
        text = find_message(json.loads(text)) or text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_MESSAGE else line[:MAX_MESSAGE] + "…"


def find_message(body: Any) -> str:
    """Return the message in a JSON error: OpenAI's and vLLM's form, or FastAPI's "detail"."""
    if isinstance(body, dict):
        for key in ("error", "message", "detail"):
            if key in body:
                return find_message(body[key])
    return body if isinstance(body, str) else ""
