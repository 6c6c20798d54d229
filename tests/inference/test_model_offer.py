"""Where a CPU could run the real model in 4 bits, that is offered and nothing is started."""

import shutil

import pytest
import torch

from phi3v.cli import main as cli
from phi3v.inference import checkpoint, model_offer
from phi3v.inference.model_offer import find_offer
from phi3v.model import Phi3VImageProcessor
from phi3v.settings import Settings
from phi3v.ui.page import describe_engine
from phi3v.ui.serving import load_chosen

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COMMAND = "--model microsoft/Phi-3.5-vision-instruct --quantize 4bit"


@pytest.fixture
def free(monkeypatch):
    """A function that sets the free memory, in GB."""

    def set_free(gigabytes: float) -> None:
        monkeypatch.setattr(model_offer, "free_memory", lambda device: int(gigabytes * 1e9))

    set_free(8.1)
    return set_free


def test_the_offer_names_the_command_the_download_and_the_seconds(free):
    offer = find_offer("auto", "cpu")
    assert COMMAND in offer
    assert "8.3 GB" in offer
    assert f"{model_offer.FIRST_TOKEN_SECONDS} seconds" in offer
    assert checkpoint.choose_weights("auto", "cpu") == ("embedded", "none")


def test_nothing_is_offered_with_less_memory_or_for_a_named_model(free):
    assert find_offer("embedded", "cpu") is None
    free(7.9)
    assert find_offer("auto", "cpu") is None


def test_nothing_is_offered_beside_a_gpu(free, monkeypatch):
    monkeypatch.setattr(model_offer, "choose_device", lambda device: CUDA)
    assert find_offer("auto") is None


def test_the_command_line_offers_on_standard_error(free, capsys):
    cli.open_engine(Settings(model="auto", device="cpu"))
    assert COMMAND in capsys.readouterr().err
    free(7.9)
    cli.open_engine(Settings(model="auto", device="cpu"))
    assert COMMAND not in capsys.readouterr().err


def test_the_note_on_the_model_has_the_offer(free):
    engine = load_chosen(Settings(model="auto", device="cpu"))
    note = describe_engine(engine)
    assert note.startswith("Answers come from **embedded** on cpu")
    assert COMMAND in note
    free(7.9)
    assert COMMAND not in describe_engine(load_chosen(Settings(model="auto", device="cpu")))


class Processor:
    def __init__(self, **settings):
        self.image_processor = Phi3VImageProcessor(**settings)


@pytest.mark.parametrize(
    ("device", "settings", "auto"),
    [
        (CPU, {}, [4, 4]),
        (CUDA, {}, [16, 4]),
        (CPU, {"auto_num_crops": [9, 1]}, [9, 1]),
    ],
    ids=["published on a CPU", "published on CUDA", "a checkpoint's own"],
)
def test_auto_takes_fewer_crops_on_a_cpu_unless_the_checkpoint_says(device, settings, auto):
    processor = Processor(**settings)
    checkpoint.limit_crops(processor, device)
    assert processor.image_processor.auto_num_crops == auto


def test_a_published_checkpoint_takes_4_crops_on_a_cpu_and_the_embedded_its_own(
    published, tiny_checkpoint, tmp_path
):
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tiny_checkpoint("phi35"), tmp_path, dirs_exist_ok=True)
    _, processor = checkpoint.load_checkpoint(str(tmp_path), "cpu", "float32")
    assert processor.image_processor.auto_num_crops == [4, 4]
    _, embedded = checkpoint.load_checkpoint("embedded", "cpu", "float32")
    assert embedded.image_processor.auto_num_crops != [4, 4]
