"""Phi-3-Vision in the browser: settings -> engine -> page -> launch. `python app.py --help`."""

import logging
import os
import sys
from contextlib import suppress
from functools import partial
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

IS_ON_SPACE = "SPACE_ID" in os.environ

spaces = None
if IS_ON_SPACE:
    with suppress(ImportError):
        import spaces  # before torch: on ZeroGPU it takes CUDA's place until a GPU is lent

if TYPE_CHECKING:
    import gradio as gr

    from phi3v.settings import Settings


def read_flags() -> "Settings":
    """The settings, read without importing the package around them: --help should not take long."""
    path = Path(__file__).parent / "phi3v" / "settings.py"
    spec = util.spec_from_file_location("phi3v.settings", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["phi3v.settings"] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read_settings(sys.argv[1:])


def open_page(settings: "Settings") -> "gr.Blocks":
    """The page of the network that the settings choose; exit where that cannot be.

    The network is loaded while the page is already served; on a Space before.
    """
    from phi3v.inference.background_loading import LoadingEngine
    from phi3v.inference.checkpoint import check_choices, choose_model
    from phi3v.inference.loading import load
    from phi3v.request import RequestError
    from phi3v.ui import build_page

    logging.basicConfig(format="%(message)s")
    # Only our own notes: others would write down, for one, the addresses that users load.
    logging.getLogger("phi3v").setLevel(logging.INFO)
    choices = (settings.device, settings.dtype, settings.attention)
    if settings.mcp and util.find_spec("mcp") is None:
        sys.exit(
            "app.py: --mcp needs the package mcp, which is not installed: "
            "`pip install -r requirements-mcp.txt`, or start without --mcp."
        )
    try:
        name = choose_model(settings.model, settings.device, settings.quantize)
        check_choices(name, *choices, settings.quantize)
        load_it = partial(load, name, *choices, settings.reuse_bytes, settings.quantize)
        engine = load_it(replay=False) if IS_ON_SPACE else LoadingEngine(load_it, name)
    except RequestError as error:
        sys.exit(f"app.py: {error}")
    return build_page(engine, settings, on_gpu=spaces.GPU if spaces else None)


def main() -> None:
    """Serve the page until interrupted."""
    settings = read_flags()
    page = demo if IS_ON_SPACE else open_page(settings)
    from phi3v.ui import launch_options

    # A Space decides itself where it listens.
    address = {} if IS_ON_SPACE else {"server_name": settings.host, "server_port": settings.port}
    page.launch(**launch_options(settings), **address)


if IS_ON_SPACE:  # there the network must be in place before the first GPU is lent
    demo = open_page(read_flags())

if __name__ == "__main__":
    main()
