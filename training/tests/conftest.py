"""Fixtures shared by the tests of training."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from training.tokenizer import load_tokenizer, write_tokenizer


@pytest.fixture
def tokenizer(tmp_path: Path) -> PreTrainedTokenizerFast:
    """The embedded checkpoint's tokenizer, built anew."""
    write_tokenizer(tmp_path)
    return load_tokenizer(tmp_path)
