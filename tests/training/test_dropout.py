"""Fast dropout has dropout's distribution, and attention's formula is torch's."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import tiny
from biomtl.training.dropout import LANES, FastDropout, _attention, drop
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import make_recipe


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_of_zeros_and_scale(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = drop(torch.ones(400_000, dtype=dtype), p)
    share = float((values == 0).double().mean())
    exact = round(p * LANES) / LANES
    assert abs(share - exact) < 5 * (exact * (1 - exact) / 400_000) ** 0.5
    assert values[values != 0].unique().tolist() == [torch.tensor(1 / (1 - p), dtype=dtype).item()]


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_lanes_of_one_draw_are_independent(p: float) -> None:
    torch.manual_seed(1)
    count = 200_000
    lanes = (drop(torch.ones(count * 4), p) == 0).view(count, 4).double()
    error = 5 * (p * (1 - p) / count) ** 0.5
    assert all(abs(float(lane.mean()) - p) < error for lane in lanes.T)
    for first, second in itertools.combinations(range(4), 2):
        both = float((lanes[:, first] * lanes[:, second]).mean())
        assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / count) ** 0.5
    following = float((lanes[:-1, 3] * lanes[1:, 0]).mean())
    assert abs(following - p * p) < 5 * (p * p / count) ** 0.5


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (3, 1, 7), (0, 4)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    values = torch.ones(shape).movedim(0, -1)
    assert drop(values, 0.5).shape == values.shape


def test_gradients_flow_through_what_is_kept() -> None:
    torch.manual_seed(2)
    values = torch.randn(1000, requires_grad=True)
    dropped = drop(values, 0.25)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)
    assert values.grad.max() == pytest.approx(4 / 3)


def test_only_training_drops_and_only_in_the_context() -> None:
    layer, values = nn.Dropout(0.5), torch.ones(64)
    with FastDropout():
        assert torch.equal(layer.eval()(values), values)
        assert torch.equal(functional.dropout(values, 0.0), values)
        torch.manual_seed(3)
        inside = layer.train()(values)
    torch.manual_seed(3)
    assert torch.equal(inside, drop(values, 0.5))
    torch.manual_seed(3)
    outside = layer(values)
    torch.manual_seed(3)
    assert torch.equal(outside, functional.dropout(values, 0.5))


def test_attention_without_dropout_is_torch_own() -> None:
    torch.manual_seed(4)
    query, key, value = (torch.randn(2, 2, 5, 8) for _ in range(3))
    with FastDropout():
        inside = functional.scaled_dot_product_attention(query, key, value)
    assert torch.equal(inside, functional.scaled_dot_product_attention(query, key, value))


masks = {
    "none": None,
    "boolean": torch.tensor([True, True, True, False, False]).expand(2, 1, 5, 5),
    "added": torch.tensor([0.0, 0.0, 0.0, -1e9, -1e9]).expand(2, 1, 5, 5),
}


@pytest.mark.parametrize("mask", masks.values(), ids=list(masks))
@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_formula(mask: torch.Tensor | None, scale: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every weight kept, the formula gives what torch computes without dropout."""
    torch.manual_seed(5)
    query, key, value = (torch.randn(2, 2, 5, 8) for _ in range(3))
    monkeypatch.setattr("biomtl.training.dropout.drop", lambda values, p: values)
    ours = _attention(query, key, value, mask, 0.1, scale=scale)
    theirs = functional.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_attention_drops_weights_and_keeps_the_mean() -> None:
    torch.manual_seed(6)
    query, key, value = (torch.randn(1, 1, 4, 8) for _ in range(3))
    exact = functional.scaled_dot_product_attention(query, key, value)
    with FastDropout():
        drawn = torch.stack(
            [functional.scaled_dot_product_attention(query, key, value, dropout_p=0.2) for _ in range(4000)]
        )
    assert drawn.std(0).min() > 0.01
    torch.testing.assert_close(drawn.mean(0), exact, atol=0.06, rtol=0)


def test_the_seed_decides() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        with FastDropout():
            results.append(functional.dropout(torch.ones(100), 0.3))
    assert torch.equal(*results)


def test_encoder_heads_and_a_task_separately(bert: Path) -> None:
    model = tiny.model(bert, ["cls-text", "reg-pair"], max_length=24)
    keys = {"dropout": 0.3, "head_dropout": 0.2, "tasks": {"cls-text": {"dropout": 0.1}, "reg-pair": {}}}
    configure(model, make_recipe(keys))

    def rates(module: torch.nn.Module) -> set[float]:
        return {part.p for part in module.modules() if isinstance(part, torch.nn.Dropout)}

    assert rates(model.encoder) == {0.3}
    assert (rates(model.head("cls-text")), rates(model.head("reg-pair"))) == ({0.1}, {0.2})
