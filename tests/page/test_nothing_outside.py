"""The page in a real browser loads nothing from elsewhere, whatever is written in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from support.browsing import (
    ask,
    button,
    draw,
    figures,
    messages,
    open_page,
    open_tab,
    unfold,
    upload,
    wait_for_answer,
)
from support.fake_engine import FakeEngine, MeasuredEngine
from support.serving import serve

from phi3v.request import Sampling, Turn
from phi3v.results.conversation_file import Conversation, save_conversation
from phi3v.settings import Settings
from phi3v.ui import words

pytestmark = pytest.mark.browser

AWAY = "http://elsewhere.invalid"
# Each calls another server wherever it is rendered as Markdown or HTML.
HOSTILE = [
    f"![print]({AWAY}/1.png)",
    f"![]({AWAY}/2.png)",
    f"![named][there]\n\n[there]: {AWAY}/3.png",
    f'<img src="{AWAY}/4.png">',
    f'<video src="{AWAY}/5.mp4" poster="{AWAY}/6.png" autoplay></video>',
    f'<audio src="{AWAY}/7.mp3" autoplay></audio>',
    f'<picture><source srcset="{AWAY}/8.png"><img></picture>',
    f'<div style="background: url({AWAY}/9.png)">x</div>',
    f'<style>@import "{AWAY}/10.css";</style>',
    f'<link rel="stylesheet" href="{AWAY}/11.css">',
    f'<iframe src="{AWAY}/12"></iframe>',
    f'<object data="{AWAY}/13"></object><embed src="{AWAY}/14">',
    f'<form action="{AWAY}/15"><input name="x" value="y"><button>Send</button></form>',
    f'<input type="image" src="{AWAY}/16.png">',
    f'<svg><image href="{AWAY}/17.png"/></svg>',
    f'<table background="{AWAY}/18.png"><tr><td>x</td></tr></table>',
    f'<meta http-equiv="refresh" content="0;url={AWAY}/19">',
    f'```mermaid\nflowchart LR\n A@{{ img: "{AWAY}/20.png", label: "x" }}\n```',
    f"\\![print]({AWAY}/21.png) and \\\\![print]({AWAY}/22.png)",
    f"$\\includegraphics{{{AWAY}/23.png}}$",
    f"# ![print]({AWAY}/24.png)\n\n- ![print]({AWAY}/25.png)",
]


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return MeasuredEngine()


class Watch:
    """What a page asked for from elsewhere, and the errors in its console."""

    def __init__(self, page: Page, url: str) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.host = urlsplit(url).netloc
        page.on("request", lambda request: self.note(request.url))
        page.on("console", self.read_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def read_console(self, line: ConsoleMessage) -> None:
        address = line.location.get("url", "")
        # What Gradio's page on endpoints asks for, whether it is there or not.
        if line.type == "error" and not address.endswith(("/mcp/schema", "/monitoring/summary")):
            self.errors.append(f"{line.text} {address}")

    def note(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.host:
            self.outside.append(address)


@pytest.fixture
def watched(browser: Browser, url: str) -> Iterator[tuple[Page, Watch]]:
    """A page, and what it does; all of it is checked after the test."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en")
    watch = Watch(page, url)
    open_page(page, url)
    yield page, watch
    page.wait_for_timeout(500)
    page.close()
    assert watch.outside == []
    assert watch.errors == []


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    """A saved conversation full of addresses, and a model that is one."""
    turns = []
    for line in HOSTILE:
        turns += [Turn("user", line), Turn("assistant", line)]
    path = tmp_path / "conversation.zip"
    conversation = Conversation(tuple(turns), HOSTILE[0], HOSTILE[3][:12], Sampling())
    save_conversation(conversation, path)
    return path


def load(page: Page, path: Path) -> None:
    unfold(page, words.TRANSFER)
    with page.expect_file_chooser() as chosen:
        button(page, words.LOAD).click()
    chosen.value.set_files(path)


def test_a_loaded_conversation_loads_nothing_else(watched, hostile_file: Path) -> None:
    page, _ = watched
    load(page, hostile_file)
    expect(messages(page)).to_have_count(2 * len(HOSTILE))
    expect(figures(page)).to_contain_text("<img src=")
    for tag in ("img[src^=http]:not([src*='127.0.0.1'])", "video", "audio", "form", "iframe"):
        expect(page.locator(f"[data-testid=bot] {tag}, [data-testid=user] {tag}")).to_have_count(0)


def test_an_answer_shows_a_picture_of_another_site_as_a_link(watched, red: Path) -> None:
    page, _ = watched
    upload(page, red)
    ask(page, f"say see ![print]({AWAY}/1.png) <img src={AWAY}/2.png> `![code]({AWAY}/3.png)`")
    wait_for_answer(page)
    link = page.locator("[data-testid=bot]").get_by_role("link", name="print")
    expect(link).to_have_attribute("href", f"{AWAY}/1.png")
    expect(page.locator("[data-testid=bot] code")).to_have_text(f"![code]({AWAY}/3.png)")


def test_a_picture_whose_print_is_an_address_loads_nothing(watched, tmp_path: Path) -> None:
    page, _ = watched
    open_tab(page, "OCR")
    picture = draw(tmp_path / "![x](http:elsewhere.invalid-x.png) <img src=x>.png", (40, 30))
    damaged = tmp_path / "<img src=http:elsewhere.invalid>.png"
    damaged.write_bytes(b"no picture")
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files([picture, damaged])
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(2)
    tag, image = f"<img src={AWAY}/1.png>", f"![x]({AWAY}/2.png)"
    for output_format, answer, shown in (
        ("Markdown", "\n\n".join(HOSTILE), ".written"),
        ("CSV", f'a,b\n{tag},{image}\n{AWAY}/3.png,"<b onclick=x>"\n', "table"),
        ("JSON", json.dumps({"a": tag, "b": f"{AWAY}/2.png", "c": image}), ".json-holder"),
    ):
        page.get_by_role("radio", name=output_format).check()
        page.get_by_label("Instruction").fill("say " + answer)
        button(page, "Read").click()
        expect(page.locator(f"{shown}:visible").first).to_contain_text("<img src=")
    page.get_by_role("tab", name="Unsure words").click()
    page.get_by_label("Results").click()
    page.get_by_role("option", name="elsewhere.invalid.png").click()
    expect(page.get_by_text("is not a picture but").first).to_be_visible()


def test_no_state_of_the_page_loads_anything_else(watched, red: Path, blue: Path) -> None:
    page, _ = watched
    upload(page, red)
    page.get_by_label(words.SHOW_CROPS).check()
    expect(page.locator(".crops:visible img").first).to_be_visible()
    unfold(page, words.SETTINGS)
    open_tab(page, "Compare")
    upload(page, red, blue)
    expect(page.locator(".slider img")).to_have_count(2)
    page.get_by_role("button", name="API").click()
    expect(page.get_by_role("heading", name="API").first).to_be_visible()
    for client in ("JavaScript", "cURL", "Python"):
        page.get_by_text(client, exact=True).first.click()


def test_the_login_page_loads_nothing_else(browser: Browser) -> None:
    with serve(FakeEngine(), Settings(auth="me:secret")) as url:
        page = browser.new_page(locale="en")
        watch = Watch(page, url)
        page.goto(url)
        page.get_by_label("username").fill("me")
        page.get_by_label("password").fill("secret")
        page.get_by_role("button", name="Login").click()
        expect(button(page, "Ask")).to_be_visible(timeout=30_000)
        page.close()
    assert watch.outside == []
    assert watch.errors == []
