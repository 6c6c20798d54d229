"""Asks a server whether it answers, what it serves, and how many requests it takes.

Runs in the engine's event loop; the answers go into the Server.
"""

import logging
import re
from typing import Any, Final

import httpx

from phi3v.remote import words
from phi3v.remote.errors import ServerError, explain_status, explain_transport
from phi3v.remote.servers import DEFAULT_CAPACITY, Server
from phi3v.translatable import Text

logger = logging.getLogger(__name__)

# Seconds between two questions whether a server answers, and the longest wait for its answer.
PROBE_INTERVAL: Final = 3.0
PROBE_TIMEOUT: Final = 5.0

# vLLM's own limit of requests at once, unless it is started with another.
MOST_CAPACITY: Final = 256

METRIC: Final = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:{.*})? ([\d.e+]+)$", re.M)
CACHE_LINE: Final = re.compile(r"^vllm:cache_config_info{.*$", re.M)
LABEL: Final = re.compile(r'\b(block_size|num_gpu_blocks)="(\d+)"')


async def probe(client: httpx.AsyncClient, server: Server) -> list[dict[str, Any]]:
    """Ask a server for its models, record what it says, and return them; [] if it has none.

    A server that is too busy to answer in time, but answers requests, counts as up.
    """
    before = server.problem if server.was_asked else Text("")
    models: list[dict[str, Any]] = []
    try:
        models = await read_models(client, server)
        server.problem = None
    except ServerError as error:
        if error.is_down or not server.running or server.problem:
            server.problem = error.text
    server.was_asked = True
    if server.problem != before:
        tell = logger.info if server.problem is None else logger.warning
        tell("%s", server.problem or f"The server at {server.address} answers.")
    return models


async def read_models(client: httpx.AsyncClient, server: Server) -> list[dict[str, Any]]:
    """Return the entries of /v1/models. Raises ServerError if there is no such answer."""
    try:
        response = await client.get(f"{server.url}/v1/models", timeout=PROBE_TIMEOUT)
        if response.status_code >= 500:
            # `transformers serve` fails here where there is no hub cache, and answers all the same.
            health = await client.get(f"{server.url}/health", timeout=PROBE_TIMEOUT)
            if health.status_code == 200:
                return []
    except httpx.HTTPError as error:
        raise explain_transport(server, error) from error
    no_api = ServerError(Text(words.NO_API, address=server.address, status=response.status_code))
    if response.status_code != 200:
        problem = explain_status(server, response)
        is_known = isinstance(problem, ServerError) and response.status_code != 404
        raise problem if is_known else no_api
    try:
        return [dict(entry) for entry in response.json()["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise no_api from error


async def read_metrics(client: httpx.AsyncClient, server: Server) -> None:
    """Record a vLLM server's requests of other clients, and how many its cache has room for."""
    try:
        response = await client.get(f"{server.url}/metrics", timeout=PROBE_TIMEOUT)
    except httpx.HTTPError:
        return
    if response.status_code != 200 or "vllm:" not in response.text:
        return
    counts = [float(value) for value in METRIC.findall(response.text)]
    server.others = max(0, int(sum(counts)) - server.running)
    found = CACHE_LINE.search(response.text)
    sizes = dict(LABEL.findall(found[0])) if found else {}
    server.capacity = DEFAULT_CAPACITY
    if len(sizes) == 2 and server.context_length:
        tokens = int(sizes["block_size"]) * int(sizes["num_gpu_blocks"])
        server.capacity = min(max(1, tokens // server.context_length), MOST_CAPACITY)
