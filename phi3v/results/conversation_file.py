"""Saves a conversation as a zip file that people can read and the app can load again.

It has conversation.md for people, conversation.json for programs, and the images as PNG without
metadata. Loading does not trust the file: sizes are limited, nothing is extracted to disk, and each
image is opened like an upload. Must not know the model or the page.
"""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phi3v.documents.images import open_image, open_stream
from phi3v.request import ImageSource, Request, RequestError, Role, Sampling, Turn
from phi3v.results.zip_limits import check_directory, check_entries
from phi3v.translatable import Text

MANIFEST: Final = "conversation.json"
READABLE: Final = "conversation.md"
MAX_ZIP_BYTES: Final = 512 * 2**20
MAX_MANIFEST_BYTES: Final = 16 * 2**20
MAX_IMAGE_BYTES: Final = 200 * 2**20  # 64 million RGB pixels as PNG without compression
MAX_IMAGES: Final = 100
# Of all images together, 768 MB once opened; a small zip file can hold more.
MAX_ALL_PIXELS: Final = 256_000_000
# The exceptions of zipfile for damaged, encrypted or unsupported archives; the names of entries are
# decoded, and sizes and places that it reads are believed.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
# Takes an opened image, and returns what the turn holds in its place.
Keep = Callable[[Image.Image], ImageSource]


@dataclass(frozen=True)
class Conversation:
    """The turns of a conversation with the sampling, and what answered: model and adapter."""

    turns: tuple[Turn, ...]
    model: str = ""
    revision: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    num_crops: int | None = None
    adapter: str = ""

    def request(self) -> Request:
        """Return a request with these turns; append a question before answering it."""
        return Request(self.turns, self.sampling, self.num_crops)


class StrictModel(BaseModel):
    """Base of the models that validate a file from an untrusted source, without conversions."""

    model_config = ConfigDict(extra="ignore", strict=True)


class SavedTurn(StrictModel):
    """A turn in conversation.json; images are names of files in the zip."""

    role: Role
    text: str
    images: list[str] = Field([], max_length=MAX_IMAGES)
    token_ids: list[int] = []


class SavedSampling(StrictModel):
    """The fields of Sampling, which checks their ranges."""

    max_new_tokens: int = Sampling.max_new_tokens
    temperature: float = Sampling.temperature
    top_p: float = Sampling.top_p
    seed: int | None = None


class SavedConversation(StrictModel):
    """The content of conversation.json."""

    format: Literal["phi3v conversation"] = "phi3v conversation"
    version: Literal[1] = 1
    model: str = ""
    revision: str = ""
    adapter: str = ""
    sampling: SavedSampling = SavedSampling()
    num_crops: int | None = Field(None, ge=1, le=64)
    turns: list[SavedTurn] = Field(max_length=1000)


def save_conversation(conversation: Conversation, target: Path | BinaryIO) -> None:
    """Write a conversation to a .zip file; a path is written atomically.

    Raises RequestError if an image cannot be read or the file cannot be written.
    """
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
    """Return a conversation as the bytes of a zip. Raises RequestError for an unreadable image."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        names = name_images(conversation)
        for turn, names_of_turn in zip(conversation.turns, names, strict=True):
            for image, name in zip(turn.images, names_of_turn, strict=True):
                # stored: PNG is already compressed
                archive.writestr(name, encode_png(open_image(image)), zipfile.ZIP_STORED)
        archive.writestr(MANIFEST, to_json(conversation))
        archive.writestr(READABLE, to_markdown(conversation))
    return buffer.getvalue()


def to_json(conversation: Conversation) -> str:
    """Return a conversation as JSON; images are given by their names in the zip."""
    saved = SavedConversation(
        model=conversation.model,
        revision=conversation.revision,
        adapter=conversation.adapter,
        sampling=SavedSampling(**asdict(conversation.sampling)),
        num_crops=conversation.num_crops,
        turns=[
            SavedTurn(role=turn.role, text=turn.text, images=names, token_ids=list(turn.token_ids))
            for turn, names in zip(conversation.turns, name_images(conversation), strict=True)
        ],
    )
    return json.dumps(saved.model_dump(), ensure_ascii=False, indent=2)


def to_markdown(conversation: Conversation) -> str:
    """Return a conversation as Markdown, with the images of a turn above its text."""
    sampling = conversation.sampling
    facts = {
        "Model": f"{conversation.model} {conversation.revision}".strip() or "unknown",
        "Adapter": conversation.adapter or "none",
        "Longest answer": f"{sampling.max_new_tokens} tokens",
        "Temperature": sampling.temperature,
        "Top p": sampling.top_p,
        "Seed": "none" if sampling.seed is None else sampling.seed,
        "Crops per picture": conversation.num_crops or "auto",
    }
    lines = ["# Conversation", "", *(f"- {name}: {value}" for name, value in facts.items())]
    number = 0
    for turn, names in zip(conversation.turns, name_images(conversation), strict=True):
        lines += ["", f"## {turn.role.capitalize()}", ""]
        for name in names:
            number += 1
            lines += [f"![Image {number}]({name})", ""]
        lines.append(turn.text)
    return "\n".join(lines) + "\n"


def name_images(conversation: Conversation) -> list[list[str]]:
    """Return the names in the zip of each turn's images, numbered over all turns from 1."""
    names = []
    number = 0
    for turn in conversation.turns:
        names.append([f"pictures/image-{number + i}.png" for i in range(1, len(turn.images) + 1)])
        number += len(turn.images)
    return names


def encode_png(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def load_conversation(
    source: Path | BinaryIO, name: str = "", keep: Keep = lambda image: image
) -> Conversation:
    """Load a conversation written by save_conversation, with its images opened.

    name is what messages call the file. keep is called with each image as it is opened, and may
    store it: the conversation has what it returns. Raises RequestError if the file is missing,
    damaged, of another format or version, or over a limit; nothing is unpacked beyond one.
    """
    name = name or (source.name if isinstance(source, Path) else Text("The conversation"))
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            check_directory(file, check_size(file, name))
            with zipfile.ZipFile(file) as archive:
                check_entries(archive)
                return read_archive(archive, name, keep)
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise RequestError("{name} is not there: check the name.", name=name) from error
    except ZIP_ERRORS as error:
        raise RequestError(
            "{name} is no saved conversation, or a damaged one: give the .zip that was saved here.",
            name=name,
        ) from error


def check_size(file: BinaryIO, name: str) -> int:
    """Return a file's size in bytes. Raises RequestError beyond MAX_ZIP_BYTES."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_ZIP_BYTES:
        raise RequestError(
            "{name} has {size:.0f} MB, the limit is {limit:.0f}: save a shorter conversation.",
            name=name,
            size=size / 2**20,
            limit=MAX_ZIP_BYTES / 2**20,
        )
    return size


def read_archive(archive: zipfile.ZipFile, name: str, keep: Keep) -> Conversation:
    """Return the conversation in an open zip; see load_conversation."""
    try:
        manifest = read_entry(archive, MANIFEST, MAX_MANIFEST_BYTES, name)
        saved = SavedConversation.model_validate_json(manifest)
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
    named = [entry for turn in saved.turns for entry in turn.images]
    count = len(named)
    if len(set(named)) < count:
        raise zipfile.BadZipFile("an image is named twice")
    if count > MAX_IMAGES:
        raise RequestError(
            "{name} has {count} pictures, the limit is {limit}: save a shorter one.",
            name=name,
            count=count,
            limit=MAX_IMAGES,
        )
    turns = []
    pixels = 0
    for turn in saved.turns:
        images = []
        for entry in turn.images:
            content = read_entry(archive, entry, MAX_IMAGE_BYTES, name)
            image = open_stream(io.BytesIO(content), entry)
            del content
            images.append(keep(image))
            pixels += image.width * image.height
            if pixels > MAX_ALL_PIXELS:
                raise RequestError(
                    "The pictures in {name} have more than {limit:,} pixels together, the limit: "
                    "save a shorter conversation.",
                    name=name,
                    limit=MAX_ALL_PIXELS,
                )
        turns.append(Turn(turn.role, turn.text, tuple(images), tuple(turn.token_ids)))
    sampling = Sampling(**saved.sampling.model_dump())
    source = saved.model, saved.revision
    return Conversation(tuple(turns), *source, sampling, saved.num_crops, saved.adapter)


def read_entry(archive: zipfile.ZipFile, entry: str, limit: int, name: str) -> bytes:
    """Return the bytes of one file in a zip; reads up to `limit`, not the size in its header.

    Raises RequestError for a missing or larger file.
    """
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
