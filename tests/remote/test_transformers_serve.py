"""The same questions to `transformers serve` and to the local engine: equal prompts and texts."""

from collections.abc import Iterator
from importlib import util

import pytest
from support.golden import ROOT
from support.remote_engine import LIMITS, read
from support.transformers_serve import serve_transformers

from phi3v import Engine, load
from phi3v.inference.checkpoint_files import find_processor_files
from phi3v.remote import RemoteEngine
from phi3v.request import Request, Sampling, Turn

NEEDED = ("openai", "accelerate")
EXAMPLES = ROOT / "assets" / "examples"

pytestmark = pytest.mark.skipif(
    any(util.find_spec(name) is None for name in NEEDED),
    reason="transformers serve needs openai and accelerate",
)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteEngine]:
    with serve_transformers(tmp_path_factory.mktemp("serve")) as (url, name):
        engine = RemoteEngine([url], name, find_processor_files, limits=LIMITS)
        engine.wait_until_asked()
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def local() -> Engine:
    return load("embedded", device="cpu", dtype="float32")


def make_questions() -> dict[str, tuple[Turn, ...]]:
    """Return conversations about the examples: without, with one and two pictures, two turns."""
    first, second = (str(file) for file in sorted(EXAMPLES.glob("*.png"))[:2])
    read_it = Turn("user", "What text is in the image? <|end|>", (first,))
    return {
        "no picture": (Turn("user", "Hello, what can you do?"),),
        "one picture": (read_it,),
        "two pictures": (Turn("user", "What is different?", (first, second)),),
        "two turns": (read_it, Turn("assistant", "Some."), Turn("user", "And here?", (second,))),
    }


@pytest.mark.parametrize("kind", make_questions())
def test_prompt_and_greedy_text_are_those_of_the_local_engine(
    kind: str, remote: RemoteEngine, local: Engine
) -> None:
    # Its API knows no number of crops: the checkpoint's own is 1.
    request = Request(make_questions()[kind], Sampling(max_new_tokens=24), num_crops=1)
    text, expected = read(local, request)
    found, statistics = read(remote, request)
    assert found == text
    assert statistics.prompt_tokens == expected.prompt_tokens
    assert statistics.finish_reason == expected.finish_reason
