"""The languages of the page: one catalog each in catalogs/, and English, which is in the code.

Chooses a user's language from the page's cookie or the browser's Accept-Language header. Knows
nothing of components.
"""

import string
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from gradio.context import LocalContext

from phi3v.translatable import Text

CATALOGS: Final = Path(__file__).parent / "catalogs"
# Unicode's marks around text that is displayed in its own direction.
FIRST_STRONG_ISOLATE: Final = "\u2068"
POP_ISOLATE: Final = "\u2069"
COOKIE: Final = "phi3v_language"


@dataclass(frozen=True)
class Language:
    """A language: its code, its name in itself, the direction of its script, its translations.

    strings are keyed by English templates. gradio has what Gradio's own translation lacks, keyed by
    Gradio's keys; labels what Gradio writes in English only, see phi3v.ui.i18n.labels.
    """

    code: str
    name: str
    direction: str = "ltr"
    strings: Mapping[str, str] = field(default_factory=dict)
    gradio: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


# Gradio uses these keys, but none of its own translations has them.
ENGLISH: Final = Language(
    "en",
    "English",
    gradio={"common.upload": "Upload", "common.webcam": "Camera", "common.complete": "Complete"},
)


@cache
def find_languages() -> dict[str, Language]:
    """Return all languages by their codes, English first."""
    files = sorted(CATALOGS.glob("*.toml"))
    return {ENGLISH.code: ENGLISH} | {
        file.stem: Language(code=file.stem, **tomllib.loads(file.read_text("utf-8")))
        for file in files
    }


def choose_language(chosen: str, accepted: str) -> Language:
    """Return the chosen language, else the first known one of an Accept-Language header."""
    languages = find_languages()
    for code in (chosen, *parse_accept_language(accepted)):
        if code in languages:
            return languages[code]
    return ENGLISH


def parse_accept_language(accepted: str) -> list[str]:
    """Return the codes of an Accept-Language header without their regions, best first."""
    weights: list[tuple[float, str]] = []
    for part in accepted.split(","):
        tag, _, weight = part.partition(";q=")
        with suppress(ValueError):
            weights.append((float(weight or 1), tag.strip().partition("-")[0].lower()))
    weights.sort(key=lambda weighted: -weighted[0])
    return [code for weight, code in weights if weight > 0]


def language_of(request: Any) -> Language:
    """Return the language of a request, of gradio or starlette: both have cookies and headers."""
    if request is None:  # outside an event, as while the page is built
        return ENGLISH
    return choose_language(
        request.cookies.get(COOKIE, ""), request.headers.get("accept-language", "")
    )


def read_language() -> Language:
    """Return the language of the user whose event is being handled; English outside of events."""
    return language_of(LocalContext.request.get(None))


def translate(text: str, language: Language | None = None) -> str:
    """Return a text in a language, by default the current user's; in English if untranslated."""
    strings = (language or read_language()).strings
    if not strings:
        return str(text)
    if not isinstance(text, Text):
        return strings.get(text, text)
    template = strings.get(text.template, text.template)
    if not text.values:
        return template
    values = {
        name: Text(translate(value, language)) if isinstance(value, Text) else value
        for name, value in text.values.items()
    }
    return Isolating().format(template, **values)


class Isolating(string.Formatter):
    """Isolates values, which may be of any script, from the direction of the surrounding text."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a formatted value, in direction marks unless it is a number or translated."""
        formatted = format(value, format_spec)
        if isinstance(value, (int, float, Text)):
            return formatted
        return f"{FIRST_STRONG_ISOLATE}{formatted}{POP_ISOLATE}"
