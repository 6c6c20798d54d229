"""A conversation as one file that people can read and the app can load again.

A zip with conversation.md for people, conversation.json for programs, and the pictures as PNG
without metadata. Loading trusts nothing: sizes are bounded, nothing is unpacked to the disk, and
every picture is opened like an uploaded one.
"""

import io
import json
import os
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phi3v.documents.images import open_image, open_stream
from phi3v.request import Request, RequestError, Role, Sampling, Turn
from phi3v.translatable import Text

MANIFEST: Final = "conversation.json"
READABLE: Final = "conversation.md"
MAX_ZIP_BYTES: Final = 512 * 2**20
MAX_MANIFEST_BYTES: Final = 16 * 2**20
MAX_PICTURE_BYTES: Final = 200 * 2**20  # 64 million pixels as PNG, nothing compressed
MAX_PICTURES: Final = 100
MAX_ALL_PIXELS: Final = (
    256_000_000  # of all pictures, 768 MB once opened; a small zip can hold more
)
# What zipfile raises on broken, locked or exotic archives.
ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Conversation:
    """A conversation and what it was held with: model's name and revision, settings with seed."""

    turns: tuple[Turn, ...]
    model: str = ""
    revision: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    num_crops: int | None = None

    def request(self) -> Request:
        """The request to go on with; its last turn must still be asked."""
        return Request(self.turns, self.sampling, self.num_crops)


class Strict(BaseModel):
    """What stands in a file that may come from anyone."""

    model_config = ConfigDict(extra="ignore", strict=True)


class SavedTurn(Strict):
    """A turn; images are names of pictures in the zip."""

    role: Role
    text: str
    images: list[str] = Field([], max_length=MAX_PICTURES)
    token_ids: list[int] = []


class SavedSampling(Strict):
    """Sampling's fields; it checks their ranges itself."""

    max_new_tokens: int = Sampling.max_new_tokens
    temperature: float = Sampling.temperature
    top_p: float = Sampling.top_p
    seed: int | None = None


class Saved(Strict):
    """conversation.json."""

    format: Literal["phi3v conversation"] = "phi3v conversation"
    version: Literal[1] = 1
    model: str = ""
    revision: str = ""
    sampling: SavedSampling = SavedSampling()
    num_crops: int | None = Field(None, ge=1, le=64)
    turns: list[SavedTurn] = Field(max_length=1000)


def save_conversation(conversation: Conversation, target: Path | BinaryIO) -> None:
    """Write a conversation to a .zip file, whole or not at all. Raises RequestError."""
    content = pack_conversation(conversation)
    if not isinstance(target, Path):
        target.write(content)
        return
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(content)
        os.replace(part, target)
    except OSError as error:
        raise RequestError(
            "{target} cannot be written ({reason}): choose another place.",
            target=target,
            reason=error.strerror,
        ) from error


def pack_conversation(conversation: Conversation) -> bytes:
    """A conversation as the bytes of a zip. Raises RequestError where a picture is gone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        names = name_pictures(conversation)
        for turn, names_of_turn in zip(conversation.turns, names, strict=True):
            for image, name in zip(turn.images, names_of_turn, strict=True):
                # PNG is compressed already
                archive.writestr(name, encode_png(open_image(image)), zipfile.ZIP_STORED)
        archive.writestr(MANIFEST, to_json(conversation))
        archive.writestr(READABLE, to_markdown(conversation))
    return buffer.getvalue()


def to_json(conversation: Conversation) -> str:
    """A conversation as JSON; pictures by their names in the zip."""
    saved = Saved(
        model=conversation.model,
        revision=conversation.revision,
        sampling=SavedSampling(**asdict(conversation.sampling)),
        num_crops=conversation.num_crops,
        turns=[
            SavedTurn(role=turn.role, text=turn.text, images=names, token_ids=list(turn.token_ids))
            for turn, names in zip(conversation.turns, name_pictures(conversation), strict=True)
        ],
    )
    return json.dumps(saved.model_dump(), ensure_ascii=False, indent=2)


def to_markdown(conversation: Conversation) -> str:
    """A conversation as Markdown, pictures shown above their question."""
    sampling = conversation.sampling
    facts = {
        "Model": f"{conversation.model} {conversation.revision}".strip() or "unknown",
        "Longest answer": f"{sampling.max_new_tokens} tokens",
        "Temperature": sampling.temperature,
        "Top p": sampling.top_p,
        "Seed": "none" if sampling.seed is None else sampling.seed,
        "Crops per picture": conversation.num_crops or "auto",
    }
    lines = ["# Conversation", "", *(f"- {name}: {value}" for name, value in facts.items())]
    number = 0
    for turn, names in zip(conversation.turns, name_pictures(conversation), strict=True):
        lines += ["", f"## {turn.role.capitalize()}", ""]
        for name in names:
            number += 1
            lines += [f"![Image {number}]({name})", ""]
        lines.append(turn.text)
    return "\n".join(lines) + "\n"


def name_pictures(conversation: Conversation) -> list[list[str]]:
    """The names of each turn's pictures in the zip, numbered over the conversation."""
    names = []
    number = 0
    for turn in conversation.turns:
        names.append([f"pictures/image-{number + i}.png" for i in range(1, len(turn.images) + 1)])
        number += len(turn.images)
    return names


def encode_png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def load_conversation(source: Path | BinaryIO, name: str = "") -> Conversation:
    """Read a conversation that save_conversation wrote, pictures opened. Raises RequestError."""
    name = name or (source.name if isinstance(source, Path) else Text("The conversation"))
    try:
        check_size(source, name)
        with zipfile.ZipFile(source) as archive:
            return read_archive(archive, name)
    except FileNotFoundError as error:
        raise RequestError("{name} is not there: check the name.", name=name) from error
    except ZIP_ERRORS as error:
        raise RequestError(
            "{name} is no saved conversation, or a damaged one: give the .zip that was saved here.",
            name=name,
        ) from error


def check_size(source: Path | BinaryIO, name: str) -> None:
    """Raise RequestError for a file larger than the limit."""
    if isinstance(source, Path):
        size = source.stat().st_size
    else:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
    if size > MAX_ZIP_BYTES:
        raise RequestError(
            "{name} has {size:.0f} MB, the limit is {limit:.0f}: save a shorter conversation.",
            name=name,
            size=size / 2**20,
            limit=MAX_ZIP_BYTES / 2**20,
        )


def read_archive(archive: zipfile.ZipFile, name: str) -> Conversation:
    """The conversation in an open zip; see load_conversation."""
    try:
        saved = Saved.model_validate_json(read_entry(archive, MANIFEST, MAX_MANIFEST_BYTES, name))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or Text("its beginning")
        raise RequestError(
            "{name} is no conversation of this app's version: at {place}, {problem}. Give a .zip "
            "that was saved here.",
            name=name,
            place=place,
            problem=problem["msg"],
        ) from error
    count = sum(len(turn.images) for turn in saved.turns)
    if count > MAX_PICTURES:
        raise RequestError(
            "{name} has {count} pictures, the limit is {limit}: save a shorter one.",
            name=name,
            count=count,
            limit=MAX_PICTURES,
        )
    turns = []
    pixels = 0
    for turn in saved.turns:
        images = []
        for entry in turn.images:
            content = read_entry(archive, entry, MAX_PICTURE_BYTES, name)
            images.append(open_stream(io.BytesIO(content), entry))
            pixels += images[-1].width * images[-1].height
            if pixels > MAX_ALL_PIXELS:
                raise RequestError(
                    "The pictures in {name} have more than {limit:,} pixels together, the limit: "
                    "save a shorter conversation.",
                    name=name,
                    limit=MAX_ALL_PIXELS,
                )
        turns.append(Turn(turn.role, turn.text, tuple(images), tuple(turn.token_ids)))
    sampling = Sampling(**saved.sampling.model_dump())
    return Conversation(tuple(turns), saved.model, saved.revision, sampling, saved.num_crops)


def read_entry(archive: zipfile.ZipFile, entry: str, limit: int, name: str) -> bytes:
    """One file of a zip, in memory and within a limit, whatever size the zip claims for it."""
    try:
        with archive.open(entry) as file:
            content = file.read(limit + 1)
    except KeyError as error:
        raise RequestError(
            "{name} lacks {entry!r}: give the .zip as it was saved, with all its files.",
            name=name,
            entry=entry[:80],
        ) from error
    if len(content) > limit:
        raise RequestError(
            "{entry!r} in {name} is larger than the limit of {limit:.0f} MB: the file was not "
            "saved by this app.",
            entry=entry[:80],
            name=name,
            limit=limit / 2**20,
        )
    return content
