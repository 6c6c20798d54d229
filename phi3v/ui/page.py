"""Builds the page from its tabs, endpoints and model note, and the options that it is served with.

Knows the parts and their order; what happens inside a tab is for phi3v.ui.chat and phi3v.ui.ocr.
"""

import os
from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.settings import Settings
from phi3v.tasks import EXAMPLES, OCR, TASKS, Task
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.access.guard import Guard
from phi3v.ui.access.hosts import Hosts, is_loopback_address
from phi3v.ui.access.logins import Credentials
from phi3v.ui.access.response_headers import ResponseHeaders
from phi3v.ui.answering import OnGpu, Stream, make_stream
from phi3v.ui.api.addresses import guard_addresses
from phi3v.ui.api.endpoints import add_endpoints
from phi3v.ui.api.openai.routes import Service, make_routes
from phi3v.ui.chat.estimating import connect_estimate
from phi3v.ui.chat.events import connect
from phi3v.ui.chat.layout import CSS, HEAD, lay_out_tab
from phi3v.ui.chat.pictures import follow_pictures_after
from phi3v.ui.chat.presets import connect_presets
from phi3v.ui.chat.transfer import connect_transfer, name_checkpoint
from phi3v.ui.choosing import show_choice
from phi3v.ui.event_errors import log_without_values
from phi3v.ui.full_disk import FullDisk, tell_full_disk
from phi3v.ui.i18n.languages import find_languages, translate
from phi3v.ui.i18n.localizing import CSS as DIRECTIONS
from phi3v.ui.i18n.localizing import Localizing, lay_out_switch
from phi3v.ui.ocr.events import connect_reading
from phi3v.ui.ocr.layout import lay_out_reading
from phi3v.ui.queue_limit import limit_queue
from phi3v.ui.wiring import UNQUEUED, hide_folder, most_held, most_running

# Uploaded and downloaded images: checked every 600 seconds, deleted when 3600 seconds old.
DELETE_CACHE = (600, 3600)
# Small events (numbering, downloads) that run concurrently; answers have their own queue.
SMALL_EVENT_CONCURRENCY = 8
# Each request that the engine holds has a thread; these are for short events.
SHORT_EVENT_THREADS = 40
# Seconds between a page's checks whether the model has been loaded.
LOADING_POLL_INTERVAL = 1
# And between those whether all servers still answer.
STATUS_POLL_INTERVAL = 5


def build_page(
    engine: StreamingEngine, settings: Settings, on_gpu: OnGpu | None = None
) -> gr.Blocks:
    """Return the page with all tabs and endpoints; launch it with launch_options.

    on_gpu is spaces.GPU on a hosted Space, where a GPU is allocated for one answer at a time.
    """
    stream = make_stream(engine, on_gpu)
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        with gr.Row(elem_classes="heading"):
            gr.Markdown(f"# {words.TITLE}")
            lay_out_switch()
        gr.Markdown(words.SUBTITLE, elem_classes="note")
        follow_loading(page, gr.Markdown(elem_classes=["note", "who"]), engine)
        with gr.Tabs():
            for task in TASKS:
                if task is OCR:
                    with gr.Tab(task.title), gr.Tabs():
                        connect_reading(engine, lay_out_reading(settings, engine), stream)
                        title = words.CHAT
                        add_conversation(engine, task, stream, settings, title)
                else:
                    add_conversation(engine, task, stream, settings)
        add_endpoints(engine, stream, settings)
    guard_addresses(page, settings.upload_limit_bytes)
    tell_full_disk(page)
    log_without_values(page)
    # Of the requests that the engine holds some are being answered; the others count as waiting.
    waiting = most_held(settings) - most_running(settings)
    page.queue(
        max_size=settings.queue_size - waiting, default_concurrency_limit=SMALL_EVENT_CONCURRENCY
    )
    limit = limit_queue(page, most_running(settings) + settings.queue_size)
    page.phi3v_routes = make_routes(Service(engine, stream, settings, limit))
    return page


def add_conversation(
    engine: StreamingEngine,
    task: Task,
    stream: Stream,
    settings: Settings,
    title: str = "",
) -> None:
    """Add a task's chat tab and connect all of its events."""
    tab = lay_out_tab(task, settings, title, engine)
    connect(task, tab, stream, settings)
    connect_presets(engine, task, tab)
    connect_estimate(engine, task, tab)
    name_model = partial(name_checkpoint, engine)
    show_source = partial(show_choice, engine, settings)
    limit = settings.upload_limit_bytes
    loaded = connect_transfer(task, tab, name_model, limit, show_source)
    follow_pictures_after(loaded, task, tab)


def launch_options(settings: Settings, page: gr.Blocks | None = None) -> dict[str, Any]:
    """Return the arguments of Blocks.launch besides the address: limits, privacy and looks.

    page is the one that is launched, for the addresses that it serves besides Gradio's.
    """
    return {
        "share": settings.share,
        "mcp_server": settings.mcp,
        "auth": settings.credentials,
        "max_threads": most_held(settings) + SHORT_EVENT_THREADS,
        "max_file_size": settings.upload_limit_bytes,
        "allowed_paths": [str(EXAMPLES)],
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["api"],
        "ssr_mode": False,
        "pwa": False,
        "theme": make_theme(),
        "css": CSS + DIRECTIONS,
        "head": HEAD,
        "app_kwargs": {
            "middleware": [*guards(settings), Middleware(Localizing)],
            "routes": [] if page is None else page.phi3v_routes,
        },
        "i18n": gr.I18n(
            **{code: dict(language.gradio) for code, language in find_languages().items()}
        ),
    }


def guards(settings: Settings) -> list[Middleware]:
    """Return the middleware that decides who may call the app, and binds browsers to it."""
    space_host = os.environ.get("SPACE_HOST", "")
    is_on_space = "SPACE_ID" in os.environ  # a Space chooses its own address
    # uvicorn would believe whatever a proxy on this machine, such as the link's, passes on
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    hosts = Hosts(
        is_local=is_loopback_address(settings.host) and not is_on_space,
        is_shared=settings.share,
        names=settings.host_names,
        proxies=settings.proxy_networks,
        public_host=space_host,
    )
    credentials = Credentials(*settings.credentials) if settings.credentials else None
    return [
        Middleware(ResponseHeaders, is_on_space),
        Middleware(Guard, hosts, credentials, settings.per_address),
        Middleware(FullDisk),
    ]


def make_theme() -> gr.themes.Base:
    """Return Gradio's default theme in calm colours, with system fonts so that none are fetched.

    The default's lightest greys and greens are too faint for many readers; these give text a
    contrast ratio of 4.5 to its background.
    """
    theme = gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        link_text_color_visited="*secondary_600",
        link_text_color_dark="*secondary_300",
        link_text_color_hover_dark="*secondary_200",
        link_text_color_active_dark="*secondary_300",
        link_text_color_visited_dark="*secondary_300",
    )


def follow_loading(page: gr.Blocks, note: gr.Markdown, engine: StreamingEngine) -> None:
    """Keep the model note up to date while the model loads, and for ever if servers answer."""
    timer = gr.Timer(LOADING_POLL_INTERVAL)

    def show() -> tuple[str, gr.Timer]:
        # Read before the note is made: were loading to end in between, the timer would otherwise
        # stop with the "loading" note still shown.
        status = engine.status
        interval = STATUS_POLL_INTERVAL if status.state == "ready" else LOADING_POLL_INTERVAL
        return describe_engine(engine), gr.Timer(interval, active=not status.is_final)

    for event in (page.load, timer.tick):
        event(show, None, [note, timer], **UNQUEUED)


def describe_engine(engine: StreamingEngine) -> str:
    """Return the note on the model, that it is still loading, or why it does not answer."""
    status = engine.status
    name = words.ANY_MODEL if engine.name == "auto" else hide_folder(engine.name)
    if status.state == "loading":
        return translate(Text(words.LOADING_NOTE, name=name))
    if status.state == "failed":
        reason = status.problem or Text(words.NOT_LOADED)
        return translate(Text(words.NOT_LOADED_NOTE, name=name, reason=reason))
    problem = status.problem or Text("")
    if status.state == "unreachable":
        return translate(Text(words.WAITS_FOR_SERVER, problem=problem))
    return f"{describe_model(engine)} {translate(problem)}".strip()


def describe_model(engine: StreamingEngine) -> str:
    """Return the note on model, device and dtype, with the limits of the embedded checkpoint."""
    dtype = str(engine.dtype).removeprefix("torch.")
    name = hide_folder(engine.name)
    template = words.MODEL_NOTE if dtype else words.SERVED_NOTE
    note = translate(Text(template, name=name, device=str(engine.device), dtype=dtype))
    return f"{note} {translate(words.EMBEDDED_NOTE)}" if engine.is_embedded else note
