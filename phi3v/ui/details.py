"""The levels of detail as choices of a component. Knows no particular tab."""

from typing import Literal

from phi3v.tasks import DETAILS
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate


def name_details(num_crops: Literal["auto"] | int) -> list[tuple[str, str]]:
    """Return (label, value) pairs of the levels of detail.

    A configured number of crops that is none of the levels is added as one more choice.
    """
    choices = [
        (translate(words.DETAILS[name]), "auto" if crops is None else str(crops))
        for name, crops in DETAILS.items()
    ]
    if str(num_crops) not in [value for _, value in choices]:
        choices.append((str(num_crops), str(num_crops)))
    return choices
