"""The step: gradients that don't depend on the split into batches, and the recipe's options."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.accelerator import make_accelerator
from biomtl.training.loop import Hooks, due, optimise, select
from biomtl.training.optimiser import build_optimiser, build_schedule, configure
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe_io import make_recipe
from biomtl.training.state import TrainState
from steps import Gradients, Still

ALL = tuple(tiny.TASKS)


def model_of(folder: Path, names: tuple[str, ...] = ALL) -> MultiTaskModel:
    torch.manual_seed(0)
    return tiny.model(folder, names, max_length=24)


def examples_of(model: MultiTaskModel, count: int = 6) -> list[EncodedExample]:
    records = {name: tiny.records(name, count) for name in model.tasks}
    return encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)


def one_step(
    model: MultiTaskModel, part: list[list[EncodedExample]], seed: int = 0, **keys: Any
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    recipe = make_recipe({"dropout": 0.0, "max_grad_norm": 0, **keys})
    configure(model, recipe)
    model.train()
    torch.manual_seed(seed)
    gradients = Gradients(model)
    state = TrainState(model, gradients, Still())
    done = optimise(state, model, part, recipe, make_accelerator(recipe))
    return gradients.found, done


def dealt(examples: list[EncodedExample], *sizes: int) -> list[list[EncodedExample]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(examples[start : start + size])
        start += size
    return [part for part in [*parts, examples[start:]] if part]


@pytest.mark.parametrize("sizes", [(3,), (1, 20), (10, 10), (2, 3, 5, 7)])
def test_accumulation_equals_one_large_batch(bert: Path, sizes: tuple[int, ...]) -> None:
    model = model_of(bert)
    examples = examples_of(model)
    whole, once = one_step(model, [examples])
    parts, several = one_step(model, dealt(examples, *sizes))
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=1e-4)
    assert several["loss"] == pytest.approx(once["loss"], abs=1e-5)
    assert several["losses"] == pytest.approx(once["losses"], abs=1e-5)
    assert several["examples"] == once["examples"] == sum(len(example.task_examples) for example in examples)
    assert several["real_tokens"] == once["real_tokens"]


def test_the_loss_is_the_weighted_mean_of_the_tasks_means(bert: Path) -> None:
    model = model_of(bert)
    examples = [*examples_of(model, 2), *examples_of(model, 5)[:9]]
    weights = {"tag-drug": 3.0, "cls-text": 0.5}
    _, done = one_step(model, [examples], tasks={name: {"weight": weights.get(name, 1.0)} for name in ALL})
    counts = {name: sum(name in example.tasks for example in examples) for name in ALL}
    batch = collate(examples, model.processor)
    with torch.no_grad():
        means = {name: answer.loss for name, answer in model(batch.inputs, batch.tasks).items()}
    assert done["losses"] == pytest.approx({name: float(value) for name, value in means.items()}, abs=1e-5)
    total = sum(weights.get(name, 1.0) * counts[name] * float(means[name]) for name in ALL) / sum(counts.values())
    assert done["loss"] == pytest.approx(total, abs=1e-5)


def test_a_weight_scales_its_task_alone(bert: Path) -> None:
    model = model_of(bert, ("cls-text", "reg-text"))
    examples = examples_of(model)
    plain, _ = one_step(model, [examples])
    heavy, _ = one_step(model, [examples], tasks={"cls-text": {"weight": 4}, "reg-text": {}})
    none, _ = one_step(model, [examples], tasks={"cls-text": {"weight": 0}, "reg-text": {}})
    for name in plain:
        if name.startswith("heads.cls"):
            torch.testing.assert_close(heavy[name], 4 * plain[name])
            assert none[name].abs().sum() == 0
        elif name.startswith("heads.reg"):
            torch.testing.assert_close(heavy[name], plain[name])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing_draws_the_same_masks(
    bert: Path, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch's own dropout on both sides: the fast one's masks can't be drawn again."""
    monkeypatch.setattr("biomtl.training.loop.FastDropout", contextlib.nullcontext)
    found = []
    for checkpointing in (False, True):
        model = model_of(bert, ("cls-text", "tag-drug"))
        gradients, _ = one_step(model, [examples_of(model)], dropout=dropout, gradient_checkpointing=checkpointing)
        found.append(gradients)
    for name in found[0]:
        torch.testing.assert_close(found[1][name], found[0][name], atol=1e-6, rtol=1e-4)


def test_clipping(bert: Path) -> None:
    model = model_of(bert, ("cls-text",))
    examples = examples_of(model)
    free, _ = one_step(model, [examples])
    norm = torch.cat([g.flatten() for g in free.values()]).norm()
    clipped, _ = one_step(model, [examples], max_grad_norm=float(norm) / 10)
    assert torch.cat([g.flatten() for g in clipped.values()]).norm() == pytest.approx(float(norm) / 10, rel=1e-3)


def test_a_frozen_encoder_gets_no_gradient(bert: Path) -> None:
    model = model_of(bert, ("cls-text", "tag-drug"))
    gradients, _ = one_step(model, [examples_of(model)], freeze_encoder=True)
    assert gradients
    assert all(name.startswith("heads.") for name in gradients)
    names = {id(p): n for n, p in model.named_parameters()}
    optimiser = build_optimiser(model, make_recipe({}))
    assert all(names[id(p)].startswith("heads.") for group in optimiser.param_groups for p in group["params"])


def test_half_precision_computes_and_keeps_whole_weights(bert: Path) -> None:
    model = model_of(bert)
    examples = examples_of(model)
    exact, once = one_step(model, [examples])
    half, done = one_step(model, [examples], bf16=True)
    assert all(value.dtype == torch.float32 for value in half.values())
    assert done["loss"] == pytest.approx(once["loss"], rel=0.05)
    assert done["loss"] != once["loss"]
    plain = model.logits("cls-text", input_ids=torch.ones(1, 4, dtype=torch.long))
    assert plain.dtype == torch.float32  # the precision was the step's, not the model's


def test_dropout_reaches_every_family(encoders: dict[str, Path]) -> None:
    for family, folder in encoders.items():
        model = model_of(folder, ("cls-text", "tag-drug"))
        configure(model, make_recipe({"dropout": 0.0}))
        model.train()
        batch = collate(examples_of(model), model.processor)
        first, second = (model(batch.inputs, batch.tasks)["tag-drug"].outputs for _ in range(2))
        assert torch.equal(first, second), family
        configure(model, make_recipe({"dropout": 0.4}))
        first, second = (model.encoder(batch.inputs).hidden for _ in range(2))
        assert not torch.equal(first, second), family


def test_groups_of_the_optimiser(bert: Path) -> None:
    model = model_of(bert)
    recipe = make_recipe({"learning_rate": 1e-4, "head_learning_rate": 1e-2, "weight_decay": 0.1})
    optimiser = build_optimiser(model, recipe)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = []
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.append(name)
            assert group["lr"] == (1e-2 if name.startswith("heads.") or ".pooler." in name else 1e-4)
            scalar = parameter.ndim < 2
            assert group["weight_decay"] == (0.0 if scalar else 0.1), name
            assert scalar or not name.endswith("bias")
    assert sorted(seen) == sorted(names.values())


COURSES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1,
}


@pytest.mark.parametrize("kind", COURSES)
def test_the_course_of_the_rate(bert: Path, kind: str) -> None:
    model = model_of(bert, ("cls-text",))
    recipe = make_recipe({"learning_rate": 1.0, "lr_scheduler_type": kind, "warmup_steps": 4, "max_steps": 20})
    optimiser = build_optimiser(model, recipe)
    schedule = build_schedule(optimiser, recipe, 20)
    rates = []
    for _ in range(20):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    expected = [step / 4 if step < 4 else COURSES[kind]((step - 4) / 16) for step in range(20)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("strategy", "every", "expected"),
    [("no", None, []), ("epoch", None, [4, 8, 10]), ("steps", 3, [3, 6, 9, 10]), ("steps", 20, [10])],
)
def test_when_things_are_due(strategy: str, every: int | None, expected: list[int]) -> None:
    assert [s for s in range(1, 11) if due(strategy, every, s, s % 4 == 0, s == 10)] == expected


@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.5]), min_size=1, max_size=12),
    patience=st.integers(1, 4),
)
def test_the_best_model_and_early_stopping(scores: list[float], patience: int) -> None:
    recipe = make_recipe({"early_stopping_patience": patience, "early_stopping_threshold": 0.07})
    progress, saved, waiting, notes = Progress(), [], iter(scores), []
    hooks = Hooks(
        lambda *_: None,
        lambda _: None,
        lambda _: DevScores(next(waiting)),
        lambda: saved.append(progress.step),
        notes.append,
    )
    stale, best = 0, -math.inf
    for step, score in enumerate(scores, 1):
        progress.step = step
        select(progress, hooks, recipe)
        at_zero = not any(scores[:step])  # nothing is learned yet: the run goes on, and says so once
        stale = 0 if score - best > 0.07 or at_zero else stale + 1
        assert len(notes) == (not any(scores[: patience + 1]) and step > patience)
        assert (progress.best_step == step) == (score > best)
        best = max(best, score)
        assert progress.best == best
        if stale >= patience:
            assert progress.finished
            return
        assert not progress.finished
    assert saved[-1] == progress.best_step


def stop_after(scores: list[float], losses: list[float], errors: bool = False, **keys: Any) -> tuple[int, list[str]]:
    """The evaluation that ends a run with these dev scores and mean losses, and what is said."""
    recipe = make_recipe({"early_stopping_patience": 2, **keys})
    progress, notes = Progress(), []
    waiting = iter(scores)
    evaluate = lambda _: DevScores(next(waiting), errors=errors)  # noqa: E731
    hooks = Hooks(lambda *_: None, lambda _: None, evaluate, lambda: None, notes.append)
    for number, loss in enumerate(losses, 1):
        progress.loss, progress.losses = 3 * loss, 3
        select(progress, hooks, recipe)
        if progress.finished:
            return number, notes
    return 0, notes


def test_early_stopping_by_the_training_loss() -> None:
    rising, falling = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.9, 0.8, 0.795, 0.7925, 0.7, 0.6]
    keys = {"early_stopping_on": "train_loss"}
    assert stop_after(rising, falling, **keys)[0] == 0
    assert stop_after(rising, falling, **keys, early_stopping_threshold=0.05)[0] == 4
    assert stop_after([0.0] * 6, [0.9] * 6, **keys) == (3, [])
    with pytest.raises(InputError, match="early_stopping_on without early_stopping_patience"):
        make_recipe(keys)


def test_an_error_of_zero_is_not_a_score_of_zero() -> None:
    assert stop_after([-0.0] * 6, [0.5] * 6, errors=True) == (3, [])
    ended, notes = stop_after([0.0] * 6, [0.5] * 6)
    assert ended == 0
    assert notes == [
        "the score on dev is still 0.000 after 3 evaluations: try rebalance for the task, a higher learning rate or "
        "more epochs; early stopping waits until it rises"
    ]


def test_a_score_near_zero_counts_as_zero_if_it_is_no_improvement() -> None:
    tiny_gain = [0.0, 0.0013, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert stop_after(tiny_gain, [0.5] * 7, early_stopping_threshold=0.005)[0] == 0
    assert stop_after(tiny_gain, [0.5] * 7)[0] == 4
    assert stop_after([0.02] * 7, [0.5] * 7, early_stopping_threshold=0.05) == (3, [])


def test_checkpointing_of_an_encoder_that_has_none(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(bert, ("cls-text",))
    monkeypatch.setattr(type(model.encoder.network), "supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match="set gradient_checkpointing: false"):
        configure(model, make_recipe({"gradient_checkpointing": True}))
