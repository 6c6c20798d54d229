"""A question has the same answer in the page, through gradio_client and for an agent."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect
from support.browsing import (
    SECONDS,
    ask,
    button,
    captions,
    figures,
    messages,
    open_page,
    set_slider,
    start_browser,
    unfold,
)
from support.serving import connect, serve

from phi3v import load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.settings import Settings
from phi3v.tasks import EXAMPLES
from phi3v.ui import words

mcp = pytest.importorskip("mcp", reason="see requirements-mcp.txt")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (EMBEDDED_FOLDER / "config.json").exists(),
        reason="the embedded checkpoint is not here; see training/",
    ),
]

SHAPES, SIGN = EXAMPLES / "shapes.png", EXAMPLES / "sign.png"
GARDEN = EXAMPLES / "garden.png"  # the model is less sure here, so that seeds differ
MAX_NEW_TOKENS = 48


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from start_browser()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(load("embedded", dtype="float32"), Settings(mcp=True)) as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    open_page(page, url)
    yield page
    page.close()


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return connect(url)


def call(client: Client, api_name: str, *arguments: object) -> str:
    return client.predict(*arguments, api_name=api_name).strip()


def call_tool(url: str, tool: str, picture: Path, **arguments: object) -> str:
    """Return a tool's answer; in a thread, because asyncio.run fails while playwright runs."""
    from support.agents import talk

    content = base64.b64encode(picture.read_bytes()).decode()
    arguments["images"] = [f"data:image/png;base64,{content}"]
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(talk, url, tool, **arguments).result()
    assert not found.isError, found.content
    return found.content[0].text.strip()


def ask_in_page(page: Page, picture: Path, question: str, seed: int, **sliders: float) -> str:
    page.locator(".pictures:visible input[type=file]").first.set_input_files(picture)
    expect(captions(page)).to_have_count(1)
    unfold(page, words.SETTINGS)
    for name, value in sliders.items():
        set_slider(page, getattr(words, name), value)
    box = page.get_by_label(words.SEED, exact=True).locator("visible=true")
    box.fill(str(seed))
    box.press("Tab")
    ask(page, question)
    expect(figures(page)).to_contain_text("in the prompt", timeout=120 * SECONDS)
    return messages(page).last.inner_text().strip()


def test_a_greedy_answer_is_the_same_in_the_page_for_a_client_and_an_agent(
    page: Page, client: Client, url: str
) -> None:
    question = "Describe the image and say where everything is."
    shown = ask_in_page(page, SHAPES, question, 0, MAX_NEW_TOKENS=MAX_NEW_TOKENS, TEMPERATURE=0)
    called = call(client, "/describe", [handle_file(SHAPES)], question, MAX_NEW_TOKENS)
    told = call_tool(url, "describe", SHAPES, prompt=question, max_new_tokens=MAX_NEW_TOKENS)
    assert len(called) > 20
    assert shown == called == told


def test_a_sampled_answer_is_the_same_in_the_page_and_for_a_client(
    page: Page, client: Client
) -> None:
    question = "Describe the image and say where everything is."
    sliders = {"MAX_NEW_TOKENS": MAX_NEW_TOKENS, "TEMPERATURE": 1.9, "TOP_P": 0.95}
    shown = ask_in_page(page, GARDEN, question, 7, **sliders)
    turns = [{"role": "user", "text": question, "images": [1]}]
    files = [handle_file(GARDEN)]
    called = [
        call(client, "/chat", turns, files, MAX_NEW_TOKENS, 1.9, 0.95, seed) for seed in (7, 7, 8)
    ]
    assert called[0] == called[1] != called[2]
    assert " ".join(shown.split()) == " ".join(called[0].split())


def test_a_text_that_is_read_is_the_same_in_the_page_for_a_client_and_an_agent(
    page: Page, client: Client, url: str
) -> None:
    question = "Read the text in this image."
    page.get_by_role("tab", name="OCR").click()
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files(SIGN)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(1)
    page.get_by_label("Instruction").fill(question)
    button(page, "Read").click()
    expect(page.get_by_text("1 of 1 pages read.")).to_be_visible(timeout=120 * SECONDS)
    shown = page.locator(".result textarea:visible")
    expect(shown).not_to_have_value("")
    called = call(client, "/ocr", [handle_file(SIGN)], question)
    told = call_tool(url, "ocr", SIGN, prompt=question)
    assert len(called) > 5
    assert shown.input_value() == called == told
