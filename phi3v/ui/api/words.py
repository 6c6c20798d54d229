"""English texts for programs and agents that call the app. Translated when shown."""

from phi3v.translatable import Text

TURNS = "turns"
NO_TURNS = "There are no turns: send at least one, with the role user."


def bad_turns(place: str, problem: str) -> Text:
    """Return the message for an API conversation that is invalid at `place`."""
    return Text(
        "The conversation cannot be read at {place}: {problem}. Send a list of turns, each with "
        "role (user, assistant or system), text, and images (numbers of pictures).",
        place=place,
        problem=problem,
    )


def bad_numbers(named: list[int], count: int) -> Text:
    """Return the message for turns whose numbers do not match the `count` pictures sent."""
    return Text(
        "The turns name the pictures {named}, and {count} came with the call: name each once, "
        "in order, counted from 1.",
        named=named,
        count=count,
    )


def too_many(count: int, limit: int) -> Text:
    """Return the message for more pictures than a tool takes."""
    return Text(
        "{count} pictures were sent, the limit is {limit}: send fewer at once.",
        count=count,
        limit=limit,
    )


def too_large(name: str, size: int, limit: int) -> Text:
    """Return the message for a picture in a data URL over the limit; sizes are in bytes."""
    return Text(
        "{name} has {size:.1f} MB, the limit is {limit:.0f}: send a smaller one, or as JPEG.",
        name=name,
        size=size / 2**20,
        limit=limit / 2**20,
    )


def bad_data_url(name: str) -> Text:
    """Return the message for a data URL that cannot be decoded."""
    return Text(
        "{name} is no data URL of a picture: send data:image/png;base64, and its bytes.", name=name
    )
