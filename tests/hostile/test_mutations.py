"""Mutated inputs of every reader are read, or refused with a RequestError; nothing else happens.

PHI3V_MUTATIONS is the number for each reader; what fails is written to PHI3V_MUTATIONS_FOLDER.
"""

import io
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hostile.mutating import mutate
from PIL import Image
from support.models import build_processor

from phi3v.conversation.prompt import build_prompt
from phi3v.documents.download import fetch_file
from phi3v.documents.images import measure_image, open_image
from phi3v.documents.pages import Problem, find_pages
from phi3v.model.crops import crop_grid
from phi3v.request import Request, RequestError, Sampling, Turn
from phi3v.results.conversation_file import Conversation, load_conversation, save_conversation
from phi3v.ui.access.hosts import Hosts
from phi3v.ui.access.logins import Credentials
from phi3v.ui.api.turns import read_turns
from phi3v.ui.markdown import disarm

NUMBER = int(os.environ.get("PHI3V_MUTATIONS", "500"))
PROCESSOR = build_processor()
PICTURE = Image.effect_noise((24, 18), 60).convert("RGB")


def encode_as(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


def make_zip() -> bytes:
    buffer = io.BytesIO()
    turns = (Turn("user", "What?", (PICTURE,)), Turn("assistant", "A < b"))
    save_conversation(Conversation(turns, "model", "revision"), buffer)
    return buffer.getvalue()


def read_picture(data: bytes, folder: Path) -> None:
    path = folder / "picture"
    path.write_bytes(data)
    with suppress(RequestError):
        measure_image(path)
    open_image(path)


def read_pdf(data: bytes, folder: Path) -> None:
    path = folder / "file.pdf"
    path.write_bytes(data)
    for page in find_pages([str(path)], ""):
        if not isinstance(page, Problem):
            page.open()


def read_zip(data: bytes, folder: Path) -> None:
    load_conversation(io.BytesIO(data), "conversation.zip")


def read_json(data: bytes, folder: Path) -> None:
    read_turns(data.decode("utf-8", "surrogateescape"), ["a.png"])


def read_address(data: bytes, folder: Path) -> None:
    async def resolve(host: str) -> str:
        raise ConnectionError(host)

    url = data.decode("utf-8", "surrogateescape")
    fetch_file(url, resolve=resolve, timeout=5)


def read_prompt(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    request = Request((Turn("user", text, (PICTURE,)),), Sampling(8), num_crops=1)
    prompt = build_prompt(request, PROCESSOR, 4096)
    ids = PROCESSOR.tokenize(prompt.text, [crop_grid(*PICTURE.size, 1)])
    assert ids.count(PROCESSOR.image_token_id) == prompt.image_tokens


def read_headers(data: bytes, folder: Path) -> None:
    header = data.decode("latin-1")
    assert not Credentials("me", "another password").accept(header)
    raw = [(name, data) for name in (b"host", b"origin", b"x-forwarded-for", b"x-forwarded-host")]
    scope = {"type": "http", "client": ("10.0.0.1", 1), "headers": raw}
    hosts = Hosts(is_local=True, proxies=())
    hosts.knows_host(scope), hosts.knows_origin(scope), hosts.client_of(scope)


def read_markdown(data: bytes, folder: Path) -> None:
    disarm(data.decode("utf-8", "replace"))


QUESTION = "What is <|image_1|> on `it`? <|end|> אדום, 1 < 2, ![a](b)".encode()
TURNS = json.dumps([{"role": "user", "text": "What? é", "images": [1]}]).encode()
READERS: dict[str, tuple[Callable[[bytes, Path], None], bytes]] = {
    **{
        kind: (read_picture, encode_as(kind))
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO")
    },
    "PDF": (read_pdf, encode_as("PDF")),
    "conversation": (read_zip, make_zip()),
    "turns": (read_json, TURNS),
    "address": (read_address, b"https://user:pw@pictures.example:8080/a/b.png?c=d#e"),
    "IPv6 address": (read_address, b"http://[2606:2800:21f::8b2c]:80/a.png"),
    "prompt": (read_prompt, QUESTION),
    "headers": (read_headers, b"Basic bWU6c2VjcmV0"),
    "host": (read_headers, b"https://[::1]:7860, 10.0.0.1"),
    "Markdown": (read_markdown, b"```\n<b>\n``` ![a](http://b/c) <img src=x> `<img src=x`"),
}


def keep(name: str, seed: int, data: bytes) -> None:
    folder = Path(os.environ.get("PHI3V_MUTATIONS_FOLDER", tempfile.gettempdir()))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace(' ', '-')}-{seed}").write_bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_mutated_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    read, whole = READERS[name]
    failed = []
    for seed in range(NUMBER):
        data = mutate(whole, seed)
        try:
            read(data, tmp_path)
        except RequestError:
            pass
        except Exception as error:
            failed.append(f"seed {seed}: {type(error).__name__}: {error}"[:200])
            keep(name, seed, data)
    assert failed == []
