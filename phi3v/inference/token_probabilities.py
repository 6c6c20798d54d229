"""Records the probability of every generated token, before temperature and top_p.

Costs one softmax per token, and only where a request asks for it.
"""

import torch
from transformers import LogitsProcessor


class TokenProbabilities(LogitsProcessor):
    """A logits processor that changes nothing and records the chosen tokens' probabilities.

    values are those of all recorded tokens, 0 to 1. They are the model's own: temperature and
    top_p, which run later, say how tokens are drawn and not how sure the model is.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self._scores: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Keep the scores (1, vocabulary) from which the next token is chosen; return them."""
        self._scores = scores
        return scores

    def record(self, token: int) -> None:
        """Record the probability of the token that was chosen from the last scores."""
        if self._scores is not None:
            self.values.append(float(self._scores[0].float().softmax(dim=-1)[token]))
