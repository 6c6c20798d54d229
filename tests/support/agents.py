"""A client of the Model Context Protocol, as an agent uses it."""

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import mcp

# The path of the tools is read from the usage guide, so that tests check the documented one.
USAGE = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
(PATH,) = re.findall(r"`http://127\.0\.0\.1:7860/(\S*mcp)`", USAGE)


def talk(url: str, tool: str = "", headers: dict[str, str] | None = None, **arguments: Any) -> Any:
    """Return the server's tools by name, or the result of the one that is named."""
    from mcp.client.streamable_http import streamablehttp_client

    async def run() -> Any:
        async with (
            streamablehttp_client(f"{url}{PATH}", headers=headers) as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            if tool:
                return await session.call_tool(tool, arguments)
            return {one.name: one for one in (await session.list_tools()).tools}

    return asyncio.run(run())


def as_data_url(path: str) -> str:
    """Return a PNG file as the data URL that an agent can send."""
    content = base64.b64encode(Path(path).read_bytes()).decode()
    return f"data:image/png;base64,{content}"
