"""Losses against their formulas, and which positions don't count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.heads.losses import (
    SquaredError,
    WeightedBinaryCrossEntropy,
    WeightedCrossEntropy,
    binary_cross_entropy,
    text_cross_entropy,
    word_cross_entropy,
)
from biomtl.heads.rows import TaskRows
from biomtl.heads.words import TagHead


def rows(targets: Tensor, denominator: int | None = None) -> TaskRows:
    none = torch.zeros(0, dtype=torch.long)
    count = len(targets) if denominator is None else denominator
    return TaskRows(none, none, none, (len(targets),), targets=targets, loss_denominator=count)


def test_cross_entropy_is_the_mean_over_texts() -> None:
    outputs, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), torch.tensor([0, 0, 1])
    expected = sum(-functional.log_softmax(o, -1)[t] for o, t in zip(outputs, targets, strict=True)) / 3
    assert text_cross_entropy(outputs, rows(targets)) == pytest.approx(float(expected))
    torch.testing.assert_close(WeightedCrossEntropy([2.0, 2.0])(outputs, rows(targets)), 2 * expected)


def test_an_error_of_the_whole_range_is_one() -> None:
    for high in (4.0, 100.0):
        assert SquaredError(0, high)(torch.tensor([[high]]), rows(torch.tensor([0.0]))) == 1.0


def test_binary_cross_entropy_is_the_mean_over_labels_and_texts() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    logits = torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, -2.0]])
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert binary_cross_entropy(logits, rows(targets)) == pytest.approx(float(each.sum() / 6))
    weighted = WeightedBinaryCrossEntropy([3.0, 0.0, 1.0])(logits, rows(targets))
    assert weighted == pytest.approx(float((each * torch.tensor([3.0, 0.0, 1.0])).sum() / 6))


@pytest.mark.parametrize("loss", [word_cross_entropy, WeightedCrossEntropy([1.0, 1.0, 1.0])])
def test_words_without_piece_are_left_out(loss: torch.nn.Module) -> None:
    outputs = torch.tensor([[2.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    targets = torch.tensor([0, -100, 1])
    value = loss(outputs, rows(targets, 2))
    torch.testing.assert_close(value, functional.cross_entropy(outputs[[0, 2]], targets[[0, 2]]))
    value.backward()
    assert outputs.grad is not None
    assert outputs.grad[1].abs().sum() == 0
    assert loss(outputs[:1], rows(torch.tensor([-100]), 0)) == 0


def test_tags_are_read_at_the_words() -> None:
    class Given(RowNetwork):
        def forward(self, encoded: Encoded) -> Tensor:
            return encoded.hidden

    logits = torch.arange(24.0).view(2, 4, 3)
    positions = torch.tensor([[1, 2], [-1, -1], [0, 1]])[:, None]
    ids = torch.zeros(2, dtype=torch.long)
    asked = TaskRows(torch.arange(2), ids, ids, (3,), every_row=True, word_positions=positions)
    outputs = TagHead(Given(), 2)(Encoded(logits, torch.ones(2, 4)), asked)
    assert outputs[[0, 2]].tolist() == [logits[1, 2].tolist(), logits[0, 1].tolist()]
    assert outputs[1].argmax() == 2
