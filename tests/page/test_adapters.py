"""The choice of adapter and model in a real browser: menus, the figures, saved conversations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from playwright.sync_api import Locator, Page, expect
from support.browsing import (
    ask,
    button,
    download,
    figures,
    messages,
    open_tab,
    said,
    unfold,
    upload,
)
from support.models import build_processor, build_random_model
from support.serving import serve

from phi3v import Engine
from phi3v.inference.adapter_files import name_adapters
from phi3v.inference.adapters import Adapters
from phi3v.inference.model_choice import ModelChoice, Offer
from phi3v.settings import Settings
from phi3v.ui import words

pytestmark = pytest.mark.browser

NAMES = ("receipts", "menus")


def build_model():
    return build_random_model(build_processor(), 4, max_position_embeddings=8192)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    """Two adapters of random weights that change every answer."""
    folders = []
    for number, name in enumerate(NAMES):
        torch.manual_seed(number)
        peft = get_peft_model(build_model(), LoraConfig(r=4, target_modules=["qkv_proj"]))
        for weight in peft.parameters():
            weight.data += torch.randn_like(weight) * 0.2 * weight.requires_grad
        folders.append(str(tmp_path_factory.mktemp("adapters") / name))
        peft.save_pretrained(folders[-1])
    return Settings(adapter=folders, max_new_tokens=12, num_crops=1)


@pytest.fixture(scope="module")
def engine(settings: Settings) -> ModelChoice:
    def load(name: str) -> Engine:
        model = build_model()
        adapters = Adapters(model, name_adapters(settings.adapters))
        return Engine(model, build_processor(), name, adapters=adapters)

    names = {"small": 2_400_000, "large": 8_293_242_880}
    offers = {name: Offer(name, lambda name=name: load(name), size) for name, size in names.items()}
    return ModelChoice(offers)


@pytest.fixture(scope="module")
def url(engine: ModelChoice, settings: Settings) -> Iterator[str]:
    with serve(engine, settings) as address:
        yield address


def menu(page: Page, label: str) -> Locator:
    return page.get_by_label(said(page, label), exact=True).locator("visible=true")


def choose(page: Page, label: str, name: str) -> None:
    menu(page, label).click()
    page.get_by_role("option", name=said(page, name), exact=True).click()


def answer(page: Page, text: str) -> str:
    ask(page, text)
    # Random weights never end an answer.
    expect(figures(page)).to_contain_text(said(page, words.REASONS["length"]))
    expect(button(page, "Ask")).to_be_enabled()
    return messages(page).last.inner_text()


def clear(page: Page) -> None:
    button(page, "Clear").click()
    expect(messages(page)).to_have_count(0)


@pytest.mark.parametrize(("code", "width"), [("en", 390), ("he", 1280)])
def test_each_conversation_chooses_an_adapter_or_none(page: Page, red: Path) -> None:
    found = {}
    for name in ("receipts", "menus", words.NO_ADAPTER, "receipts"):
        choose(page, words.ADAPTER, name)
        upload(page, red)
        text = answer(page, "What is it?")
        assert found.setdefault(name, text) == text
        named = figures(page).filter(has_text=said(page, words.answered_by("", name)[0]))
        expect(named).to_have_count(int(name != words.NO_ADAPTER))
        clear(page)
    own = found.pop(words.NO_ADAPTER)
    assert own not in found.values()


def test_the_other_model_is_loaded_when_it_is_asked_and_its_memory_told_before(
    page: Page, red: Path, engine: ModelChoice
) -> None:
    upload(page, red)
    answer(page, "What is it?")
    assert engine.model == "small"
    choose(page, words.MODEL, "large · 8.3 GB")
    answer(page, "And now?")
    assert engine.model == "large"
    expect(figures(page)).to_contain_text("model large")


def test_a_saved_conversation_brings_its_model_and_adapter_back(
    page: Page, red: Path, tmp_path: Path
) -> None:
    choose(page, words.MODEL, "large · 8.3 GB")
    choose(page, words.ADAPTER, "menus")
    upload(page, red)
    answer(page, "What is it?")
    unfold(page, words.TRANSFER)
    button(page, words.SAVE).click()
    file = download(page, page.locator("a[download]:visible").first, tmp_path / "talk.zip")
    choose(page, words.MODEL, "small · 2 MB")
    choose(page, words.ADAPTER, words.NO_ADAPTER)
    clear(page)
    page.locator("input[type=file][accept='.zip']").first.set_input_files(file)
    expect(figures(page)).to_contain_text("large + menus")
    expect(menu(page, words.MODEL)).to_have_value("large · 8.3 GB")
    expect(menu(page, words.ADAPTER)).to_have_value("menus")


def test_documents_are_read_with_the_chosen_adapter(page: Page, red: Path) -> None:
    open_tab(page, "OCR")
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files(red)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(1)
    for name in NAMES:
        choose(page, words.ADAPTER, name)
        button(page, "Read").click()
        figures = page.locator(".note:visible p").filter(has_text=f"adapter {name}")
        expect(figures).to_be_visible()
