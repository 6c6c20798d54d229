"""An exported program answers for any length and any grids, with the model's own logits."""

import pytest
import torch
from support.models import build_processor, build_random_model
from support.prompts import prepare

INPUTS = ("input_ids", "attention_mask", "pixel_values", "image_sizes")


class Logits(torch.nn.Module):
    """A model without cache, whose output is its logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, pixel_values, image_sizes):
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            pixel_values=pixel_values,
            image_sizes=image_sizes,
            use_cache=False,
        ).logits


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    return build_random_model(processor, 0)


@pytest.fixture(scope="module")
def program(model, processor):
    length = torch.export.Dim("length", min=2, max=8000)
    shapes = {"input_ids": {1: length}, "attention_mask": {1: length}}
    shapes |= {"pixel_values": None, "image_sizes": None}
    example = prepare(processor, [(400, 300), (900, 300)], num_crops=4)
    with torch.no_grad():
        return torch.export.export(Logits(model), (), example, dynamic_shapes=shapes).module()


@pytest.mark.parametrize(
    "sizes",
    [[(400, 300), (900, 300)], [(300, 900), (30, 20)], [(20, 30), (500, 500)]],
    ids=["the same grids", "another and one crop", "one crop first"],
)
@torch.no_grad()
def test_an_exported_program_gives_the_model_s_logits(model, processor, program, sizes):
    inputs = prepare(processor, sizes, num_crops=4)
    assert set(inputs) == set(INPUTS)
    assert torch.allclose(program(**inputs), model(**inputs).logits, atol=1e-6)


@torch.no_grad()
def test_an_exported_program_refuses_slots_that_do_not_fit(processor, program):
    inputs = prepare(processor, [(400, 300), (900, 300)], num_crops=4)
    inputs["image_sizes"] = inputs["image_sizes"].flip(0) + 336
    with pytest.raises(RuntimeError):
        program(**inputs)
