"""The addresses /v1/chat/completions, /v1/models and /health of the app that serves the page.

Order of checks: login, room in the queue, body, model, and whether it is loaded. Knows what Gradio
and starlette have of a request.
"""

import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import gradio as gr
from gradio.context import LocalContext
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.inference.model_choice import ModelChoice
from phi3v.request import Chunk, RequestError
from phi3v.settings import Settings
from phi3v.ui import words
from phi3v.ui.answering import Stream
from phi3v.ui.api.openai.bodies import ChatBody, read_body
from phi3v.ui.api.openai.conversations import build_request
from phi3v.ui.api.openai.errors import ApiError, describe_error, respond_with
from phi3v.ui.api.openai.responses import (
    DONE,
    Answer,
    StreamWriter,
    describe_completion,
    write_event,
)
from phi3v.ui.api.openai.running import follow
from phi3v.ui.i18n.languages import translate
from phi3v.ui.queue_limit import QueueLimit
from phi3v.ui.wiring import hide_folder

logger = logging.getLogger(__name__)

# A body may have as many bytes as this many pictures of the upload limit.
MOST_UPLOADS: Final = 4
# Seconds without text after which a streamed answer begins, and gets a comment, so that neither a
# client nor a proxy gives it up.
KEEP_ALIVE: Final = 2.0
KEEP_ALIVE_COMMENT: Final = ": waiting\n\n"
# Seconds after which a client is told to try again.
RETRY_LOADING, RETRY_FULL = 5, 10
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CHAT, MODELS, HEALTH = "/v1/chat/completions", "/v1/models", "/health"

Endpoint = Callable[["Service", Request], Awaitable[Response]]


@dataclass(frozen=True)
class Service:
    """What all addresses need: the engine, its stream, the settings and the queue's limit."""

    engine: StreamingEngine
    stream: Stream
    settings: Settings
    limit: QueueLimit
    started: int = field(default_factory=lambda: int(time.time()))


def make_routes(service: Service) -> list[BaseRoute]:
    """Return the routes; any other address below /v1 is an error in the API's own form."""
    return [
        Route(CHAT, guard(complete, service), methods=["POST"]),
        Route(MODELS, guard(list_models, service), methods=["GET"]),
        Route(MODELS + "/{model:path}", guard(show_model, service), methods=["GET"]),
        Route("/v1/{path:path}", guard(refuse_address, service), methods=[*METHODS]),
        Route(HEALTH, partial(show_health, service), methods=["GET"]),
    ]


def guard(endpoint: Endpoint, service: Service) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint whose errors are sent in the API's form."""

    async def answer(request: Request) -> Response:
        # as in an event of the page: for the client's language, and its quota on a hosted Space
        LocalContext.request.set(gr.Request(request))
        try:
            return await endpoint(service, request)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:
            return respond_with(explain(error))

    return answer


def explain(error: Exception) -> ApiError:
    """Return an exception as what the client is told; what is not its fault is kept from it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestError):
        return ApiError(400, translate(error.text))
    if isinstance(error, gr.Error):  # of the stream, translated; see phi3v.ui.answering
        cause = error.__cause__
        if error.title.startswith("ZeroGPU"):  # a hosted Space has no GPU for this user now
            return ApiError(429, str(error.message))
        is_refused = isinstance(cause, RequestError) or error.message != translate(words.BROKEN)
        return ApiError(400 if is_refused else 500, str(error.message))
    logger.exception("A request to /v1 failed.", exc_info=error)
    return ApiError(500, translate(words.BROKEN))


async def complete(service: Service, request: Request) -> Response:
    """Answer a conversation, at once or as a stream."""
    if service.limit.is_full:  # before its pictures are read
        raise queue_is_full(service)
    most = MOST_UPLOADS * service.settings.upload_limit_bytes * 4 // 3 + 2**20
    content = await read_content(request, most)
    body = await run_in_threadpool(read_body, content)  # 100 MB of JSON take half a second
    del content
    require_engine(service)  # before the model, whose name may not be known yet
    require_model(service, body.model)
    if not service.limit.enter():
        raise queue_is_full(service)
    chunks = follow(request, partial(write, service, body), service.limit.leave, KEEP_ALIVE)
    answer = Answer(body.model, body.logprobs)
    if not body.stream:
        return await collect(answer, chunks)
    # What cannot be answered has its own status, unless that is known only later than this.
    first = await anext(chunks, Chunk(""))
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    writer = StreamWriter(answer, body.stream_options.include_usage)
    events = write_events(writer, first, chunks)
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


async def read_content(request: Request, most: int) -> bytes:
    """Return a request's body. Raises ApiError for one of more than `most` bytes."""
    content = bytearray()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= most:
            content += piece
        elif size > 2 * most:
            break
    if size > most:  # read on till now: a client that is still sending would not see the answer
        raise ApiError(
            413,
            f"The body is larger than {most / 2**20:.0f} MB ({MOST_UPLOADS} times --upload-limit): "
            "send fewer or smaller pictures.",
        )
    return bytes(content)


def write(
    service: Service, body: ChatBody, has_left: threading.Event
) -> Generator[Chunk, None, None]:
    """Yield the chunks of an answer; its pictures are files until then."""

    def check_wanted() -> None:
        if has_left.is_set():
            raise ClientDisconnect

    with TemporaryDirectory(prefix="phi3v-") as folder:
        request = build_request(body, service.settings, Path(folder), check_wanted)
        if isinstance(service.engine, ModelChoice):
            request = replace(request, model=body.model)
        with closing(service.stream(request)) as chunks:
            yield from chunks


async def collect(answer: Answer, chunks: AsyncGenerator[Chunk | None, None]) -> Response:
    """Return the whole answer."""
    text, last = "", Chunk("")
    async for chunk in chunks:
        if chunk is not None:
            text += chunk.text
            last = chunk
    return JSONResponse(describe_completion(answer, text, last))


async def write_events(
    writer: StreamWriter, first: Chunk | None, chunks: AsyncGenerator[Chunk | None, None]
) -> AsyncGenerator[str, None]:
    """Yield the server-sent events of an answer, with comments while there is no text.

    An error is an event too, because the status has been sent.
    """
    last = first or Chunk("")
    yield writer.write_text(last, {"role": "assistant"})
    try:
        async for chunk in chunks:
            if chunk is None:
                yield KEEP_ALIVE_COMMENT
                continue
            last = chunk
            if event := writer.write_text(chunk):
                yield event
    except ClientDisconnect:
        return
    except Exception as error:
        yield write_event(describe_error(explain(error))) + DONE
        return
    yield writer.write_end(last)


def queue_is_full(service: Service) -> ApiError:
    """Return the error for a request that finds no room."""
    return ApiError(
        429,
        f"The queue is full: {service.settings.queue_size} requests wait already (--queue-size). "
        "Try again later.",
        code="queue_full",
        retry_after=RETRY_FULL,
    )


def name_models(service: Service) -> list[str]:
    """Return the models that can be asked for."""
    engine = service.engine
    return [*engine.offers] if isinstance(engine, ModelChoice) else [hide_folder(engine.name)]


def require_model(service: Service, name: str) -> None:
    """Raise ApiError unless the model is among those that are served."""
    served = name_models(service)
    if name not in served:
        only = ", ".join(map(repr, served))
        message = f"There is no model {name!r} here, only {only}."
        raise ApiError(404, message, "model", "model_not_found")


def require_engine(service: Service) -> None:
    """Raise ApiError unless the engine answers: clients try again, the page's users wait."""
    status = service.engine.status
    if status.state == "loading":
        raise ApiError(503, "The model is still being loaded.", retry_after=RETRY_LOADING)
    if status.state == "unreachable":
        problem = translate(status.problem or words.NOT_LOADED)
        raise ApiError(503, problem, retry_after=RETRY_LOADING)
    if status.state == "failed":
        reason = translate(status.problem or words.NOT_LOADED)
        raise ApiError(503, f"The model could not be loaded: {reason}")


async def list_models(service: Service, request: Request) -> Response:
    """Return the list of the models that are served."""
    return JSONResponse(
        {"object": "list", "data": [describe_model(service, name) for name in name_models(service)]}
    )


async def show_model(service: Service, request: Request) -> Response:
    """Return the model with this name, if it is served."""
    require_model(service, request.path_params["model"])
    return JSONResponse(describe_model(service, request.path_params["model"]))


def describe_model(service: Service, name: str) -> dict[str, Any]:
    """Return the served model; max_model_len, vLLM's name, is known once it is loaded."""
    sized = service.engine.sized
    described = {
        "id": name,
        "object": "model",
        "created": service.started,
        "owned_by": "phi3v",
    }
    if sized is not None:
        described["max_model_len"] = sized.context_length
    return described


async def refuse_address(service: Service, request: Request) -> Response:
    """Raise ApiError for an address or method that is not served."""
    raise ApiError(
        405 if request.url.path in (CHAT, MODELS) else 404,
        f"{request.method} {request.url.path} is not served here; POST {CHAT} and GET {MODELS} "
        "are.",
    )


async def show_health(service: Service, request: Request) -> Response:
    """Return 200 if answers can be had, else 503; needs no login and tells nothing else."""
    try:
        require_engine(service)
    except ApiError as error:
        return respond_with(error)
    return JSONResponse({"status": "ok"})
