"""Similarity by distance."""

from __future__ import annotations

import pytest
import torch

from biomtl.heads.contrastive import ContrastiveHead, contrastive_loss


@pytest.mark.parametrize("kind", ["distance", "cosine"])
def test_equal_texts_score_highest(kind: str) -> None:
    head = ContrastiveHead(4, kind, low=0, high=5)  # type: ignore[arg-type]
    vectors = torch.randn(3, 4)
    equal = head(vectors, vectors)
    assert equal.shape == (3, 1)
    torch.testing.assert_close(equal, torch.full((3, 1), 5.0), atol=1e-4, rtol=0)
    assert (head(vectors, -vectors) < equal).all()
    torch.testing.assert_close(head(vectors, -vectors), head(-vectors, vectors))


def test_cosine_starts_as_the_cosine() -> None:
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    wanted = torch.nn.functional.cosine_similarity(first, second)
    torch.testing.assert_close(ContrastiveHead(4)(first, second).squeeze(-1), wanted)


@pytest.mark.parametrize("margin", [0.5, 1.0, 4.0])
def test_loss_is_least_where_the_score_is_right(margin: float) -> None:
    distances = torch.linspace(0, 1.5 * margin, 1501)
    for similarity in (0.0, 0.2, 0.7, 1.0):
        losses = torch.stack([contrastive_loss(d, torch.tensor(similarity), margin) for d in distances])
        best = distances[losses.argmin()]
        assert 1 - best / margin == pytest.approx(similarity, abs=2e-3)


def test_loss_by_hand() -> None:
    loss = contrastive_loss(torch.tensor([0.5, 0.2, 3.0]), torch.tensor([1.0, 0.0, 0.0]), margin=1.0)
    assert loss.item() == pytest.approx((0.25 + 0.64 + 0) / 3)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.0, 3.0), (-2.0, 2.0)])
def test_the_loss_is_least_at_the_score_whatever_the_range(low: float, high: float) -> None:
    """The lowest score asks for vectors that are far apart, the highest for equal ones."""
    head = ContrastiveHead(2, "distance", low=low, high=high)
    first, apart = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    lowest, highest = torch.tensor([low]), torch.tensor([high])
    assert head.loss(first, apart, lowest).item() == pytest.approx(0, abs=1e-6)
    assert head.loss(first, first, highest).item() == pytest.approx(0, abs=1e-6)
    assert head.loss(first, first, lowest).item() == pytest.approx(1, abs=1e-4)
    assert head(first, apart).item() == pytest.approx(low, abs=1e-6)
    assert head(first, first).item() == pytest.approx(high, abs=1e-5)


@pytest.mark.parametrize("kind", ["distance", "cosine"])
def test_gradients_are_finite_for_equal_texts_and_learning_works(kind: str) -> None:
    torch.manual_seed(0)
    head = ContrastiveHead(4, kind, low=1, high=3)  # type: ignore[arg-type]
    first = torch.randn(8, 4)
    second = first + torch.randn(8, 4) * torch.linspace(0, 2, 8).unsqueeze(-1)
    scores = torch.linspace(3, 1, 8)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    start = head.loss(first, second, scores).item()
    for _ in range(100):
        optimiser.zero_grad()
        head.loss(first, second, scores).backward()
        assert all(torch.isfinite(value.grad).all() for value in head.parameters() if value.grad is not None)
        optimiser.step()
    assert head.loss(first, second, scores).item() < 0.7 * start
