"""The levels of detail as a page offers them."""

from typing import Literal

from phi3v.tasks import DETAILS
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate


def name_details(num_crops: Literal["auto"] | int) -> list[tuple[str, str]]:
    """The levels of detail by name, and the app's own number of crops where it is none of them."""
    choices = [
        (translate(words.DETAILS[name]), "auto" if crops is None else str(crops))
        for name, crops in DETAILS.items()
    ]
    if str(num_crops) not in [value for _, value in choices]:
        choices.append((str(num_crops), str(num_crops)))
    return choices
