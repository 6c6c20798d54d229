"""transformers' common tests of models and generation, on a tiny model and an image a prompt."""

import unittest

import torch
from transformers.models.auto import modeling_auto
from transformers_suite.source import load

from phi3v.model import Phi3VConfig, Phi3VForCausalLM, Phi3VModel

modeling = load("test_modeling_common")
generation = load("generation.test_utils")

IMAGE_TOKEN_ID = 3
CROP_SIDE = 28  # two patches a side, which become one token
SLOTS = (
    2 + 1 + 2
)  # a token and a newline for the sub-crop, a separator, the same for the global one

# The tests ask these tables, which hold names of transformers' own classes alone.
modeling_auto.MODEL_MAPPING_NAMES["phi3_v"] = Phi3VModel.__name__
modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES["phi3_v"] = Phi3VForCausalLM.__name__


class Phi3VModelTester:
    """A tiny configuration, and inputs for it: text, then an image of one crop, then text."""

    batch_size = 3
    text_length = 7
    seq_length = text_length + SLOTS
    is_training = True
    num_hidden_layers = 2
    hidden_size = 32
    num_attention_heads = 4
    vocab_size = 99

    def __init__(self, parent):
        self.parent = parent

    def get_config(self):
        vision = {"num_hidden_layers": 2, "image_size": CROP_SIDE, "patch_size": 14}
        sizes = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4}
        return Phi3VConfig(
            **sizes,
            num_hidden_layers=self.num_hidden_layers,
            num_key_value_heads=4,
            vocab_size=self.vocab_size,
            max_position_embeddings=512,
            original_max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            image_token_id=IMAGE_TOKEN_ID,
            vision_config={**sizes, **vision},
        )

    def prepare_config_and_inputs_for_common(self):
        ids = modeling.ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 4) + 4
        ids[:, 2 : 2 + SLOTS] = IMAGE_TOKEN_ID
        shape = [self.batch_size, 2, 3, CROP_SIDE, CROP_SIDE]
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": modeling.floats_tensor(shape),
            "image_sizes": torch.full((self.batch_size, 2), CROP_SIDE),
        }
        return self.get_config(), inputs


class Phi3VModelTest(
    modeling.ModelTesterMixin, generation.GenerationTesterMixin, unittest.TestCase
):
    all_model_classes = (Phi3VModel, Phi3VForCausalLM)
    _is_composite = True
    test_all_params_have_gradient = False  # the last layer of the tower never runs, as published

    def setUp(self):
        self.model_tester = Phi3VModelTester(self)
