"""Phi-3-Vision in the browser, locally and on a hosted Space. `python app.py --help`."""

import os
import sys
from contextlib import suppress

IS_ON_SPACE = "SPACE_ID" in os.environ

spaces = None
if IS_ON_SPACE:
    with suppress(ImportError):
        import spaces  # before torch: on ZeroGPU it takes CUDA's place until a GPU is lent

from phi3v.settings import read_settings  # noqa: E402
from phi3v.ui.serving import launch, open_page, serve  # noqa: E402

if IS_ON_SPACE:  # there the model must be loaded before the first GPU is lent
    settings = read_settings(sys.argv[1:])
    on_gpu = spaces.GPU if spaces else None
    demo = open_page(settings, "app.py", on_gpu)

if __name__ == "__main__":
    if IS_ON_SPACE:  # a Space chooses its own address
        launch(demo, settings, "app.py", server_name=None)
    else:
        serve(sys.argv[1:], program="app.py")
