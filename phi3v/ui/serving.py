"""Serves the page with an engine chosen by the settings; behind app.py and `phi3v serve`.

Imports the page and the engine inside functions, so that --help answers at once.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from phi3v.request import RequestError
from phi3v.settings import Settings, read_settings

if TYPE_CHECKING:
    import gradio as gr

    from phi3v.conversation.engine_protocol import StreamingEngine
    from phi3v.inference import Engine
    from phi3v.ui.answering import OnGpu


def serve(arguments: Sequence[str], program: str = "phi3v serve") -> None:
    """Serve the page until interrupted; `arguments` are the flags.

    Exits with a message in one line where the settings cannot be used.
    """
    settings = read_settings(arguments, program)
    served = threading.Event()
    page = open_page(settings, program, served=served)
    address = {"server_name": settings.host, "server_port": settings.port}
    launch(page, settings, prevent_thread_lock=True, **address)
    served.set()
    page.block_thread()


def launch(page: "gr.Blocks", settings: Settings, **options: object) -> None:
    """Launch the page at the settings' host and port; `options` are Blocks.launch's."""
    from phi3v.ui.page import launch_options

    page.launch(**launch_options(settings), **options)


def open_page(
    settings: Settings,
    program: str,
    on_gpu: "OnGpu | None" = None,
    in_background: bool = True,
    served: threading.Event | None = None,
) -> "gr.Blocks":
    """Build the page of the model that the settings choose, which loads in the background.

    Loading begins once `served` is set, or at once: importing torch would slow down the page's own
    start. On a hosted Space, where `on_gpu` lends a GPU for one answer, the model must be loaded
    before and in_background is False. Exits where the settings cannot be used.
    """
    from phi3v.ui.page import build_page

    logging.basicConfig(format="%(message)s")
    # Only this package's messages: others would log, for one, the addresses that users load.
    logging.getLogger("phi3v").setLevel(logging.INFO)
    if settings.mcp and find_spec("mcp") is None:
        sys.exit(
            f"{program}: --mcp needs the package mcp, which is not installed: "
            "`pip install -r requirements-mcp.txt` (or `phi3v[mcp]`), or start without --mcp."
        )
    engine: StreamingEngine
    try:
        if in_background:
            engine = open_engine(settings, served)
        else:
            engine = load_chosen(settings, eager_answers=1)
    except RequestError as error:
        sys.exit(f"{program}: {error}")
    return build_page(engine, settings, on_gpu=on_gpu)


def open_engine(settings: Settings, served: threading.Event | None = None) -> "StreamingEngine":
    """Return an engine of the settings' servers, or one that loads a model in the background.

    Imports nothing slow; loading begins once `served` is set. Raises RequestError for the name of a
    checkpoint that is none.
    """
    from phi3v.inference.background_loading import LoadingEngine
    from phi3v.inference.checkpoint_files import find_folder

    if settings.servers:
        from phi3v.inference.connecting import connect

        return connect(settings)
    if settings.model != "auto":
        find_folder(settings.model)

    def load() -> "Engine":
        if served is not None:
            served.wait()
        return load_chosen(settings)

    return LoadingEngine(load, settings.model)


def load_chosen(settings: Settings, eager_answers: int = 0) -> "Engine":
    """Load the model that the settings choose. Raises RequestError where that cannot be.

    On a Space a process may answer only once: there capturing pays from the second answer on, and
    eager_answers is 1.
    """
    from phi3v.inference.checkpoint import check_choices, choose_weights
    from phi3v.inference.loading import load

    choices = (settings.device, settings.dtype, settings.attention)
    name, quantize = choose_weights(settings.model, settings.device, settings.quantize)
    check_choices(name, *choices, quantize)
    return load(name, *choices, settings.reuse_bytes, quantize, eager_answers=eager_answers)
