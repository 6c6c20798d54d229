"""The script in docs/finetuning.md: loss falls, the answer changes, the app loads the adapter."""

import re
import sys
from contextlib import contextmanager

import pytest
import torch
from PIL import Image, ImageDraw
from support.golden import ROOT

from phi3v import Request, Sampling, Turn, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER

SCRIPT = re.search(r"```python\n(.*?)```", (ROOT / "docs/finetuning.md").read_text(), re.S)[1]
QUESTION, ANSWER = "Describe this image.", "A cat."


@contextmanager
def arguments_of(*given):
    before, sys.argv = sys.argv, ["finetune.py", *map(str, given)]
    yield
    sys.argv = before


@pytest.fixture
def one_thread():
    """Two would wait for each other where several tests share two cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("red", "blue")):
        image = Image.new("RGB", (300, 300), "white")
        ImageDraw.Draw(image).ellipse((50, 50, 250, 250), fill=colour)
        image.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(ANSWER)
    return folder


def test_the_script_has_at_most_60_lines():
    assert len(SCRIPT.splitlines()) <= 60


def test_the_script_teaches_an_answer_that_the_app_gives(pictures, tmp_path, capsys, one_thread):
    torch.manual_seed(0)
    options = ("--question", QUESTION, "--epochs", 6, "--num-crops", 1, "--learning-rate", 4e-3)
    with arguments_of(EMBEDDED_FOLDER, pictures, tmp_path / "taught", *options):
        exec(compile(SCRIPT, "finetune.py", "exec"), {"__name__": "__main__"})
    losses = [float(loss) for loss in re.findall(r"'loss': '?([\d.e-]+)", capsys.readouterr().out)]
    assert losses[-1] < losses[0] / 4

    engine = load("embedded", adapters=[str(tmp_path / "taught")])
    assert engine.adapters.names == ("taught",)

    def ask(adapter):
        turn = Turn("user", QUESTION, (pictures / "0.png",))
        request = Request((turn,), Sampling(32), num_crops=1, adapter=adapter)
        return "".join(chunk.text for chunk in engine.stream(request)).strip()

    assert ask("taught") == ANSWER
    assert "circle" in ask("")
