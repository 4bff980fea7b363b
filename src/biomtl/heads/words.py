"""One output per word: tags, and the beginning and end of an answer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from biomtl.encoders.base import RowNetwork
from biomtl.heads.base import Loss, NetworkHead, Reading
from biomtl.heads.crf import Crf
from biomtl.heads.losses import targets_of, weighted_mean, word_cross_entropy
from biomtl.heads.readings import read_spans, read_words
from biomtl.heads.rows import TaskRows
from biomtl.tasks.types.span import END, START


class TagHead(NetworkHead):
    """One tag per word, read at its first piece.

    Args:
        network: ``Encoded -> [rows, positions, tags]``.
        o_index: the index of ``O``, which a word without pieces gets.
        objective: the loss.
    """

    reading: ClassVar[Reading | None] = "words"

    def __init__(self, network: RowNetwork, o_index: int, objective: Loss = word_cross_entropy) -> None:
        super().__init__(objective)
        self.network = network
        self.o_index = o_index

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[words, tags]``, for the words of all examples in order."""
        return read_words(values, rows, self.o_index)


class CrfHead(TagHead):
    """Tags that are chosen jointly: a linear chain over the network's emissions.

    Args:
        network: ``Encoded -> [rows, positions, tags]``.
        crf: the chain.
        o_index: the index of ``O``.
    """

    joint: ClassVar[bool] = True

    def __init__(self, network: RowNetwork, crf: Crf, o_index: int) -> None:
        super().__init__(network, o_index)
        self.crf = crf

    def loss(self, outputs: Tensor, rows: TaskRows) -> tuple[Tensor, int]:
        """The gold sequences' negative log-likelihood per word with pieces; one without is ``O`` in its sequence."""
        if not len(outputs):
            return outputs.sum(), rows.loss_denominator
        targets = targets_of(rows)
        padded, mask = by_example(outputs, rows.output_counts)
        tags, _ = by_example(targets.where(targets >= 0, self.o_index), rows.output_counts)
        each = self.crf.loss(padded, self.crf.legal(tags), mask)
        if rows.weights is not None:
            each = each * by_example(rows.weights, rows.output_counts)[0][:, 0]
        total = each.sum()
        return total / max(rows.loss_denominator, 1), rows.loss_denominator

    def scores(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """``[words, tags]``: the score of the best path through each tag of each word; the largest are Viterbi's."""
        if not len(outputs):
            return outputs
        padded, mask = by_example(outputs, rows.output_counts)
        paths = self.crf.max_marginals(padded, mask)
        return torch.cat([path[:count] for path, count in zip(paths, rows.output_counts, strict=True)])


class SpanHead(NetworkHead):
    """The beginning and end of an answer, each by a softmax over the words of its text.

    Args:
        network: ``Encoded -> [rows, positions, 2]``.
    """

    reading: ClassVar[Reading | None] = "spans"

    def __init__(self, network: RowNetwork) -> None:
        super().__init__(span_loss)
        self.network = network

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[words, 2]`` log-probabilities."""
        return read_spans(values, rows)


def span_loss(outputs: Tensor, rows: TaskRows) -> Tensor:
    """Mean negative log-probability over starts and ends; a word without pieces doesn't count."""
    targets = targets_of(rows)
    bits = torch.stack([(targets == bit) | (targets == START + END) for bit in (START, END)], dim=1)
    if rows.weights is not None:
        return weighted_mean(-(outputs * bits).sum(-1), rows)
    return -(outputs * bits).sum() / max(rows.loss_denominator, 1)


def by_example(values: Tensor, counts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """``[words, …]`` of all examples as ``[examples, longest, …]``, and the mask of its real words."""
    padded = pad_sequence(values.split(counts), batch_first=True)
    real = torch.ones(len(values), dtype=torch.bool, device=values.device)
    return padded, pad_sequence(real.split(counts), batch_first=True)
