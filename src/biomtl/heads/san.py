"""The stochastic answer network's head for two texts in one sequence (Liu et al. 2018, arXiv 1804.07888)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.errors import InputError

CELLS: dict[str, Callable[[int, int], nn.RNNCellBase]] = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}
FEATURES = {"simple": 2, "flat": 3, "full": 4}
"""Attention by a linear layer over features of position ``x`` and state ``h``: the first so many of
``x, h, x * h, |x - h|``."""


class SanOptions(BaseModel):
    """The options under ``head_options`` in a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(5, gt=0, description="number of times that the text is read")
    drop_turns: float = Field(
        0.1, ge=0, lt=1, description="probability of leaving a turn out of a training row's mean; one is always kept"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the hidden states")
    cell: Literal["gru", "lstm", "rnn"] = Field("gru", description="the cell that updates the state")
    attention: Literal["bilinear", "simple", "flat", "full"] = Field(
        "bilinear", description="how the state attends to the text: `x W h`, or a linear layer over features of both"
    )
    compare: bool = Field(True, description="classify `[s, h, |s - h|, s * h]` instead of `[s, h]`")
    average: bool = Field(True, description="the mean of all turns' probabilities instead of the last turn's logits")
    reads: Literal["second", "first"] = Field(
        "second", description="the text that is read; the other's summary is the first state"
    )


class SanNetwork(RowNetwork):
    """Reads one text several times, with the other text's summary as the state, and averages the answers.

    With hidden states ``x``, state ``h`` and summary ``s``: ``h`` starts as a self-attended sum over one text; each
    turn computes ``s = softmax(x (W h + b)) x`` over the other, answers ``C [s; h; |s - h|; s * h]`` and updates
    ``h = GRU(s, h)``. The output is the logarithm of the mean of the turns' probabilities.

    Args:
        dim: width of the hidden states.
        labels: number of classes.
        options: the rest.
    """

    traceable: ClassVar[bool] = True

    def __init__(self, dim: int, labels: int, options: SanOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or SanOptions()
        self.turns = options.turns
        self.drop_turns = options.drop_turns
        self.dropout = nn.Dropout(options.dropout)
        self.summary = nn.Linear(dim, 1)
        kind = options.attention
        self.attention = nn.Linear(dim, dim) if kind == "bilinear" else nn.Linear(FEATURES[kind] * dim, 1)
        self.cell = CELLS[options.cell](dim, dim)
        self.classifier = nn.Linear((4 if options.compare else 2) * dim, labels)

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
        asks, reads = (first, second) if self.options.reads == "second" else (second, first)
        hidden = self.dropout(encoded.hidden)
        state = _read(hidden, self.summary(hidden).squeeze(-1), asks)
        memory = torch.zeros_like(state)
        answers = []
        for turn in range(self.turns):
            read = _read(hidden, self._scores(hidden, state), reads)
            features = [read, state, (read - state).abs(), read * state] if self.options.compare else [read, state]
            answers.append(self.classifier(torch.cat(features, dim=-1)).float())
            if turn + 1 == self.turns:
                break
            if isinstance(self.cell, nn.LSTMCell):
                state, memory = self.cell(read, (state, memory))
            else:
                state = self.cell(read, state)
        if not self.options.average:
            return answers[-1]
        return self._mean(torch.stack(answers, dim=1).log_softmax(-1))

    def _scores(self, hidden: Tensor, state: Tensor) -> Tensor:
        """``[rows, positions]``: the state's attention to each position, before the softmax."""
        if self.options.attention == "bilinear":
            return torch.bmm(hidden, self.attention(state).unsqueeze(-1)).squeeze(-1)
        wide = state.unsqueeze(1).expand_as(hidden)
        features = [hidden, wide, hidden * wide, (hidden - wide).abs()][: FEATURES[self.options.attention]]
        return self.attention(torch.cat(features, dim=-1)).squeeze(-1)

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
