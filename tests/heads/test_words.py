"""Taggers whose ``O`` isn't their first tag."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tiny
from biomtl.encoders.base import Encoded
from biomtl.heads.crf import Crf, iob_transitions
from biomtl.heads.rows import TaskRows
from biomtl.heads.words import CrfHead, TagHead
from biomtl.model import MultiTaskModel

ORDERS = [("B-Drug", "O", "I-Drug"), ("B-Drug", "I-Drug", "O"), ("O", "B-Drug", "I-Drug")]


def rows_of(targets: list[int]) -> TaskRows:
    """One row of five words, of which the third has no piece."""
    positions = torch.tensor([[0, 1], [0, 2], [-1, -1], [0, 3], [0, 4]]).unsqueeze(1)
    one = torch.tensor([0])
    return TaskRows(one, one, one, (5,), 1, True, positions, torch.tensor(targets), 4)


@pytest.mark.parametrize("labels", ORDERS)
def test_a_word_without_a_piece_counts_as_o_in_a_crf(labels: tuple[str, ...]) -> None:
    begin, o, inside = (labels.index(label) for label in ("B-Drug", "O", "I-Drug"))
    torch.manual_seed(0)
    head = CrfHead(nn.Identity(), Crf(3, iob_transitions(labels)), o)
    with torch.no_grad():
        head.crf.transitions.normal_(std=2)
    emissions = torch.randn(5, 3)
    loss, count = head.loss(emissions, rows_of([begin, inside, -100, o, begin]))
    wanted = head.crf.loss(emissions[None], torch.tensor([[begin, inside, o, o, begin]]), torch.ones(1, 5))
    # A mean over as many outputs as the head says, so that batches of a step add up to the step's loss.
    assert count == 4
    torch.testing.assert_close(loss, wanted.sum() / count)


@pytest.mark.parametrize("labels", ORDERS)
def test_a_word_without_a_piece_is_predicted_as_o(bert: Path, labels: tuple[str, ...]) -> None:
    task = tiny.task("tag-drug").model_copy(update={"labels": labels})
    head = MultiTaskModel.from_encoder(bert, [task], max_length=24).head("tag-drug")
    assert isinstance(head, TagHead)
    head.network = Constant(labels)
    outputs = head(Encoded(torch.zeros(1, 5, 32), torch.ones(1, 5)), rows_of([0] * 5))
    assert [labels[tag] for tag in outputs.argmax(-1)] == ["B-Drug", "B-Drug", "O", "B-Drug", "B-Drug"]


class Constant(nn.Module):
    """Finds a drug at every position."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, encoded: Encoded) -> torch.Tensor:
        return torch.eye(3)[self.labels.index("B-Drug")].expand(1, 5, 3)
