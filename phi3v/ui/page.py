"""The page as a whole: who answers, the tabs, the endpoints, and how it is served."""

from pathlib import Path
from typing import Any

import gradio as gr

from phi3v.settings import Settings
from phi3v.tasks import EXAMPLES, TASKS
from phi3v.ui import words
from phi3v.ui.answering import OnGpu, StreamingEngine, make_stream
from phi3v.ui.endpoints import add_endpoint
from phi3v.ui.events import connect
from phi3v.ui.layout import CSS, lay_out_tab

# Uploaded and downloaded pictures: looked for every 10 minutes, deleted when an hour old.
DELETE_CACHE = (600, 3600)
# Small events (numbering, downloads) that run at once; answers have a line of their own.
SMALL_EVENTS_AT_ONCE = 8


def build_page(
    engine: StreamingEngine, settings: Settings, on_gpu: OnGpu | None = None
) -> gr.Blocks:
    """Build the page; launch it with launch_options.

    on_gpu is spaces.GPU on a hosted Space, where a GPU is lent for one answer at a time.
    """
    stream = make_stream(engine, on_gpu)
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        gr.Markdown(
            f"# {words.TITLE}\n{words.SUBTITLE}\n\n{note_model(engine)}", elem_classes="note"
        )
        with gr.Tabs():
            for task in TASKS:
                connect(task, lay_out_tab(task, settings), stream, settings)
        for task in TASKS:
            add_endpoint(task, stream, settings)
    page.queue(max_size=settings.queue_size, default_concurrency_limit=SMALL_EVENTS_AT_ONCE)
    return page


def launch_options(settings: Settings) -> dict[str, Any]:
    """What Blocks.launch is given besides the address: limits, privacy and looks."""
    return {
        "share": settings.share,
        "auth": settings.credentials,
        "max_file_size": settings.upload_limit_bytes,
        "allowed_paths": [str(EXAMPLES)],
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["api"],
        "ssr_mode": False,
        "pwa": False,
        "theme": make_theme(),
        "css": CSS,
    }


def make_theme() -> gr.themes.Base:
    """Gradio's own look in calm colours, with the reader's own fonts: none are fetched."""
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def note_model(engine: StreamingEngine) -> str:
    """Which network answers, on what, and what the embedded one cannot do."""
    dtype = str(engine.dtype).removeprefix("torch.")
    # Where a folder lies on the server is nobody's business.
    name = Path(engine.name).name if Path(engine.name).is_dir() else engine.name
    note = words.MODEL_NOTE.format(name=name, device=engine.device, dtype=dtype)
    return f"{note} {words.EMBEDDED_NOTE}" if engine.is_embedded else note
