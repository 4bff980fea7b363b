"""The training loop, top to bottom: batches -> one encoder pass each -> heads -> weighted losses -> step.

It knows nothing of task types, file formats or where the encoder came from.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from biomtl.batch import Batch, collate
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.checkpoint import (
    Progress,
    drop_old,
    latest_checkpoint,
    load_checkpoint,
    random_state,
    save_checkpoint,
)
from biomtl.training.data import TrainingData
from biomtl.training.dropout import FastDropout
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Step:
    """What one optimiser step did, in all processes together; a line of ``log.jsonl``."""

    step: int
    epoch: float
    seconds: float
    real_tokens: int
    padded_tokens: int
    examples: int
    lr: float
    loss: float
    losses: dict[str, float]


@dataclass(frozen=True)
class Hooks:
    """What the loop tells its caller. ``evaluate`` returns the dev score that chooses the model, higher is better."""

    on_start: Callable[[Progress, int], None]
    on_step: Callable[[Step], None]
    evaluate: Callable[[Progress], float]
    save_best: Callable[[], None]


def fit(
    model: MultiTaskModel,
    data: TrainingData,
    recipe: Recipe,
    accelerator: Accelerator,
    hooks: Hooks,
    checkpoints: Path,
    *,
    resume: bool = False,
) -> Progress:
    """Train ``model`` in place.

    With ``resume`` the newest checkpoint is continued: same batches, same random state, on a CPU the very same
    weights as an uninterrupted run.

    Raises:
        InputError: a checkpoint that can't be read, or a loss that is no number any more.
    """
    from accelerate.utils import gather_object

    total = run_length(data, recipe, accelerator)
    wrapped, optimiser = accelerator.prepare(model, build_optimiser(model, recipe))
    schedule = build_schedule(optimiser, recipe, total)
    progress = Progress()
    newest = latest_checkpoint(checkpoints) if resume else None
    if newest is not None:
        processes = (accelerator.process_index, accelerator.num_processes)
        progress = load_checkpoint(newest, model, optimiser.optimizer, schedule, *processes)
    hooks.on_start(progress, total)
    started = time.monotonic() - progress.seconds

    while progress.step < total and not progress.finished:
        batches = epoch_batches(data, progress.epoch, accelerator)
        while progress.batch < len(batches) and progress.step < total and not progress.finished:
            part = batches[progress.batch : progress.batch + recipe.gradient_accumulation_steps]
            model.train()
            done = optimise(wrapped, model, part, recipe, accelerator, optimiser)
            rate = optimiser.param_groups[0]["lr"]
            schedule.step()
            progress.step += 1
            progress.batch += len(part)
            progress.seconds = time.monotonic() - started
            position = progress.epoch + progress.batch / len(batches)
            hooks.on_step(Step(progress.step, round(position, 4), round(progress.seconds, 3), lr=rate, **done))
            if not math.isfinite(done["loss"]):
                fix = "lower learning_rate or lengthen the warm-up"
                raise InputError(f"training diverged: the loss of step {progress.step} is {done['loss']}", fix=fix)
            ended = progress.batch >= len(batches)
            last = progress.step >= total
            if due(recipe.eval_strategy, recipe.eval_steps, progress.step, ended, last):
                select(progress, hooks, recipe)
            progress.seconds = time.monotonic() - started
            if ended:
                progress.epoch, progress.batch = progress.epoch + 1, 0
            if due(recipe.save_strategy, recipe.save_steps, progress.step, ended, last):
                random = gather_object([random_state()])
                if accelerator.is_main_process:
                    folder = checkpoints / f"step-{progress.step:06d}"
                    save_checkpoint(folder, model, optimiser.optimizer, schedule, progress, random)
                    drop_old(checkpoints, recipe.save_total_limit)
            if ended:
                break  # the next epoch has batches of its own
    if recipe.eval_strategy == "no":
        hooks.save_best()
    return progress


def optimise(
    wrapped: Any,
    model: MultiTaskModel,
    part: list[list[Any]],
    recipe: Recipe,
    accelerator: Accelerator,
    optimiser: Any,
) -> dict[str, Any]:
    """One optimiser step over one batch, or several whose gradients add up."""
    batches = [collate(examples, model.processor) for examples in part]
    names = list(model.tasks)
    weights, counts = loss_weights(batches, model, recipe, accelerator)
    sums = torch.zeros(len(names), device=accelerator.device)
    loss = torch.zeros(1, device=accelerator.device)
    for number, batch in enumerate(batches):
        on_device = batch.to(accelerator.device)
        with contextlib.nullcontext() if number == len(batches) - 1 else accelerator.no_sync(wrapped):
            losses, weighted = backward(wrapped, model, on_device, weights[number], recipe, accelerator)
        loss += weighted
        for i, name in enumerate(names):
            if name in losses:
                sums[i] += losses[name] * counts[number][i]
    if recipe.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return summary(batches, names, loss, sums, counts, accelerator)


def loss_weights(
    batches: list[Batch], model: MultiTaskModel, recipe: Recipe, accelerator: Accelerator
) -> tuple[list[dict[str, float]], list[list[float]]]:
    """The factor of each task's mean loss in each batch, and the outputs that each mean is over.

    A step's loss is the tasks' means over the whole step, each counting by its weight and its share of the examples,
    so that a task with one row doesn't shout down one with thirty. The factors make that true however the step's rows
    are dealt to batches and processes.
    """
    names = list(model.tasks)
    examples = [[float(len(batch.examples.get(name, ()))) for name in names] for batch in batches]
    counts = [[float(model.loss_denominator(name, batch)) for name in names] for batch in batches]
    local = torch.tensor([examples, counts], device=accelerator.device).sum(1)
    per_task, outputs = accelerator.reduce(local, "sum").tolist()
    total = sum(per_task)
    task_weights = [weight_of(name, recipe.tasks) * share / total for name, share in zip(names, per_task, strict=True)]
    processes = accelerator.num_processes  # whose gradients are averaged, not summed
    weights = [
        {name: task_weights[i] * (row[i] / max(outputs[i], 1.0)) * processes for i, name in enumerate(names)}
        for row in counts
    ]
    return weights, counts


def backward(
    wrapped: Any,
    model: MultiTaskModel,
    batch: Batch,
    weights: Mapping[str, float],
    recipe: Recipe,
    accelerator: Accelerator,
) -> tuple[dict[str, Tensor], Tensor]:
    """One encoder pass, the losses of all tasks, their gradients; returns the losses and their weighted sum."""
    device = accelerator.device.type
    # Gradient checkpointing replays torch's own random state in the backward pass, so there torch's dropout drops.
    fast = device == "cpu" and not recipe.gradient_checkpointing
    with FastDropout() if fast else contextlib.nullcontext():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=recipe.bf16):
            losses = model.loss(wrapped(batch.inputs, batch.tasks), batch)
        loss = torch.stack([losses[name] * weights[name] for name in losses]).sum()
        accelerator.backward(loss)
    return {name: value.detach() for name, value in losses.items()}, loss.detach()


def summary(
    batches: list[Batch],
    names: list[str],
    loss: Tensor,
    sums: Tensor,
    counts: list[list[float]],
    accelerator: Accelerator,
) -> dict[str, Any]:
    """What ``log.jsonl`` says of a step, over all its batches and processes."""
    examples = sum(len(found) for batch in batches for found in batch.examples.values())
    sizes = [sum(batch.real_tokens for batch in batches), sum(batch.padded_tokens for batch in batches), examples]
    outputs = torch.tensor(counts, device=accelerator.device).sum(0)
    local = torch.cat([torch.tensor(sizes, device=accelerator.device), loss / accelerator.num_processes, sums, outputs])
    real, padded, seen, total, *rest = accelerator.reduce(local, "sum").tolist()
    each = zip(names, rest[: len(names)], rest[len(names) :], strict=True)
    return {
        "real_tokens": int(real),
        "padded_tokens": int(padded),
        "examples": int(seen),
        "loss": round(total, 6),
        "losses": {name: round(value / count, 6) for name, value, count in sorted(each) if count},
    }


def select(progress: Progress, hooks: Hooks, recipe: Recipe) -> None:
    """Score dev; keep the model if it is the best so far, count the disappointments if not."""
    score = hooks.evaluate(progress)
    gain = None if progress.best is None else score - progress.best
    if gain is None or gain > 0:
        progress.best, progress.best_step = score, progress.step
        hooks.save_best()
    enough = gain is None or gain > (recipe.early_stopping_threshold or 0.0)
    progress.stale = 0 if enough else progress.stale + 1
    if recipe.early_stopping_patience is not None and progress.stale >= recipe.early_stopping_patience:
        progress.finished = True


def run_length(data: TrainingData, recipe: Recipe, accelerator: Accelerator) -> int:
    """Optimiser steps of the run."""
    epochs = recipe.num_train_epochs or 0
    steps = 0
    number = 0
    while number < epochs or (recipe.max_steps is not None and steps < recipe.max_steps):
        steps += -(-len(epoch_batches(data, number, accelerator)) // recipe.gradient_accumulation_steps)
        number += 1
    return min(steps, recipe.max_steps or steps)


def epoch_batches(data: TrainingData, epoch: int, accelerator: Accelerator) -> list[list[Any]]:
    """This process's batches of an epoch."""
    return data.epoch(epoch, accelerator.process_index, accelerator.num_processes)


def due(strategy: str, every: int | None, step: int, epoch_ended: bool, last: bool) -> bool:
    """Whether it is time for what happens every so often."""
    if strategy == "no":
        return False
    return last or (epoch_ended if strategy == "epoch" else step % (every or 1) == 0)


def weight_of(task: str, options: Mapping[str, Any]) -> float:
    """A task's loss weight."""
    return options[task].weight if task in options else 1.0
