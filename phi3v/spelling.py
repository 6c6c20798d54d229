"""From token ids to text, one at a time, and what was written with which token.

A character may take several tokens, and a tokenizer may drop a space where it begins: so every
token is decoded behind the ones before it, and text leaves only when it is whole.
"""

from collections.abc import Iterable

from transformers import PreTrainedTokenizerFast

# What decoding gives for a character whose last bytes are still missing.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class Speller:
    """Spells the tokens of one answer. pieces are the texts of the tokens added so far.

    The piece of a token that does not complete a character is empty; a later one has it all. before
    are tokens that the answer goes on from: they are spelled, but not among the pieces.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, before: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.pieces: list[str] = []
        self._ids: list[int] = []
        self._begin = self._spelled = 0  # the last piece's tokens are _ids[_begin:_spelled]
        for token in before:
            self.add(token)
        self.pieces.clear()

    def add(self, token: int) -> str:
        """The text that a token completes."""
        self._ids.append(token)
        known = self.spell(self._ids[self._begin : self._spelled])
        text = self.spell(self._ids[self._begin :])
        piece = ""
        if len(text) > len(known) and not text.endswith(INCOMPLETE):
            piece = text[len(known) :]
            self._begin, self._spelled = self._spelled, len(self._ids)
        self.pieces.append(piece)
        return piece

    def spell(self, ids: list[int]) -> str:
        """Tokens' text, taken by themselves."""
        text = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)
