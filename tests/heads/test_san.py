"""The answer network's head against its formulas, and what training adds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from biomtl.encoders.base import Encoded
from biomtl.errors import InputError
from biomtl.heads.san import SanNetwork, SanOptions


@pytest.fixture
def head() -> SanNetwork:
    torch.manual_seed(0)
    return SanNetwork(6, 3).eval()


def rows(*lengths: tuple[int, int], width: int = 9) -> Encoded:
    """Random hidden states of pairs whose texts take so many positions."""
    torch.manual_seed(1)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    segments = torch.zeros_like(mask)
    for i, (first, second) in enumerate(lengths):
        mask[i, : first + second] = 1
        segments[i, first : first + second] = 1
    return Encoded(torch.randn(len(lengths), width, 6), mask, segments=segments)


def by_hand(head: SanNetwork, x: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """One row, text by text, without masks."""
    options = head.options
    q, p = x[:first], x[first : first + second]
    if options.reads == "first":
        q, p = p, q
    h = head.summary(q).softmax(0).T @ q
    c = torch.zeros_like(h)
    answers = []
    for _ in range(head.turns):
        if options.attention == "bilinear":
            scores = p @ head.attention(h).T
        else:
            wide = h.expand_as(p)
            features = {"simple": [p, wide], "flat": [p, wide, p * wide]}
            features["full"] = [*features["flat"], (p - wide).abs()]
            scores = head.attention(torch.cat(features[options.attention], -1))
        s = scores.softmax(0).T @ p
        answers.append(head.classifier(torch.cat([s, h, (s - h).abs(), s * h] if options.compare else [s, h], -1)))
        if options.cell == "lstm":
            h, c = head.cell(s, (h, c))
        else:
            h = head.cell(s, h)
    if not options.average:
        return answers[-1][0]
    return torch.stack(answers).softmax(-1).mean(0).log()[0]


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "rnn", "turns": 2},
        {"attention": "simple"},
        {"attention": "flat"},
        {"attention": "full", "compare": False},
        {"average": False},
        {"reads": "first"},
    ],
)
def test_formulas_of_the_options(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    head = SanNetwork(6, 3, SanOptions(**options)).eval()
    encoded = rows((3, 6), (2, 2))
    found = head(encoded)
    for i, (first, second) in enumerate([(3, 6), (2, 2)]):
        torch.testing.assert_close(found[i], by_hand(head, encoded.hidden[i], first, second), rtol=1e-4, atol=1e-5)


def test_formulas(head: SanNetwork) -> None:
    encoded = rows((3, 6), (2, 2), (5, 1))
    found = head(encoded)
    for i, (first, second) in enumerate([(3, 6), (2, 2), (5, 1)]):
        torch.testing.assert_close(found[i], by_hand(head, encoded.hidden[i], first, second), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3))


def test_padding_makes_no_difference(head: SanNetwork) -> None:
    encoded = rows((3, 4), width=12)
    short = Encoded(encoded.hidden[:, :7], encoded.mask[:, :7], segments=encoded.segments[:, :7])
    torch.testing.assert_close(head(encoded), head(short))


def test_one_text_alone_is_finite(head: SanNetwork) -> None:
    assert head(rows((4, 0))).isfinite().all()


def test_turns_are_dropped_in_training_but_never_all(head: SanNetwork) -> None:
    head.dropout.p = 0.0
    encoded = rows((3, 6))
    still = head(encoded)
    head.train()
    head.drop_turns = 1.0
    answers = torch.stack([head(encoded) for _ in range(40)])
    assert answers.isfinite().all()
    assert len(answers[:, 0, 0].unique()) > 1
    torch.testing.assert_close(answers.exp().sum(-1), torch.ones(40, 1))
    head.drop_turns = 0.0
    torch.testing.assert_close(head(encoded), still)


def test_it_learns(head: SanNetwork) -> None:
    head.train()
    encoded, gold = rows((3, 4), (2, 6), (4, 4)), torch.tensor([0, 1, 2])
    optimiser = torch.optim.Adam(head.parameters(), 0.03)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(head(encoded), gold)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < losses[0]


def test_segments_are_needed(head: SanNetwork) -> None:
    encoded = rows((3, 4))
    encoded.segments = None
    with pytest.raises(InputError, match="segment ids"):
        head(encoded)
