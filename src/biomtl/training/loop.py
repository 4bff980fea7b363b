"""The training loop, top to bottom: batch -> one encoder pass -> heads -> weighted losses -> step.

It knows nothing of task types, file formats or where the encoder came from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from biomtl.items import Batch, collate
from biomtl.model import MultiTaskModel
from biomtl.training.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from biomtl.training.data import TrainingData
from biomtl.training.dropout import FastDropout
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Step:
    """What one optimiser step did; a line of ``log.jsonl``."""

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
    """
    epochs, total = run_length(data, recipe, accelerator)
    if recipe.freeze_encoder:
        model.encoder.requires_grad_(False)
    if recipe.gradient_checkpointing:
        model.encoder.gradient_checkpointing()
    wrapped, optimiser = accelerator.prepare(model, build_optimiser(model, recipe))
    schedule = build_schedule(optimiser, recipe, total)
    progress = Progress()
    newest = latest_checkpoint(checkpoints) if resume else None
    if newest is not None:
        progress = load_checkpoint(newest, model, optimiser.optimizer, schedule)
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
            ended = progress.batch >= len(batches)
            last = progress.step >= total
            if due(recipe.eval_strategy, recipe.eval_steps, progress.step, ended, last):
                select(progress, hooks, recipe)
            progress.seconds = time.monotonic() - started
            if ended:
                progress.epoch, progress.batch = progress.epoch + 1, 0
            if due(recipe.save_strategy, recipe.save_steps, progress.step, ended, last) and accelerator.is_main_process:
                folder = checkpoints / f"step-{progress.step:06d}"
                save_checkpoint(folder, model, optimiser.optimizer, schedule, progress)
                drop_old(checkpoints, recipe.save_total_limit)
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
    batches = [collate(items, model.processor) for items in part]
    local = sum(len(examples) for batch in batches for examples in batch.examples.values())
    # Every example weighs the same, in whichever batch and process it stands.
    count = accelerator.reduce(torch.tensor(float(local), device=accelerator.device), "mean").item()
    sums: dict[str, float] = {}
    seen: dict[str, int] = {}
    total = 0.0
    for number, batch in enumerate(batches):
        on_device = batch.to(accelerator.device)
        if number < len(batches) - 1:
            with accelerator.no_sync(wrapped):
                total += backward(wrapped, model, on_device, recipe, accelerator, count, sums, seen)
        else:
            total += backward(wrapped, model, on_device, recipe, accelerator, count, sums, seen)
    if recipe.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return {
        "real_tokens": sum(batch.real_tokens for batch in batches),
        "padded_tokens": sum(batch.padded_tokens for batch in batches),
        "examples": local,
        "loss": round(total, 6),
        "losses": {name: round(value / seen[name], 6) for name, value in sorted(sums.items())},
    }


def backward(
    wrapped: Any,
    model: MultiTaskModel,
    batch: Batch,
    recipe: Recipe,
    accelerator: Accelerator,
    count: float,
    sums: dict[str, float],
    seen: dict[str, int],
) -> float:
    """One encoder pass, the losses of all tasks, their gradients; returns the weighted loss.

    A task's loss is its mean over the batch; it counts by its weight and by its share of the examples, so that a
    task with one row in the batch doesn't shout down one with thirty.
    """
    on_cpu = accelerator.device.type == "cpu"
    with accelerator.autocast(), FastDropout() if on_cpu else contextlib.nullcontext():
        outputs = wrapped(batch.inputs, batch.tasks)
        losses = model.loss(outputs, batch)
    sizes = {name: len(examples) for name, examples in batch.examples.items()}
    loss = torch.stack([losses[n] * (weight_of(n, recipe.tasks) * sizes[n] / count) for n in losses]).sum()
    accelerator.backward(loss)
    for name, value in losses.items():
        sums[name] = sums.get(name, 0.0) + value.item() * sizes[name]
        seen[name] = seen.get(name, 0) + sizes[name]
    return loss.item()


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


def run_length(data: TrainingData, recipe: Recipe, accelerator: Accelerator) -> tuple[int, int]:
    """Epochs and optimiser steps of the run."""
    epochs = recipe.num_train_epochs or 0
    steps = 0
    number = 0
    while number < epochs or (recipe.max_steps is not None and steps < recipe.max_steps):
        steps += -(-len(epoch_batches(data, number, accelerator)) // recipe.gradient_accumulation_steps)
        number += 1
    return number, min(steps, recipe.max_steps or steps)


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


def drop_old(checkpoints: Path, keep: int) -> None:
    """Delete all but the newest checkpoints."""
    import shutil

    found = sorted(path for path in checkpoints.glob("step-*") if path.is_dir())
    for path in found[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
