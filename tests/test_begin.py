"""A run that begins with published weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi3v.checkpoint import EMBEDDED_FOLDER
from training.begin import grow, load_weights
from training.network import Network
from training.settings import CONFIG, load_config
from training.stages import Training
from training.tower import Sizes

SMALL = {"vocab_size": 32, "text_width": 16, "text_mlp": 24, "text_heads": 2, "vision_width": 16}


@pytest.mark.parametrize("layers", [3, 4, 5, 6])
def test_a_network_with_more_layers_computes_the_same(layers: int) -> None:
    torch.manual_seed(0)
    small = Network(Sizes(text_layers=3, **SMALL))
    grown = Network(Sizes(text_layers=layers, **SMALL))
    grown.load_state_dict(grow(small.state_dict(), layers))
    embeds = torch.randn(2, 9, 16)
    torch.testing.assert_close(grown.decode(embeds)[0], small.decode(embeds)[0])


def test_weights_of_more_layers_are_refused() -> None:
    weights = Network(Sizes(text_layers=3, **SMALL)).state_dict()
    with pytest.raises(ValueError, match="the weights have 3 decoder layers, 2 are wanted"):
        grow(weights, 2)


def test_a_run_begins_with_the_embedded_weights_at_a_stage(tmp_path: Path) -> None:
    config = load_config(CONFIG)
    last = config.stages[-1].name
    training = Training(config, tmp_path, "cpu", compiled=False)
    with pytest.raises(ValueError, match='no stage "nowhere"; the stages are letters, '):
        training.begin(EMBEDDED_FOLDER, "nowhere")
    training.begin(EMBEDDED_FOLDER, last)
    assert training.config.stages[training.stage_index].name == last
    wanted = load_weights(EMBEDDED_FOLDER, config.network["text_layers"])
    for name, weight in training.trainee.network.state_dict().items():
        assert torch.equal(weight, wanted[name])


def test_a_run_that_has_a_state_goes_on_with_it(tmp_path: Path) -> None:
    config = replace(load_config(CONFIG), seed=5)
    training = Training(config, tmp_path, "cpu", compiled=False)
    training.save()
    before = training.trainee.network.model.norm.weight.clone()
    training.begin(EMBEDDED_FOLDER, config.stages[-1].name)
    assert training.stage_index == 0
    assert torch.equal(training.trainee.network.model.norm.weight, before)
