"""Keeps asking servers whether they answer, in an event loop of its own, and what they serve.

The loop runs the engine's requests too. Knows the checkpoint's name and its JSON files.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx

from phi3v.conversation.checkpoint_processor import EMBEDDED, CheckpointProcessor, read_processor
from phi3v.conversation.engine_protocol import EngineStatus
from phi3v.remote import words
from phi3v.remote.probing import probe, read_metrics
from phi3v.remote.servers import Server, ServerPool
from phi3v.request import RequestError
from phi3v.translatable import Text

logger = logging.getLogger(__name__)


class ServerWatch:
    """Asks every server every `interval` seconds; folder and processor are the checkpoint's.

    name is the checkpoint's, "auto" until a server has said it.
    """

    def __init__(
        self,
        pool: ServerPool,
        model: str,
        find_files: Callable[[str], Path],
        client: httpx.AsyncClient,
        interval: float,
    ) -> None:
        self.name = model
        self.folder: Path | None = None
        self.processor: CheckpointProcessor | None = None
        self._problem: Text | None = None  # with the checkpoint's files
        self._pool = pool
        self._find_files = find_files
        self._client = client
        self._interval = interval
        self._loop = asyncio.new_event_loop()
        self._reading = asyncio.Lock()
        self._tasks = [self._loop.create_task(self._follow(server)) for server in pool.servers]
        threading.Thread(target=self._loop.run_forever, name="phi3v-servers", daemon=True).start()

    @property
    def status(self) -> EngineStatus:
        """Whether a server answers, and what is wrong with those that do not."""
        problems = [server.problem for server in self._pool.servers if server.problem]
        joined = join_texts(problems)
        if self._pool.available and self.processor is not None:
            return EngineStatus("ready", joined, is_final=False)
        if self._problem is not None:
            return EngineStatus("unreachable", self._problem, is_final=False)
        if len(problems) == len(self._pool.servers):
            problem = Text(words.NO_SERVER, problems=joined or "")
            return EngineStatus("unreachable", problem, is_final=False)
        return EngineStatus("loading", is_final=False)

    def run(self, ask: Callable[[httpx.AsyncClient], Awaitable[None]]) -> "Future[None]":
        """Run a request in the loop; cancelling the future closes its connection."""

        async def call() -> None:
            await ask(self._client)

        return asyncio.run_coroutine_threadsafe(call(), self._loop)

    def close(self) -> None:
        """End all tasks and close the connections."""

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._client.aclose()
            await self._loop.shutdown_asyncgens()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _follow(self, server: Server) -> None:
        while True:
            try:
                models = await probe(self._client, server)
                if server.problem is None:
                    await self._identify(server, models)
            except Exception:  # whatever it is, the server is asked again
                logger.exception("Asking the server at %s failed.", server.address)
            await asyncio.sleep(self._interval)

    async def _identify(self, server: Server, models: list[dict[str, Any]]) -> None:
        """Record what a server serves, and read the checkpoint's files once one says it."""
        entry = choose_entry(models, self.name)
        server.models = frozenset(str(one["id"]) for one in models if "id" in one)
        server.context_length = read_limit(entry)
        await read_metrics(self._client, server)
        async with self._reading:
            if self.processor is None:
                names = [self.name] if self.name != "auto" else name_candidates(entry)
                await asyncio.to_thread(self._read_files, server, names)
        if self.processor is not None:
            is_folder = self.name == EMBEDDED or Path(self.name).is_dir()
            server.model = str(entry.get("id") or (self.folder if is_folder else self.name))

    def _read_files(self, server: Server, names: list[str]) -> None:
        """Read the files of the first of these checkpoints that is one."""
        called = names[-1] if names else ""
        problem = Text(words.NO_CHECKPOINT, address=server.address, model=called)
        for name in names:
            try:
                folder = self._find_files(name)
                processor = read_processor(folder)
            except RequestError as error:
                is_meant = name == self.name or (name.count("/") == 1 and name[0] != "/")
                problem = error.text if is_meant else problem
                continue
            self.name, self.folder, self._problem = name, folder, None
            self.processor = processor
            return
        if self._problem != problem:
            logger.warning("%s", problem)
        self._problem = problem


def choose_entry(models: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the entry of /v1/models that is the checkpoint of this name, else the first."""
    named = [entry for entry in models if name in name_candidates(entry)]
    return (named or models or [{}])[0]


def name_candidates(entry: dict[str, Any]) -> list[str]:
    """Return the names that a server gives its model: vLLM's `root` is the checkpoint's own."""
    return [str(entry[key]) for key in ("root", "id") if entry.get(key)]


def read_limit(entry: dict[str, Any]) -> int | None:
    """Return the most tokens of prompt and answer that vLLM was started with."""
    limit = entry.get("max_model_len")
    return limit if isinstance(limit, int) and limit > 0 else None


def join_texts(texts: list[Text]) -> Text | None:
    """Return texts one after the other, so that each can be translated; None for none."""
    if len(texts) < 2:
        return texts[0] if texts else None
    names = [f"problem{number}" for number in range(len(texts))]
    template = " ".join(f"{{{name}}}" for name in names)
    return Text(template, **dict(zip(names, texts, strict=True)))
