"""Gradients of whole steps, combined by a rule; without conflict they are added."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import tiny
from biomtl.batch import EncodedExample, encode_examples
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.accelerator import make_accelerator
from biomtl.training.loop import optimise
from biomtl.training.methods import gradient_aggregation
from biomtl.training.methods.gradient_aggregation import RULES, GradientAggregation, combined, load_rule
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train
from biomtl.training.state import TrainState
from steps import Gradients, Still

pytest.importorskip("torchjd")


@pytest.fixture
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    return tiny.model(bert, tiny.FOUR, max_length=24)


def step(model: MultiTaskModel, parts: list[list[EncodedExample]], method: Any) -> dict[str, torch.Tensor]:
    recipe = make_recipe({"dropout": 0.0, "max_grad_norm": 0})
    configure(model, recipe)
    gradients = Gradients(model)
    state = TrainState(model, gradients, Still(), methods={"m": method} if method else {})
    optimise(state, model, parts, recipe, make_accelerator(recipe))
    return gradients.found


def examples_of(model: MultiTaskModel) -> list[EncodedExample]:
    records = {name: tiny.records(name, 6) for name in model.tasks}
    return encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)


def test_the_tasks_gradients_add_up_to_the_steps(model: MultiTaskModel) -> None:
    """With factors of one the combination is the sum, over several batches too."""
    examples = examples_of(model)
    method = GradientAggregation("pcgrad", model)
    method.weighting = lambda gram: torch.ones(len(gram), dtype=gram.dtype)
    plain = step(model, [examples], None)
    for parts in ([examples], [examples[:4], examples[4:7], examples[7:]]):
        found = step(model, parts, method)
        for name, value in plain.items():
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_without_conflict_gradients_are_added_and_with_it_no_task_is_hurt(rule: str) -> None:
    weighting = load_rule(rule, 3)
    torch.testing.assert_close(
        combined(weighting, 4 * torch.eye(3, dtype=torch.float64)),
        torch.ones(3, dtype=torch.float64),
        atol=1e-3,
        rtol=0,
    )
    rows = torch.tensor([[1.0, 0.0, 0.2], [-0.6, 0.9, 0.0], [0.1, 0.3, 1.0]], dtype=torch.float64)
    factors = combined(weighting, rows @ rows.T)
    assert factors.isfinite().all()
    together = factors @ rows
    if rule in ("upgrad", "mgda", "nash_mtl", "imtl_g", "pcgrad"):
        assert (rows @ together > -1e-6).all()
    assert torch.equal(factors, combined(weighting, rows @ rows.T))  # draws and all


def test_pcgrad_by_hand() -> None:
    first, second = torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 1.0]).double()
    rows = torch.stack([first, second])
    one = first - (first @ second) / (second @ second) * second
    other = second - (second @ first) / (first @ first) * first
    torch.testing.assert_close(combined(load_rule("pcgrad", 2), rows @ rows.T) @ rows, one + other)


def test_draws_change_from_step_to_step_and_leave_the_gpus_alone(
    model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PCGrad goes through the other tasks in another order each time; dropout on a GPU must not start anew."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPUs' seed"))
    rows = torch.tensor([[1.0, 0.0, 0.0], [-0.9, 0.4, 0.0], [-0.8, -0.5, 0.3]], dtype=torch.float64)
    pcgrad = load_rule("pcgrad", 3)
    before = torch.get_rng_state()
    found = {tuple(combined(pcgrad, rows @ rows.T, step).tolist()) for step in range(8)}
    assert len(found) > 1
    assert torch.equal(torch.get_rng_state(), before)
    method = GradientAggregation("pcgrad", model)
    seeds: list[int] = []
    monkeypatch.setattr(gradient_aggregation, "combined", lambda rule, gram, seed: seeds.append(seed) or gram[0])
    method.before_step(7, model)
    method.found = {name: [torch.ones(1)] for name in model.tasks}
    method.names = []
    method.gradients(model)
    assert seeds == [7]


def test_it_changes_only_the_encoder(model: MultiTaskModel) -> None:
    examples = examples_of(model)
    plain, changed = step(model, [examples], None), step(model, [examples], GradientAggregation("mgda", model))
    for name, value in plain.items():
        same = torch.allclose(changed[name], value, atol=1e-7)
        if name.startswith("heads."):
            assert same, name
    assert any(not torch.allclose(changed[n], v) for n, v in plain.items() if n.startswith("encoder."))


def test_layers_that_thaw_later(encoders: dict[str, Path], small_suite: Path, tmp_path: Path) -> None:
    """At first nothing of an encoder without a pooler learns; that ended in a traceback."""
    keys = {"encoder": str(encoders["electra"]), "suite": str(small_suite), "output": str(tmp_path / "run")}
    keys |= {"gradient_aggregation": "pcgrad", "gradual_thawing": 0.9, "max_steps": 3, "max_length": 24}
    train({**keys, "eval_strategy": "no", "predict_test": False}, console=Console(quiet=True))
    model = tiny.model(encoders["electra"], tiny.FOUR, max_length=24)
    with pytest.raises(InputError, match=r"gradient_aggregation with a frozen encoder.* freeze fewer layers"):
        configure(model, make_recipe({"gradient_aggregation": "pcgrad", "frozen_layers": 2}))


def test_what_is_refused(model: MultiTaskModel, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="gradient_aggregation with one task"):
        configure(tiny.model(bert, ["cls-text"], max_length=24), make_recipe({"gradient_aggregation": "mgda"}))
    with pytest.raises(InputError, match="gradient_aggregation and freeze_encoder are given"):
        make_recipe({"gradient_aggregation": "mgda", "freeze_encoder": True})
    with pytest.raises(InputError, match="gradient_aggregation and gradient_checkpointing are given"):
        make_recipe({"gradient_aggregation": "mgda", "gradient_checkpointing": True})
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(InputError, match=r'pip install "biomtl\[mtl\]"'):
        configure(model, make_recipe({"gradient_aggregation": "mgda"}))
