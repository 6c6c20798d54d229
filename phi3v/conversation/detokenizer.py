"""Incremental detokenizer: emits text once its tokens form whole characters.

A tokenizer drops the space where its input begins, so each token is decoded together with the
tokens before it. Characters outside its vocabulary are runs of byte tokens (`<0xE6>`), and a run
that is not valid UTF-8 decodes to a replacement character for each byte: so the text of a run is
known when the run ends. `tokenizers.decoders.DecodeStream` raises on such runs.
"""

from collections.abc import Iterable
from typing import Any

# What decode() returns for a byte of an invalid or incomplete character.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


class IncrementalDetokenizer:
    """Detokenizes one answer; `token_texts` holds the text that each added token completed.

    The joined texts are what decode() returns for all ids, without the incomplete character with
    which an answer may be cut. A token that completes no character has an empty text. `prefix` are
    the tokens of a continued answer: context for the first new token, and not among the texts.
    """

    def __init__(self, tokenizer: Any, prefix: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.token_texts: list[str] = []
        added = tokenizer.added_tokens_decoder.items()
        self._special = {token for token, content in added if content.special}
        self._bytes = set(tokenizer.convert_tokens_to_ids(BYTE_TOKENS)) - {tokenizer.unk_token_id}
        self._last = -1  # index of the last token that is not special
        self._ids: list[int] = []  # special ones left out, as decode() does
        self._begin = self._end = 0  # _ids[_begin:_end] gave the last text
        for token in prefix:
            self.add(token)
        self.finish()
        self.token_texts.clear()
        self._last = -1

    def add(self, token: int) -> str:
        """Add a token and return the text that it completes."""
        if token in self._special:
            self.token_texts.append("")
            return ""
        if token in self._bytes:
            self._append(token)
            return ""
        has_token = self._last >= 0
        run = self._emit()
        self._append(token)
        if not has_token:  # the run is the prefix's, which has no texts here
            self.token_texts[-1] = run
        return run + self._emit()

    def finish(self) -> str:
        """Return the text of a run of byte tokens at the end, unless its character is incomplete.

        The answer may be continued afterwards.
        """
        return "" if self._read().endswith(INCOMPLETE) else self._emit()

    def decode(self, ids: list[int]) -> str:
        """Decode ids without context, special tokens skipped."""
        text = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _append(self, token: int) -> None:
        self._ids.append(token)
        self._last = len(self.token_texts)
        self.token_texts.append("")

    def _read(self) -> str:
        """Return the text of the tokens that have not been emitted yet."""
        known = self.decode(self._ids[self._begin : self._end])
        return self.decode(self._ids[self._begin :])[len(known) :]

    def _emit(self) -> str:
        """Return the text that has not been emitted, attributed to the last token."""
        text = self._read() if self._end < len(self._ids) else ""
        if text:
            self._begin, self._end = self._end, len(self._ids)
            if self._last >= 0:
                self.token_texts[self._last] += text
        return text
