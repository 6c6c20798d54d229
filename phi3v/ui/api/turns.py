"""A conversation as a program sends it: JSON turns that name pictures by number, checked."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from phi3v.request import RequestError, Role, Turn
from phi3v.ui import words


class SentTurn(BaseModel):
    """One turn; images are numbers of the pictures that came with the call, from 1."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    text: str = ""
    images: list[int] = Field(default_factory=list)


TURNS = TypeAdapter(list[SentTurn])


def read_turns(sent: Any, images: Sequence[str]) -> tuple[Turn, ...]:
    """The conversation in a list of turns, or in a text that holds one as JSON.

    Every picture belongs to one turn, and their numbers ascend from turn to turn: they are the
    numbers by which the network knows them. Raises RequestError.
    """
    try:
        turns = TURNS.validate_python(json.loads(sent) if isinstance(sent, str) else sent)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ", ".join(map(describe_place, problem["loc"])) or words.TURNS
        raise RequestError(words.bad_turns(place, problem["msg"])) from error
    except ValueError as error:
        raise RequestError(words.bad_turns(words.TURNS, str(error))) from error
    if not turns:
        raise RequestError(words.NO_TURNS)
    named = [number for turn in turns for number in turn.images]
    if named != list(range(1, len(images) + 1)):
        raise RequestError(words.bad_numbers(named, len(images)))
    return tuple(
        Turn(turn.role, turn.text, tuple(images[number - 1] for number in turn.images))
        for turn in turns
    )


def describe_place(part: int | str) -> str:
    """Where in the turns something is: their positions count from 1, as people do."""
    return f"{part + 1}" if isinstance(part, int) else part
