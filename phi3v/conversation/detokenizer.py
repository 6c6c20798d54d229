"""Incremental detokenizer: emits text once its tokens form whole characters.

A token may hold part of a character's bytes, and a tokenizer may drop or add a space where its
input begins: so each token is decoded together with the tokens before it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What decode() returns for a character whose last bytes are still missing.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class IncrementalDetokenizer:
    """Detokenizes one answer; `token_texts` holds the text that each added token completed.

    A token that completes no character has an empty text; the token that does has the whole
    character. `prefix` are the tokens of a continued answer: context for the first new token, and
    not among the token texts.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", prefix: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.token_texts: list[str] = []
        self._ids: list[int] = []
        self._begin = self._end = 0  # _ids[_begin:_end] gave the last text
        for token in prefix:
            self.add(token)
        self.token_texts.clear()

    def add(self, token: int) -> str:
        """Add a token and return the text that it completes."""
        self._ids.append(token)
        known = self.decode(self._ids[self._begin : self._end])
        text = self.decode(self._ids[self._begin :])
        new = ""
        if len(text) > len(known) and not text.endswith(INCOMPLETE):
            new = text[len(known) :]
            self._begin, self._end = self._end, len(self._ids)
        self.token_texts.append(new)
        return new

    def decode(self, ids: list[int]) -> str:
        """Decode ids without context, special tokens skipped."""
        text = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)
