"""Embeddings in place of ids give the same, with images too; both at once are refused."""

import pytest
import torch
from support.models import build_crossing_model, build_processor, build_random_model
from support.prompts import prepare
from transformers import DynamicCache

from phi3v.model.decoding import GrowingCache


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    return build_random_model(processor, 0)


def embedded(model, inputs: dict) -> dict:
    """The same inputs with embeddings in place of ids."""
    embeddings = model.get_input_embeddings()(inputs["input_ids"])
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    return {"inputs_embeds": embeddings, **rest}


def greedy(model, count: int = 6, **inputs) -> torch.Tensor:
    """The new ids alone."""
    output = model.generate(
        **inputs, max_new_tokens=count, min_new_tokens=count, do_sample=False, eos_token_id=None
    )
    return output[:, -count:]


@pytest.mark.parametrize("sizes", [(), [(400, 300)], [(400, 300), (30, 90)]])
@torch.no_grad()
def test_forward_of_embeddings_equals_that_of_ids(model, processor, sizes):
    inputs = prepare(processor, sizes)
    assert torch.equal(model(**embedded(model, inputs)).logits, model(**inputs).logits)


@pytest.mark.parametrize("sizes", [(), [(400, 300)]])
@pytest.mark.parametrize("cache", [None, DynamicCache, GrowingCache])
def test_generate_from_embeddings_equals_that_from_ids(model, processor, sizes, cache):
    inputs = prepare(processor, sizes)
    caches = {"past_key_values": cache()} if cache else {}
    from_embeddings = greedy(model, **embedded(model, inputs), **caches)
    assert torch.equal(from_embeddings, greedy(model, **inputs))


def test_generate_without_a_cache_keeps_embeddings_and_images(model, processor):
    inputs = prepare(processor, [(400, 300)])
    found = greedy(model, 4, **embedded(model, inputs), use_cache=False)
    assert torch.equal(found, greedy(model, 4, **inputs))


def test_generate_takes_ids_beside_embeddings_as_the_prompt_to_return(model, processor):
    inputs = prepare(processor, [(400, 300)])
    both = {**embedded(model, inputs), "input_ids": inputs["input_ids"]}
    output = model.generate(**both, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert torch.equal(output[:, :-3], inputs["input_ids"])
    assert torch.equal(output[:, -3:], greedy(model, 3, **inputs))


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"use_cache": False}, {"past_key_values": GrowingCache}], ids=str
)
def test_embeddings_that_outgrow_the_short_context_equal_ids(with_ids, options):
    model = build_crossing_model(40)
    ids = torch.arange(3, 38)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    from_embeddings = embedded(model, inputs) | ({"input_ids": ids} if with_ids else {})
    options = {name: value() if value else value for name, value in options.items()}
    assert torch.equal(greedy(model, 12, **from_embeddings, **options), greedy(model, 12, **inputs))


@pytest.mark.parametrize("sizes", [(), [(400, 300)]])
def test_ids_and_embeddings_together_are_refused(model, processor, sizes):
    inputs = prepare(processor, sizes)
    for part in (model, model.model):
        with pytest.raises(ValueError, match="not both"):
            part(**embedded(model, inputs), input_ids=inputs["input_ids"])


def test_neither_ids_nor_embeddings_are_refused(model):
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        model()


def test_pixels_for_embeddings_without_slots_are_refused(model, processor):
    inputs = embedded(model, prepare(processor, [(400, 300)]))
    inputs["inputs_embeds"] = torch.rand_like(inputs["inputs_embeds"])
    with pytest.raises(ValueError, match="0 image slots and the images have 313 features"):
        model(**inputs)
