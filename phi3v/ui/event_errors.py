"""Logs failed events without what users sent: Gradio prints whole errors, and those quote values.

Knows errors; knows nothing of the events.
"""

import logging
import traceback
from typing import Any

import gradio as gr

from phi3v.ui import words
from phi3v.ui.notices import refusal

logger = logging.getLogger(__name__)


def log_without_values(page: gr.Blocks) -> None:
    """Make the events of a page log where they failed, and not with which message.

    A message for the user stays as it is; anything else becomes one that says something is wrong.
    """
    process = page.process_api

    async def process_api(*arguments: Any, **named: Any) -> Any:
        try:
            return await process(*arguments, **named)
        except gr.Error as error:  # such as a value that is no choice of a component
            error.print_exception = False
            raise
        except Exception as error:
            places = "".join(traceback.format_tb(error.__traceback__))
            logger.error("An event failed with a %s:\n%s", type(error).__name__, places)
            raise refusal(words.BROKEN) from None

    page.process_api = process_api
