"""What is told beside the page's own parts, in the reader's language: notes, warnings, errors."""

from html import escape

import gradio as gr

from phi3v.ui import words
from phi3v.ui.i18n.languages import Language, translate


def warn(text: str) -> None:
    """Show a message that may repeat what a file or a web site is called: it is no HTML."""
    gr.Warning(escape(translate(text), quote=False), title=translate(words.WARNING))


def inform(text: str) -> None:
    """Show a note."""
    gr.Info(escape(translate(text), quote=False), title=translate(words.NOTE))


def refusal(text: str, language: Language | None = None) -> gr.Error:
    """The error that ends an event with a message for whoever caused it."""
    title = translate(words.ERROR, language)
    return gr.Error(translate(text, language), title=title, print_exception=False)
