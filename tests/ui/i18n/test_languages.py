"""Choice of a user's language, and translation of texts, errors and the served page."""

import json
import pickle

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from support.fake_engine import FakeEngine
from support.serving import connect, serve

from phi3v.request import RequestError
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.i18n.languages import COOKIE, ENGLISH, choose_language, find_languages, translate
from phi3v.ui.i18n.localizing import localize_json

HEBREW, PERSIAN = find_languages()["he"], find_languages()["fa"]


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        ("he-IL,he;q=0.9,en-US;q=0.8", "he"),
        ("de,fa-IR;q=0.7,en;q=0.6", "fa"),
        ("en;q=0.1, fa;q=0.2", "fa"),
        ("he;q=0, en", "en"),
        ("de-DE,fr", "en"),
        ("*", "en"),
        ("", "en"),
        ("he;q=much", "en"),
    ],
)
def test_the_first_known_accepted_language_is_chosen(accepted: str, code: str) -> None:
    assert choose_language("", accepted).code == code


def test_a_known_language_chosen_on_the_page_goes_first() -> None:
    assert choose_language("fa", "he") == PERSIAN
    assert choose_language("en", "he") == ENGLISH
    assert choose_language("xx", "he") == HEBREW


def test_a_text_is_translated_with_its_values() -> None:
    text = Text("Page {number} of {total}: {name}", number=2, total=5, name="bill.pdf")
    assert text == "Page 2 of 5: bill.pdf"
    assert translate(text, HEBREW) == "עמוד 2 מתוך 5: \u2068bill.pdf\u2069"
    assert translate(text, ENGLISH) == "Page 2 of 5: bill.pdf"


def test_a_text_within_a_text_is_translated_too() -> None:
    text = Text("{name} could not", name="as it is")
    assert translate(Text("{found}: {name}", found=Text("a video"), name=text), PERSIAN).startswith(
        "ویدیو: "
    )


def test_an_untranslated_text_stays_as_it_is() -> None:
    assert translate("תשובה {כמו שהיא}", HEBREW) == "תשובה {כמו שהיא}"
    assert translate(Text("{braces}"), HEBREW) == "{braces}"


def test_a_pickled_error_can_still_be_translated() -> None:
    error = RequestError("{name} is empty (0 bytes): upload it again.", name="a.png")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a.png is empty (0 bytes): upload it again."
    assert translate(copy.text, PERSIAN).startswith("\u2068a.png\u2069 خالی است")


def test_only_user_visible_properties_are_translated() -> None:
    properties = {
        "label": "Text",
        "value": "text",
        "choices": [["Text", "Text"]],
        "headers": ["Pictures"],
        "elem_id": "Text",
        "rtl": False,
    }
    config = {"components": [{"props": properties}], "title": "Text"}
    found = json.loads(localize_json(json.dumps(config).encode(), HEBREW))
    assert found["title"] == "Text"
    assert found["components"][0]["props"] == {
        "label": "טקסט",
        "value": "text",
        "choices": [["טקסט", "Text"]],
        "headers": ["תמונות"],
        "elem_id": "Text",
        "rtl": True,
    }


def test_a_page_says_its_language_and_direction_as_it_is_served() -> None:
    with serve(FakeEngine()) as url:
        plain = httpx.get(url)
        hebrew = httpx.get(url, headers={"Accept-Language": "he"})
        persian = httpx.get(url, headers={"Accept-Language": "he"}, cookies={COOKIE: "fa"})
        config = httpx.get(f"{url}config", headers={"Accept-Language": "fa"}).json()
    assert '<html lang="en" dir="ltr"' in " ".join(plain.text.split())
    assert '<html lang="he" dir="rtl"' in " ".join(hebrew.text.split())
    assert '<html lang="fa" dir="rtl"' in " ".join(persian.text.split())
    assert hebrew.headers["content-language"] == "he"
    assert "Accept-Language" in hebrew.headers["vary"]
    values = [component["props"].get("value") for component in config["components"]]
    assert PERSIAN.strings[words.ASK] in values


def test_clients_get_english_errors_unless_they_ask_for_another_language(tmp_path) -> None:
    path = tmp_path / "one.png"
    Image.new("RGB", (20, 10)).save(path)
    messages = {}
    with serve(FakeEngine()) as url:
        for code in ("", "he"):
            headers = {"Accept-Language": code} if code else None
            client = connect(url, headers=headers)
            with pytest.raises(AppError) as caught:
                client.predict([handle_file(path)], api_name="/compare")
            messages[code] = str(caught.value)
    assert "Compare needs at least two pictures, and there is only 1: add one." in messages[""]
    assert "דרושות שתי תמונות לפחות" in messages["he"]
