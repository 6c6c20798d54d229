"""Phi-3-Vision in the browser: settings -> engine -> page -> launch. `python app.py --help`."""

import logging
import os
import sys

try:
    import spaces  # before torch: on a ZeroGPU Space it takes CUDA's place until a GPU is lent
except ImportError:
    spaces = None

import gradio as gr

from phi3v.checkpoint import choose_model
from phi3v.engine import load
from phi3v.request import RequestError
from phi3v.settings import Settings, read_settings
from phi3v.ui import build_page, launch_options

IS_ON_SPACE = "SPACE_ID" in os.environ


def open_page(settings: Settings) -> gr.Blocks:
    """Load the network that the settings choose and build its page; exit where that cannot be."""
    logging.basicConfig(format="%(message)s")
    # Only our own notes: others would write down, for one, the addresses that users load.
    logging.getLogger("phi3v").setLevel(logging.INFO)
    try:
        name = choose_model(settings.model, settings.device)
        engine = load(
            name, settings.device, settings.dtype, settings.attention, settings.reuse_bytes
        )
    except RequestError as error:
        sys.exit(f"app.py: {error}")
    return build_page(engine, settings, on_gpu=spaces.GPU if spaces else None)


def main() -> None:
    """Serve the page until interrupted."""
    settings = read_settings(sys.argv[1:])
    page = demo if IS_ON_SPACE else open_page(settings)
    # A Space decides itself where it listens.
    address = {} if IS_ON_SPACE else {"server_name": settings.host, "server_port": settings.port}
    page.launch(**launch_options(settings), **address)


if IS_ON_SPACE:  # there the network must be in place before the first GPU is lent
    demo = open_page(read_settings())

if __name__ == "__main__":
    main()
