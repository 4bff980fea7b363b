"""The stochastic answer network's head for two texts in one sequence (Liu et al. 2018, arXiv 1804.07888)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.errors import InputError


class SanNetwork(RowNetwork):
    """Reads the second text several times, with the first text's summary as the state, and averages the answers.

    With hidden states ``x``, state ``h`` and summary ``s``: ``h`` starts as a self-attended sum over the first text;
    each turn computes ``s = softmax(x (W h + b)) x`` over the second text, answers ``C [s; h; |s - h|; s * h]`` and
    updates ``h = GRU(s, h)``. The output is the logarithm of the mean of the turns' probabilities.

    Args:
        dim: width of the hidden states.
        labels: number of classes.
        turns: number of times the second text is read.
        drop_turns: probability of leaving a turn out of a training row's mean; one turn is always kept.
        dropout: dropout on the hidden states.
    """

    traceable: ClassVar[bool] = True

    def __init__(self, dim: int, labels: int, turns: int = 5, drop_turns: float = 0.1, dropout: float = 0.1) -> None:
        super().__init__()
        self.turns = turns
        self.drop_turns = drop_turns
        self.dropout = nn.Dropout(dropout)
        self.summary = nn.Linear(dim, 1)
        self.attention = nn.Linear(dim, dim)
        self.cell = nn.GRUCell(dim, dim)
        self.classifier = nn.Linear(4 * dim, labels)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]`` log-probabilities; a row without a second text is read as a whole.

        Raises:
            InputError: the encoder doesn't say which text a position belongs to.
        """
        if encoded.segments is None:
            fix = "use the family's own head, or a BERT encoder"
            raise InputError("a SAN head over an encoder without segment ids", expected="token_type_ids", fix=fix)
        real = encoded.mask.bool()
        first, second = real & (encoded.segments == 0), real & (encoded.segments == 1)
        second = second | (real & ~second.any(1, keepdim=True))
        hidden = self.dropout(encoded.hidden)
        state = _read(hidden, self.summary(hidden).squeeze(-1), first)
        answers = []
        for _ in range(self.turns):
            scores = torch.bmm(hidden, self.attention(state).unsqueeze(-1)).squeeze(-1)
            read = _read(hidden, scores, second)
            features = torch.cat([read, state, (read - state).abs(), read * state], dim=-1)
            answers.append(self.classifier(features).float().log_softmax(-1))
            state = self.cell(read, state)
        return self._mean(torch.stack(answers, dim=1))

    def _mean(self, answers: Tensor) -> Tensor:
        """Log of the mean probability over the turns: ``[rows, turns, labels]`` to ``[rows, labels]``."""
        if not self.training or self.drop_turns == 0:
            return answers.logsumexp(1) - math.log(self.turns)
        rows = len(answers)
        keep = torch.rand(rows, self.turns, device=answers.device) >= self.drop_turns
        kept_turn = torch.randint(self.turns, (rows,), device=answers.device)
        keep[torch.arange(rows, device=answers.device), kept_turn] = True
        kept = answers.masked_fill(~keep.unsqueeze(-1), -torch.inf)
        return kept.logsumexp(1) - keep.sum(1, keepdim=True).log()


def _read(hidden: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """The mean of the hidden states weighted by the softmax of the scores where ``mask`` holds: ``[rows, dim]``."""
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)
    return torch.bmm(weights.unsqueeze(1), hidden).squeeze(1)
