"""From a network's logits for rows to a task's outputs, shared by heads and exported graphs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from biomtl.heads.base import Reading
from biomtl.heads.rows import TaskRows

CERTAIN = 100.0  # the logit of ``O`` for a word without pieces


def read_texts(logits: Tensor, rows: TaskRows, o_index: int = 0) -> Tensor:
    """``[rows, labels]`` to ``[texts, labels]``: the mean over a text's windows."""
    return rows.mean_by_example(logits)


def read_words(logits: Tensor, rows: TaskRows, o_index: int = 0) -> Tensor:
    """``[rows, positions, tags]`` to ``[words, tags]``: each word's first piece; ``O`` for a word without pieces."""
    assert rows.word_positions is not None
    row, position = rows.word_positions[:, 0].clamp(min=0).unbind(1)
    nothing = logits.new_zeros(logits.shape[-1])
    nothing[o_index] = CERTAIN
    return torch.where(rows.without_piece(), nothing, logits[row, position])


def read_spans(logits: Tensor, rows: TaskRows, o_index: int = 0) -> Tensor:
    """``[rows, positions, 2]`` to ``[words, 2]``: log-probabilities that each word begins and ends the answer."""
    assert rows.word_positions is not None
    row, position = rows.word_positions[:, 0].clamp(min=0).unbind(1)
    chosen = logits[row, position].float().masked_fill(rows.without_piece(), torch.finfo(torch.float32).min)
    return torch.cat([words.log_softmax(0) for words in chosen.split(rows.output_counts)])


def read_pairs(logits: Tensor, rows: TaskRows, o_index: int = 0) -> Tensor:
    """``[pairs, labels]``, unchanged."""
    return logits


def read_arguments(logits: Tensor, rows: TaskRows, o_index: int = 0) -> Tensor:
    """``[rows, positions, 2 labels]`` to ``[pairs, labels]``: the first half at one position plus the second at the
    other; nothing for a mention without pieces."""
    assert rows.word_positions is not None
    labels = logits.shape[-1] // 2
    row, position = rows.word_positions.clamp(min=0).unbind(-1)
    halves = torch.stack([logits[row[:, 0], position[:, 0], :labels], logits[row[:, 1], position[:, 1], labels:]], 1)
    return halves.masked_fill(rows.without_piece().unsqueeze(-1), 0).sum(1)


READINGS: dict[Reading, Callable[[Tensor, TaskRows, int], Tensor]] = {
    "texts": read_texts,
    "pairs": read_pairs,
    "mentions": read_pairs,
    "words": read_words,
    "spans": read_spans,
    "arguments": read_arguments,
}
