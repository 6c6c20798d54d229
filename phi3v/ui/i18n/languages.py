"""The languages of the page: one file each in catalogs/, and English, which is in the code.

Knows who reads: the browser's own languages, unless a choice was made on the page.
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
# Unicode's marks around a part whose direction is its own.
FIRST_STRONG_ISOLATE: Final = "\u2068"
POP_ISOLATE: Final = "\u2069"
COOKIE: Final = "phi3v_language"


@dataclass(frozen=True)
class Language:
    """A language: its code, its own name for itself, the direction of its script, and its words.

    strings are by their English templates; gradio holds what Gradio's own translation lacks, by
    Gradio's keys, and labels what Gradio writes in English only, see phi3v.ui.i18n.labels.
    """

    code: str
    name: str
    direction: str = "ltr"
    strings: Mapping[str, str] = field(default_factory=dict)
    gradio: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


# Gradio asks for these words by keys that none of its own translations has.
ENGLISH: Final = Language(
    "en",
    "English",
    gradio={"common.upload": "Upload", "common.webcam": "Camera", "common.complete": "Complete"},
)


@cache
def find_languages() -> dict[str, Language]:
    """All languages by their codes, English first."""
    files = sorted(CATALOGS.glob("*.toml"))
    return {ENGLISH.code: ENGLISH} | {
        file.stem: Language(code=file.stem, **tomllib.loads(file.read_text("utf-8")))
        for file in files
    }


def choose_language(chosen: str, accepted: str) -> Language:
    """The language that was chosen, else the first one known of an Accept-Language header."""
    languages = find_languages()
    for code in (chosen, *rank(accepted)):
        if code in languages:
            return languages[code]
    return ENGLISH


def rank(accepted: str) -> list[str]:
    """The codes of an Accept-Language header without their regions, best first."""
    weights: list[tuple[float, str]] = []
    for part in accepted.split(","):
        tag, _, weight = part.partition(";q=")
        with suppress(ValueError):
            weights.append((float(weight or 1), tag.strip().partition("-")[0].lower()))
    weights.sort(key=lambda weighted: -weighted[0])
    return [code for weight, code in weights if weight > 0]


def language_of(request: Any) -> Language:
    """Who asks reads this; gradio's requests and starlette's both have cookies and headers."""
    if request is None:  # nobody asks: the page is being built
        return ENGLISH
    return choose_language(
        request.cookies.get(COOKIE, ""), request.headers.get("accept-language", "")
    )


def read_language() -> Language:
    """The language of whoever caused the event that is being handled."""
    return language_of(LocalContext.request.get(None))


def translate(text: str, language: Language | None = None) -> str:
    """A text in a language, the reader's unless another is given; English where it has none."""
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
    """Sets names, which may be of any script, apart from the direction of the text around them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Format a value; all but numbers and what is translated gets invisible marks around."""
        formatted = format(value, format_spec)
        if isinstance(value, (int, float, Text)):
            return formatted
        return f"{FIRST_STRONG_ISOLATE}{formatted}{POP_ISOLATE}"
