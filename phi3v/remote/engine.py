"""Answers requests by servers: chooses one, streams its answer, and asks another if it fails.

Satisfies phi3v.conversation.engine_protocol.StreamingEngine. Prompts, limits and refusals are made
here from the checkpoint's JSON files, equal to a local engine's; no weights are needed.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx

from phi3v.conversation.checkpoint_processor import EMBEDDED, CheckpointProcessor
from phi3v.conversation.engine_protocol import HEARTBEAT_INTERVAL, READ_INTERVAL, EngineStatus
from phi3v.conversation.request_queue import RequestQueue
from phi3v.conversation.throughput import Throughput
from phi3v.remote import words
from phi3v.remote.answer import RemoteAnswer
from phi3v.remote.asking import Delta, Limits, ask_server
from phi3v.remote.drafting import CROPS, Draft, draft_request, write_body
from phi3v.remote.errors import BusyError, FieldsRefusedError, ServerError
from phi3v.remote.probing import PROBE_INTERVAL
from phi3v.remote.servers import Server, ServerPool
from phi3v.remote.watching import ServerWatch
from phi3v.request import Chunk, Phase, Request, RequestError
from phi3v.translatable import Text

logger = logging.getLogger(__name__)

# Times that one request waits because all servers ask it to.
MOST_RESTS = 4

Chunks = Generator[Chunk, None, None]


class RemoteEngine:
    """Answers requests by the servers at `urls`, as many at once as they take.

    model is the checkpoint that they serve: "embedded", a folder, a hub id, or "auto" for what the
    first of them says. find_files returns the folder of a checkpoint's JSON files. key is sent to
    the servers and to nobody else. parallel is the most requests that run at once, None for the
    servers' own figures. Requests beyond it wait in order of arrival.
    """

    quantize = "none"
    dtype = ""  # the servers'

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        find_files: Callable[[str], Path],
        key: str = "",
        parallel: int | None = None,
        limits: Limits | None = None,
        probe_interval: float = PROBE_INTERVAL,
    ) -> None:
        self.limits = limits or Limits()
        self.throughput = Throughput()
        self.pool = ServerPool([Server(url) for url in urls], parallel)
        self._watch = ServerWatch(
            self.pool, model, find_files, make_client(key, self.limits), probe_interval
        )
        self._queue: RequestQueue[RemoteAnswer] = RequestQueue()
        # Requests that arrive together open their images in turns, or those would fill the memory.
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """The checkpoint's name; "auto" until a server has said it."""
        return self._watch.name

    @property
    def device(self) -> str:
        """The addresses of the servers that answer."""
        return ", ".join(server.address for server in self.pool.available)

    @property
    def is_embedded(self) -> bool:
        """True for the embedded checkpoint."""
        return self.name == EMBEDDED

    @property
    def revision(self) -> str:
        """The hub's commit of the JSON files; "" for a folder, whose weights are elsewhere."""
        folder = self._watch.folder
        return folder.name if folder is not None and folder.parent.name == "snapshots" else ""

    @property
    def status(self) -> EngineStatus:
        """Whether a server answers, and what is wrong with those that do not."""
        return self._watch.status

    @property
    def processor(self) -> CheckpointProcessor:
        """The checkpoint's processor, with the crops that the servers make.

        Raises RequestError while no server has answered.
        """
        processor = self._watch.processor
        if processor is None:
            raise RequestError(self.status.problem or Text(words.GONE))
        return processor if self._sends_crops else fix_crops(processor)

    @property
    def sized(self) -> "RemoteEngine | None":
        """Itself, once the checkpoint is known."""
        return self if self._watch.processor is not None else None

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together on every server."""
        limits = [server.context_length for server in self.pool.available if server.context_length]
        return min([self.processor.context_length, *limits])

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token takes in all layers, at 16 bits."""
        return self.processor.cache_bytes_per_token

    @property
    def _sends_crops(self) -> bool:
        """True unless a server refused to be told the number of crops."""
        return not any(CROPS in server.refused_fields for server in self.pool.servers)

    def wait_until_asked(self) -> None:
        """Block until a server answers, or none of them does."""
        while self.status.state == "loading":
            time.sleep(READ_INTERVAL)

    def close(self) -> None:
        """Stop asking the servers whether they answer, and close all connections."""
        self._watch.close()

    def stream(self, request: Request, stop: threading.Event | None = None) -> Chunks:
        """Answer a request: chunks of text, then one chunk with the statistics.

        Setting `stop` closes the connection, which ends the request on its server, and ends the
        answer with its statistics; closing the iterator ends it without. A server that fails before
        the first token is replaced by another once; after it the answer ends with the finish reason
        "interrupted". Raises RequestError where the request cannot be answered, in words for users.
        """
        answer = RemoteAnswer(request.ends_loops, stop or threading.Event())
        while self.status.state == "loading":
            if answer.stop.is_set():
                return
            yield Chunk("", phase="loading")
            time.sleep(READ_INTERVAL)
        self._check_choice(request)
        draft = self._draft(request, self._sends_crops)
        yield from self._answer(answer, draft)
        statistics = answer.statistics(draft.prompt, self.processor)
        self.throughput.record(statistics)
        logger.info("%s", statistics)
        yield Chunk("", statistics, tokens=tuple(answer.tokens))

    def _check_choice(self, request: Request) -> None:
        """Raise RequestError for a model or an adapter that no server offers."""
        offered = {self.name}.union(*(server.models for server in self.pool.available))
        for name in filter(None, (request.model, request.adapter)):
            if name not in offered:
                raise RequestError(words.NOT_OFFERED, name=name, known=", ".join(sorted(offered)))

    def _draft(self, request: Request, sends_crops: bool) -> Draft:
        with self._opening:
            processor = self.processor if sends_crops else fix_crops(self.processor)
            return draft_request(request, processor, self.context_length, sends_crops)

    def _answer(self, answer: RemoteAnswer, draft: Draft) -> Chunks:
        """Ask servers until one has answered, or the answer cannot be had."""
        failed: list[ServerError] = []
        excluded: list[Server] = []
        # Fields that a server may not take: it is remembered once it answers without them.
        left_out: dict[Server, frozenset[str]] = {}
        rests = 0
        while True:
            server = yield from self._take_server(answer, draft.request, excluded, failed)
            if server is None:
                return
            refused = server.refused_fields | left_out.get(server, frozenset())
            try:
                if draft.sends_crops and CROPS in refused:
                    draft = self._draft(draft.request, sends_crops=False)
                yield from self._read(answer, draft, server, refused)
                server.refused_fields |= refused
                self.pool.remember(draft.request, server)
                return
            except FieldsRefusedError as refusal:
                left_out[server] = refused | refusal.fields
                logger.info("The server at %s may not take %s.", server.address, refusal)
            except BusyError as busy:
                server.rests_until = time.monotonic() + busy.seconds
                rests += 1
                if rests > MOST_RESTS:
                    raise busy.explain(server) from busy
            except ServerError as error:
                logger.warning("%s (%r)", error, error.__cause__)
                if error.is_down:
                    server.problem = error.text
                if answer.has_begun:
                    answer.is_cut_off = True
                    return
                failed.append(error)
                excluded.append(server)
                if len(failed) > 1:
                    raise RequestError(words.TRY_AGAIN, problem=error.text) from error
            finally:
                self.pool.give_back(server)

    def _take_server(
        self,
        answer: RemoteAnswer,
        request: Request,
        excluded: Sequence[Server],
        failed: Sequence[ServerError],
    ) -> Generator[Chunk, None, Server | None]:
        """Wait in the queue for a server; return None once the answer is stopped.

        Raises RequestError where no server is left. A request that was sent before goes first.
        """
        self._queue.put(answer)
        try:
            while not answer.stop.is_set():
                position, total = self._queue.position(answer)
                if position == 1 or answer.sent_at:
                    server = self.pool.take(request, excluded)
                    if server is not None:
                        return server
                if all(server in excluded for server in self.pool.available):
                    if failed:
                        raise RequestError(words.TRY_AGAIN, problem=failed[-1].text)
                    raise RequestError(self.status.problem or Text(words.GONE))
                yield Chunk("", phase="waiting", number=position, total=total)
                self.pool.wait(HEARTBEAT_INTERVAL)
            return None
        finally:
            self._queue.remove(answer)

    def _read(
        self, answer: RemoteAnswer, draft: Draft, server: Server, refused: frozenset[str]
    ) -> Chunks:
        """Send a request to a server, and yield its answer until it ends or is stopped."""
        deltas: queue.SimpleQueue[Delta] = queue.SimpleQueue()
        body = write_body(draft, self.processor, server.name_model(draft.request), refused)
        answer.sent_at = time.perf_counter()
        asking = self._watch.run(
            lambda client: ask_server(client, server, body, deltas.put, self.limits)
        )
        asking.add_done_callback(lambda _: deltas.put(Delta()))  # wakes this thread
        try:
            while not answer.is_over:
                text, is_idle = "", True
                with suppress(queue.Empty):
                    text = answer.add(deltas.get(timeout=HEARTBEAT_INTERVAL))
                    is_idle = False
                    while not deltas.empty():
                        text += answer.add(deltas.get())
                if text or is_idle:
                    phase: Phase = "answering" if answer.has_begun else "prefill"
                    yield Chunk(text, phase=phase)
                if asking.done() and deltas.empty():
                    break
                if text:
                    wait([asking], READ_INTERVAL)
        finally:
            asking.cancel()
        # An error that comes when all of the answer has come changes nothing.
        if not asking.cancelled() and not answer.is_over and answer.server_reason is None:
            asking.result()


def make_client(key: str, limits: Limits) -> httpx.AsyncClient:
    """Return the client of all servers. It follows no redirect: the key is for them alone."""
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(limits.first, connect=limits.connect, pool=None),
        follow_redirects=False,
        # An idle connection may have been closed by the server just when it is used again.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )


def fix_crops(processor: CheckpointProcessor) -> CheckpointProcessor:
    """Return a processor for servers that cannot be told the number of crops: their default."""
    rules = processor.image_processor
    fixed = replace(rules, auto_num_crops=(rules.num_crops,) * 2, auto_least_scale=None)
    return replace(processor, image_processor=fixed)
