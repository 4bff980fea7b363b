"""Two separately encoded texts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.encoders.base import Encoded
from biomtl.heads.losses import SquaredError
from biomtl.heads.pairs import ComparisonHead, CosineHead, PairHead
from biomtl.heads.rows import TaskRows, mean_by_id


def test_the_cosine_at_the_start() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    head = CosineHead(low=1.0, high=5.0)
    expected = 1 + 4 * torch.cosine_similarity(first, second)
    torch.testing.assert_close(head(first, second), expected.unsqueeze(-1))
    torch.testing.assert_close(head(first, first), torch.full((5, 1), 5.0))


def test_the_comparison_sees_both_texts() -> None:
    torch.manual_seed(0)
    head = ComparisonHead(4, 3).eval()
    first, second = torch.randn(2, 4), torch.randn(2, 4)
    joined = torch.cat([first, second, (first - second).abs(), first * second], -1)
    torch.testing.assert_close(head(first, second), head.classifier(joined))


def test_mean_by_id() -> None:
    values = torch.tensor([[2.0], [4.0], [9.0]])
    torch.testing.assert_close(mean_by_id(values, torch.tensor([0, 0, 2]), 3), torch.tensor([[3.0], [0.0], [9.0]]))


def test_windows_of_a_text_are_pooled_first() -> None:
    hidden = torch.arange(12.0).view(3, 2, 2)
    mask = torch.tensor([[1, 1], [1, 0], [1, 1]])
    compared = []

    class Spy(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            compared.append((first, second))
            return first[:, :1]

    # Two windows of the first text, one of the second; padding doesn't count.
    rows = TaskRows(torch.arange(3), torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]), (1,), 2, every_row=True)
    PairHead(Spy(), SquaredError(0, 1))(Encoded(hidden, mask), rows)
    first, second = compared[0]
    torch.testing.assert_close(first, torch.tensor([[(1 + 4) / 2, (2 + 5) / 2]]))
    torch.testing.assert_close(second, torch.tensor([[9.0, 10.0]]))


@pytest.mark.parametrize("name", ["reg-apart", "cls-apart", "multi-apart"])
def test_separately_encoded_pairs_of_any_length(bert: Path, name: str) -> None:
    model = tiny.model(bert, [name], max_length=16).eval()
    rng = random.Random(0)
    texts = [" ".join(tiny.sentence(rng, n)) for n in (3, 50, 3, 7)]
    pairs = [{"text_a": a, "text_b": b} for a in texts for b in texts]
    examples = encode_examples(model.processor, model.tasks, {name: pairs}, targets=False, choices=model.choices)
    batch = collate(examples, model.processor)
    outputs = model(batch.inputs, batch.tasks)[name].outputs
    outputs = outputs[torch.tensor([example.index for example in batch.examples[name]]).argsort()]
    assert outputs.shape == (16, max(1, len(model.tasks[name].labels)))
    if name == "reg-apart":
        # Equal texts have the top of the range.
        torch.testing.assert_close(outputs[[0, 5, 10, 15]], torch.full((4, 1), 4.0))
        torch.testing.assert_close(outputs.view(4, 4), outputs.view(4, 4).T)
