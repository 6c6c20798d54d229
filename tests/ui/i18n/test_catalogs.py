"""Every catalog translates exactly the page's texts, with the same fields."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from phi3v.remote import words as remote_words
from phi3v.tasks import DETAILS, PRESETS, TASKS
from phi3v.ui import words
from phi3v.ui.api import words as api_words
from phi3v.ui.compare import words as compare_words
from phi3v.ui.i18n.labels import LABELS
from phi3v.ui.i18n.languages import ENGLISH, Language, find_languages
from phi3v.ui.ocr import words as ocr_words

PACKAGE = Path(words.__file__).parents[1]
# The command line and errors that end the app before there is a page are in English only.
ENGLISH_ONLY = {"cli", "model", "settings.py", "quantization.py"}
MAKERS = {"Text", "RequestError"}
# Names, and texts of nothing but fields and punctuation.
UNTRANSLATED = {words.TITLE, words.ADDRESS_HINT, api_words.TURNS, "Markdown"}

TRANSLATIONS = [language for code, language in find_languages().items() if code != ENGLISH.code]


def texts_in(value: object) -> Iterator[str]:
    """Yield the templates in a constant: itself, or the values of a dict or tuple."""
    if isinstance(value, str):
        yield getattr(value, "template", value)
    elif isinstance(value, dict):
        yield from texts_in(tuple(value.values()))
    elif isinstance(value, tuple):
        for part in value:
            yield from texts_in(part)


def constants_of(module: ModuleType) -> Iterator[str]:
    """Yield the templates in a module's constants."""
    for name, value in vars(module).items():
        if name.isupper():
            yield from texts_in(value)


def made_in(file: Path) -> Iterator[str]:
    """Yield the templates that a source file passes to Text or RequestError."""
    for call in ast.walk(ast.parse(file.read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args:
            first = call.args[0]
            is_template = isinstance(first, ast.Constant) and isinstance(first.value, str)
            if call.func.id in MAKERS and is_template:
                yield first.value


def files_of_the_page() -> list[Path]:
    """Return the source files whose texts the page may show."""
    return [
        file
        for file in PACKAGE.rglob("*.py")
        if not ENGLISH_ONLY & set(file.relative_to(PACKAGE).parts)
    ]


def find_texts() -> set[str]:
    """Return the English templates of all texts that the page may show."""
    texts = {text for file in files_of_the_page() for text in made_in(file)}
    for module in (words, api_words, compare_words, ocr_words, remote_words):
        texts |= set(constants_of(module))
    texts |= {text for task in TASKS for text in (task.title, task.hint)}
    texts |= {preset.title for preset in PRESETS}
    texts |= {name for name, num_crops in DETAILS.items() if num_crops}
    translatable = {text for text in texts if any(map(str.isalpha, strip_fields(text)))}
    return translatable - UNTRANSLATED


def fields_of(template: str) -> set[tuple[str, str, str]]:
    """Return a template's fields: (name, format spec, conversion)."""
    parsed = string.Formatter().parse(template)
    return {(name, spec or "", how or "") for _, name, spec, how in parsed if name is not None}


def strip_fields(template: str) -> str:
    """Return a template without its fields."""
    return "".join(text for text, *_ in string.Formatter().parse(template))


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_a_language_has_every_text_and_none_too_many(language: Language) -> None:
    wanted, there = find_texts(), {text for text in language.strings if strip_fields(text)}
    assert sorted(wanted - there) == []
    assert sorted(there - wanted - {"{first} | {second}"}) == []


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_a_language_has_every_label_of_gradio(language: Language) -> None:
    assert set(language.labels) == set(LABELS)


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_a_translation_takes_the_values_of_its_template(language: Language) -> None:
    for template, translation in (*language.strings.items(), *language.labels.items()):
        assert fields_of(translation) == fields_of(template), template
        assert translation.count("**") == template.count("**"), template
        assert translation.strip() == translation, template


def test_no_text_is_filled_in_where_no_language_can_change_it() -> None:
    """Texts are no f-strings, except in errors that end the app before there is a page."""
    filled = [
        f"{file.name}:{call.lineno}"
        for file in files_of_the_page()
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args
        if call.func.id in MAKERS and isinstance(call.args[0], ast.JoinedStr)
        if file.name not in ("checkpoint_files.py", "hardware.py")
    ]
    assert filled == []


def test_hebrew_and_persian_are_there_and_written_from_the_right() -> None:
    directions = {code: language.direction for code, language in find_languages().items()}
    assert directions == {"en": "ltr", "fa": "rtl", "he": "rtl"}
