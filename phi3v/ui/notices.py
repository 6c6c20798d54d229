"""Toasts in the user's language: notes, warnings, errors. Knows no component."""

from html import escape

import gradio as gr

from phi3v.ui import words
from phi3v.ui.i18n.languages import Language, translate


def warn(text: str) -> None:
    """Show a warning; it is escaped, because it may contain the name of a file or web site."""
    gr.Warning(escape(translate(text), quote=False), title=translate(words.WARNING))


def inform(text: str) -> None:
    """Show a note, escaped like a warning."""
    gr.Info(escape(translate(text), quote=False), title=translate(words.NOTE))


def refusal(text: str, language: Language | None = None) -> gr.Error:
    """Return the gr.Error that ends an event with a translated message and without a traceback."""
    title = translate(words.ERROR, language)
    return gr.Error(translate(text, language), title=title, print_exception=False)
