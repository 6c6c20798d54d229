"""Parses and validates conversations that API clients send as JSON. Knows nothing of gradio."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from phi3v.request import RequestError, Role, Turn
from phi3v.ui.api import words as api_words


class SentTurn(BaseModel):
    """One turn as sent; images are numbers of the call's pictures, counted from 1."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    text: str = ""
    images: list[int] = Field(default_factory=list)


TURNS = TypeAdapter(list[SentTurn])


def read_turns(sent: Any, images: Sequence[str]) -> tuple[Turn, ...]:
    """Return the turns in a list of dicts or in JSON text, their numbers replaced by `images`.

    Each picture must be listed by exactly one turn, with numbers ascending from turn to turn: the
    model numbers images in order of appearance. Raises RequestError.
    """
    try:
        turns = TURNS.validate_python(json.loads(sent) if isinstance(sent, str) else sent)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ", ".join(map(describe_position, problem["loc"])) or api_words.TURNS
        raise RequestError(api_words.bad_turns(place, problem["msg"])) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(api_words.bad_turns(api_words.TURNS, str(error))) from error
    if not turns:
        raise RequestError(api_words.NO_TURNS)
    named = [number for turn in turns for number in turn.images]
    if named != list(range(1, len(images) + 1)):
        raise RequestError(api_words.bad_numbers(named, len(images)))
    return tuple(
        Turn(turn.role, turn.text, tuple(images[number - 1] for number in turn.images))
        for turn in turns
    )


def describe_position(part: int | str) -> str:
    """Return one part of a position in the turns; indices are counted from 1."""
    return f"{part + 1}" if isinstance(part, int) else part
