"""Sends one request to one server and reads its answer as it streams.

Runs in the engine's event loop; knows HTTP and the fields of the answer, and no queue of requests.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from phi3v.remote import words
from phi3v.remote.drafting import CROPS, OPTIONAL_FIELDS
from phi3v.remote.errors import (
    FieldsRefusedError,
    ServerError,
    explain_status,
    explain_transport,
    read_message,
)
from phi3v.remote.events import BrokenStreamError, read_events
from phi3v.remote.servers import Server
from phi3v.request import RequestError, Token
from phi3v.translatable import Text

PATH: Final = "/v1/chat/completions"


@dataclass(frozen=True)
class Limits:
    """The longest silences, in seconds: on connecting, before the first token, and after it.

    A server that has many requests before this one is silent for long, and one on a CPU needs half
    a minute for a picture's prompt, its own or another request's.
    """

    connect: float = 5.0
    first: float = 300.0
    next: float = 120.0


@dataclass(frozen=True)
class Delta:
    """A piece of an answer; usage and finish_reason come with the last ones.

    arrived_at is a time.perf_counter().
    """

    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    arrived_at: float = field(default_factory=time.perf_counter)


async def ask_server(
    client: httpx.AsyncClient,
    server: Server,
    body: dict[str, Any],
    put: Callable[[Delta], None],
    limits: Limits,
) -> None:
    """Send a request and put each piece of its answer.

    Raises ServerError, BusyError, FieldsRefusedError, or RequestError for what the server refuses.
    Cancelling closes the connection, which ends the request on the server.
    """
    try:
        async with client.stream("POST", server.url + PATH, json=body) as response:
            if response.status_code != 200:
                await response.aread()
                raise explain_refusal(server, response, body)
            server.accepted_fields |= OPTIONAL_FIELDS & body.keys()
            await read_answer(server, response.aiter_bytes(), put, limits)
    except httpx.HTTPError as error:
        raise explain_transport(server, error) from error
    except BrokenStreamError as error:
        raise ServerError(Text(words.BROKE_OFF, address=server.address)) from error


async def read_answer(
    server: Server,
    chunks: AsyncIterator[bytes],
    put: Callable[[Delta], None],
    limits: Limits,
) -> None:
    """Put the pieces of an answer until it ends; raises ServerError where it does not end well."""
    seconds = limits.first
    is_whole = False
    async with aclosing(read_events(chunks)) as events:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    event = await anext(events)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                text = Text(words.SILENT, address=server.address, seconds=seconds)
                raise ServerError(text) from error
            if event is None:  # a comment: the server is alive
                continue
            if "error" in event:
                raise explain_event(server, event["error"])
            delta = read_delta(event)
            is_whole = is_whole or delta.finish_reason is not None
            seconds = limits.next if delta.text else seconds
            put(delta)
    if not is_whole:
        raise BrokenStreamError("the connection ended before the answer did")


def explain_event(server: Server, error: Any) -> ServerError:
    """Return the error that a server sent as an event of its answer."""
    code = error.get("code", 500) if isinstance(error, dict) else 500
    message = read_message(json.dumps(error).encode())
    return ServerError(Text(words.FAILS, address=server.address, status=code, message=message))


def read_delta(event: dict[str, Any]) -> Delta:
    """Return an event's piece of the answer. Raises BrokenStreamError if it has another form."""
    try:
        usage = event.get("usage")
        choices = event.get("choices") or []
        if not choices:
            return Delta(usage=usage)
        (choice,) = choices
        text = str((choice.get("delta") or {}).get("content") or "")
        logprobs = (choice.get("logprobs") or {}).get("content") or []
        tokens = share_text(text, [math.exp(entry["logprob"]) for entry in logprobs])
        return Delta(text, tokens, choice.get("finish_reason"), usage)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BrokenStreamError("it sent an event of another form") from error


def share_text(text: str, probabilities: list[float]) -> tuple[Token, ...]:
    """Return the tokens of an event. Their ids are not known, and are -1.

    The text belongs to the last of them: a word's confidence is its least probable token's, and
    tokens without text count for the next that has one (see phi3v.conversation.confidence).
    """
    if not probabilities:
        return (Token(-1, text),) if text else ()
    *first, last = probabilities
    return (*(Token(-1, "", value) for value in first), Token(-1, text, last))


def explain_refusal(server: Server, response: httpx.Response, body: dict[str, Any]) -> Exception:
    """Return the error for a status that is no success.

    FieldsRefusedError names optional fields to leave out: those that the server names, else the
    one for crops, else all of which it has never taken any.
    """
    error = explain_status(server, response)
    if not isinstance(error, RequestError) or response.status_code == 413:
        return error
    sent = OPTIONAL_FIELDS & body.keys()
    content = response.content.decode("utf-8", "replace")
    named = frozenset(field for field in sent if field in content)
    unproven = sent - server.accepted_fields
    guessed = frozenset({CROPS}) if CROPS in unproven else unproven
    fields = named or guessed
    return FieldsRefusedError(fields, error) if fields else error
