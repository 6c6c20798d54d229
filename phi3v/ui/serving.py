"""Serves the page with an engine chosen by the settings; behind app.py and `phi3v serve`.

Imports the page and the engine inside functions, so that --help answers at once.
"""

import atexit
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from phi3v.request import RequestError
from phi3v.settings import Settings, read_settings
from phi3v.ui.upload_folder import UploadFolder, find_base

if TYPE_CHECKING:
    import gradio as gr

    from phi3v.conversation.engine_protocol import StreamingEngine
    from phi3v.inference import Engine
    from phi3v.inference.model_choice import ModelChoice
    from phi3v.ui.answering import OnGpu

logger = logging.getLogger(__name__)

# Seconds between two looks whether the app is to end.
END_INTERVAL = 0.1
# Gradio's attribute of a component, with the files that it never deletes.
KEPT = "keep_in_cache"


def serve(arguments: Sequence[str], program: str = "phi3v serve") -> None:
    """Serve the page until interrupted, or until the model turns out not to load.

    `arguments` are the flags. Exits with a message in one line where the settings cannot be used.
    """
    settings = read_settings(arguments, program)
    signal.signal(signal.SIGTERM, end)  # from here on: what follows imports for seconds
    folder = claim_folder()
    try:
        served = threading.Event()
        engine = choose_engine(settings, program, served=served)
        launch(build(engine, settings, folder), settings, program, engine, served)
    except KeyboardInterrupt:
        pass


def launch(
    page: "gr.Blocks",
    settings: Settings,
    program: str,
    engine: object = None,
    served: threading.Event | None = None,
    **address: object,
) -> None:
    """Serve the page at the settings' host and port, unless `address` overrides them.

    Sets `served` once it is. Raises KeyboardInterrupt when the app is interrupted. Exits where the
    port is taken, and once an engine that loads in the background has failed to.
    """
    from phi3v.documents.isolation import WORKERS
    from phi3v.ui.page import launch_options

    address = address or {"server_name": settings.host, "server_port": settings.port}
    try:
        page.launch(**launch_options(settings, page), **address, prevent_thread_lock=True)
    except OSError as error:
        if "port" not in str(error):
            raise
        sys.exit(
            f"{program}: nothing can listen on {settings.host}, port {settings.port}: another "
            "program does, or the address is none of this computer's. Choose another --port or "
            "--host."
        )
    if served is not None:
        served.set()
    # Gradio would take a shared page's scripts from another server than this one.
    page.share = False
    try:
        while page.is_running:
            if getattr(engine, "error", None) is not None:  # it has been logged
                sys.exit(1)
            time.sleep(END_INTERVAL)
    finally:
        page.close(verbose=False)
        WORKERS.close()  # what a worker is still busy with would keep this process waiting


def end(*_: object) -> None:
    """End the app as Ctrl-C does: a handler of SIGTERM."""
    raise KeyboardInterrupt


def warn_about_link(settings: Settings) -> None:
    """Log what a public link without a login risks, unless --no-auth has accepted it."""
    if settings.share and settings.auth is None and not settings.no_auth:
        logger.warning(
            "Warning: --share without --auth. Whoever has or guesses the link can use this "
            "computer's model, fill its disk and its queue, and make it load pictures from the "
            "web. --auth user:password asks for a login; --no-auth starts without this warning."
        )


def open_page(settings: Settings, program: str, on_gpu: "OnGpu | None" = None) -> "gr.Blocks":
    """Build the page of a hosted Space, where `on_gpu` lends a GPU for one answer.

    The model is loaded before. Exits where the settings cannot be used.
    """
    folder = claim_folder()
    engine = choose_engine(settings, program, in_background=False)
    return build(engine, settings, folder, on_gpu)


def choose_engine(
    settings: Settings,
    program: str,
    in_background: bool = True,
    served: threading.Event | None = None,
) -> "StreamingEngine":
    """Return the engine of the model that the settings choose, which loads in the background.

    Loading begins once `served` is set, or at once. Exits where the settings cannot be used.
    """
    logging.basicConfig(format="%(message)s")
    # Only this package's messages: others would log, for one, the addresses that users load.
    logging.getLogger("phi3v").setLevel(logging.INFO)
    warn_about_link(settings)
    if settings.mcp and find_spec("mcp") is None:
        sys.exit(
            f"{program}: --mcp needs the package mcp, which is not installed: "
            "`pip install -r requirements-mcp.txt` (or `phi3v[mcp]`), or start without --mcp."
        )
    try:
        if not in_background:
            return load_chosen(settings, eager_answers=1)
        return open_engine(settings, served)
    except RequestError as error:
        sys.exit(f"{program}: {error}")


def open_engine(settings: Settings, served: threading.Event | None = None) -> "StreamingEngine":
    """Return an engine of the settings' servers, or one that loads a model in the background.

    Loading begins once `served` is set, or at once: importing torch would slow down the page's own
    start. Imports nothing slow for one model. Raises RequestError for what cannot be loaded: the
    name of a checkpoint that is none, an adapter without its files.
    """
    from phi3v.inference.adapter_files import check_adapters, name_adapters
    from phi3v.inference.background_loading import LoadingEngine
    from phi3v.inference.checkpoint_files import find_folder

    if settings.servers:
        from phi3v.inference.connecting import connect

        return connect(settings)
    check_adapters(name_adapters(settings.adapters))
    for model in settings.models:
        if model != "auto":
            find_folder(model)
    if len(settings.models) > 1:
        return offer_models(settings)

    def load() -> "Engine":
        if served is not None:
            served.wait()
        return load_chosen(settings)

    return LoadingEngine(load, settings.models[0])


def offer_models(settings: Settings) -> "ModelChoice":
    """Return an engine that offers all models of the settings; the first is loaded already."""
    from phi3v.inference.checkpoint import choose_weights, find_weight_bytes
    from phi3v.inference.model_choice import ModelChoice, Offer, name_offers

    offers = []
    for model in settings.models:
        name, quantize = choose_weights(model, settings.device, settings.quantize)
        size = find_weight_bytes(name, settings.device, settings.dtype, quantize)
        # Of several models each has the adapters that fit it.
        load = partial(load_chosen, settings, model=model, needs_all_adapters=False)
        offers.append(Offer(name, load, size))
    return ModelChoice(name_offers(offers))


def load_chosen(
    settings: Settings,
    eager_answers: int = 0,
    model: str = "",
    needs_all_adapters: bool = True,
) -> "Engine":
    """Load a model of the settings, or their only one. Raises RequestError where that cannot be.

    On a Space a process may answer only once: there capturing pays from the second answer on, and
    eager_answers is 1.
    """
    from phi3v.conversation.engine_protocol import EngineStatus
    from phi3v.inference.checkpoint import check_choices, choose_weights
    from phi3v.inference.loading import load
    from phi3v.inference.model_offer import find_offer

    if not model and len(settings.models) > 1:
        raise RequestError("A hosted Space serves one model: give --model once.")
    choices = (settings.device, settings.dtype, settings.attention)
    model = model or settings.models[0]
    name, quantize = choose_weights(model, settings.device, settings.quantize)
    check_choices(name, *choices, quantize)
    offer = find_offer(model, settings.device)
    engine = load(
        name,
        *choices,
        settings.reuse_bytes,
        quantize,
        eager_answers=eager_answers,
        adapters=settings.adapters,
        needs_all_adapters=needs_all_adapters,
    )
    if offer is not None:
        engine.status = EngineStatus(problem=offer)
    return engine


def claim_folder() -> UploadFolder:
    """Return a new folder for temporary files, which is in use and deleted when the app ends.

    Call it before Gradio and PyTorch are imported: both make folders of their own.
    """
    folder = UploadFolder(find_base())
    folder.use()
    atexit.register(folder.remove)
    return folder


def build(
    engine: "StreamingEngine",
    settings: Settings,
    folder: UploadFolder,
    on_gpu: "OnGpu | None" = None,
) -> "gr.Blocks":
    """Build the page, whose uploads in `folder` are deleted in time."""
    from phi3v.ui.page import DELETE_CACHE, build_page

    page = build_page(engine, settings, on_gpu=on_gpu)

    def find_kept() -> set[str]:
        """Return the files of the page itself, which Gradio keeps in the same folder."""
        return {file for block in page.blocks.values() for file in getattr(block, KEPT, ())}

    folder.sweep_often(*DELETE_CACHE, find_kept)
    return page
