"""The training loop, top to bottom: batch -> one encoder pass -> heads -> weighted losses -> step.

It knows nothing about task types, file formats or the encoder's origin.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from biomtl.batch import Batch, collate
from biomtl.errors import DIVERGED, DivergenceError
from biomtl.model import MultiTaskModel
from biomtl.signals import SAID, Ended, noted
from biomtl.tasks.task import Task
from biomtl.tasks.types.regression import score_range
from biomtl.training.checkpoint import drop_old, latest_checkpoint, load_checkpoint, save_checkpoint
from biomtl.training.data import TrainingData
from biomtl.training.dropout import FastDropout
from biomtl.training.methods import Course, make_methods
from biomtl.training.optimiser import build_optimiser, build_schedule, current_rate
from biomtl.training.plateau import see_score
from biomtl.training.processes import Processes
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_tasks import TaskOptions
from biomtl.training.state import TrainState, random_state

NOTHING = 0.01  # a score up to this may be as good as none


@dataclass(frozen=True)
class Step:
    """The figures of one optimiser step over all processes; a line of ``log.jsonl``."""

    step: int
    epoch: float
    seconds: float
    real_tokens: int
    padded_tokens: int
    examples: int
    lr: float
    loss: float
    losses: dict[str, float]
    texts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hooks:
    """The loop's hooks."""

    on_start: Callable[[Progress, int], None]
    on_step: Callable[[Step], None]
    evaluate: Callable[[Progress], DevScores]
    save_best: Callable[[], None]
    note: Callable[[str], None] = lambda line: None


def fit(
    model: MultiTaskModel,
    data: TrainingData,
    recipe: Recipe,
    accelerator: Processes,
    hooks: Hooks,
    checkpoints: Path,
    *,
    resume: bool = False,
) -> Progress:
    """Train ``model`` in place.

    With ``resume`` the newest checkpoint is continued with the same batches and random state; on a CPU the weights are
    exactly those of an uninterrupted run.

    Raises:
        InputError: a checkpoint that can't be read, or a loss that is no longer a number.
        Ended: after SIGINT or SIGTERM; the step was completed and, unless the recipe forbids it, a checkpoint written.
    """
    total = data.run_length(accelerator.num_processes)
    trained = accelerator.trained(model)
    methods = make_methods(recipe, trained)
    wrapped = accelerator.prepare(trained)
    optimiser = build_optimiser(trained, recipe, methods.values())
    scaler = torch.amp.GradScaler(accelerator.device.type) if recipe.fp16 else None
    state = TrainState(trained, optimiser, build_schedule(optimiser, recipe, total), methods=methods, scaler=scaler)
    for method in methods.values():
        method.begin(Course(recipe, data, total), trained)
    newest = latest_checkpoint(checkpoints) if resume else None
    if newest is not None:
        load_checkpoint(newest, state, accelerator.process_index, accelerator.num_processes, accelerator.like)
    progress = state.progress
    hooks.on_start(progress, total)
    started = time.monotonic() - progress.seconds
    saved = time.monotonic()

    with noted() as signals:
        steps = data.steps(progress, accelerator.process_index, accelerator.num_processes)
        while progress.step < total and not progress.finished:
            planned = next(steps)
            rate = current_rate(optimiser.param_groups)
            done = optimise(state, wrapped, planned.batches, recipe, accelerator)
            progress.step += 1
            progress.loss, progress.losses = progress.loss + done["loss"], progress.losses + 1
            progress.epoch, progress.batch = planned.after
            progress.seconds = time.monotonic() - started
            hooks.on_step(Step(progress.step, planned.position, round(progress.seconds, 3), lr=rate, **done))
            refuse_divergence(progress.step, done["loss"])
            last = progress.step >= total
            if due(recipe.eval_strategy, recipe.eval_steps, progress.step, planned.ends_epoch, last):
                with evaluation_weights(state), accelerator.gathered(trained, model):
                    scores = select(progress, hooks, recipe)
                    see_score(state.schedule, scores.chosen)
                    for method in methods.values():  # one may end a task's training before the next one looks
                        learning = {name: score for name, score in scores.tasks.items() if factor(state, name)}
                        method.after_evaluation(learning, progress.step, trained)
                # Once the methods have taken every task's loss out of the run, nothing more would be learnt.
                progress.finished = progress.finished or not any(factor(state, name) for name in data.mixer.tasks)
            progress.seconds = time.monotonic() - started
            last = last or progress.finished
            stop, late = agreed(accelerator, signals.received is not None, overdue(recipe, saved))
            if due(recipe.save_strategy, recipe.save_steps, progress.step, planned.ends_epoch, last or stop or late):
                save(state, recipe, accelerator, checkpoints)
                saved = time.monotonic()
            if stop:
                raise ended(signals.received or signal.SIGTERM, progress, recipe, accelerator)
    if recipe.eval_strategy == "no":
        with evaluation_weights(state), accelerator.gathered(trained, model):
            hooks.save_best()
    if at_zero(progress, recipe) and progress.at_zero > 1 and not waited(progress, recipe):
        hooks.note(zero_note(progress))
    model.to(accelerator.device)
    return progress


def optimise(
    state: TrainState, wrapped: Any, step_examples: list[list[Any]], recipe: Recipe, accelerator: Processes
) -> dict[str, Any]:
    """One optimiser step over one batch, or over several whose gradients are added."""
    model = state.model.train()
    for method in state.methods.values():
        method.before_step(state.progress.step, model)
    batches = [collate(examples, model.processor) for examples in step_examples]
    names = list(model.tasks)
    weights, counts = loss_weights(batches, state, recipe, accelerator)
    sums = torch.zeros(len(names), device=accelerator.device)
    loss = torch.zeros(1, device=accelerator.device)
    for number, batch in enumerate(batches):
        on_device = batch.to(accelerator.device)
        with contextlib.nullcontext() if number == len(batches) - 1 else accelerator.no_sync(wrapped):
            losses, weighted = backward(state, wrapped, on_device, weights[number], recipe, accelerator)
        loss += weighted
        for i, name in enumerate(names):
            if name in losses:
                sums[i] += losses[name] * counts[number][i]
    if state.scaler is not None:
        state.scaler.unscale_(state.optimiser)
    for method in state.methods.values():
        method.gradients(model)
    if recipe.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
    stepped = True
    if state.scaler is None:
        state.optimiser.step()
    else:
        scale = state.scaler.get_scale()
        state.scaler.step(state.optimiser)  # left out if a gradient overflowed; then the scale is halved
        state.scaler.update()
        stepped = state.scaler.get_scale() >= scale
    state.optimiser.zero_grad(set_to_none=True)
    if stepped:
        state.schedule.step()
    done = summary(batches, names, loss, sums, counts, accelerator)
    for method in state.methods.values():
        method.after_step(model, done["losses"])
    return done


def loss_weights(
    batches: list[Batch], state: TrainState, recipe: Recipe, accelerator: Processes
) -> tuple[list[dict[str, float]], list[list[float]]]:
    """The factor of each task's mean loss in each batch, and the number of outputs in each mean.

    A step's loss combines the tasks' means over the whole step, each weighted by the task's weight, the methods'
    factors and its share of the texts, so that a task with one text doesn't outweigh one with thirty. The result makes
    that true however the step's texts are distributed over batches and processes.
    """
    names = list(state.model.tasks)
    texts = [[float(batch.texts.get(name, 0)) for name in names] for batch in batches]
    counts = [[float(batch.loss_denominator(name)) for name in names] for batch in batches]
    local = torch.tensor([texts, counts], device=accelerator.device).sum(1)
    per_task, outputs = accelerator.reduce(local, "sum").tolist()
    total = sum(per_task)
    task_weights = [
        weight_of(state.model.tasks[name], recipe.tasks) * factor(state, name) * share / total
        for name, share in zip(names, per_task, strict=True)
    ]
    processes = accelerator.num_processes  # whose gradients are averaged, not summed
    weights = [
        {name: task_weights[i] * (row[i] / max(outputs[i], 1.0)) * processes for i, name in enumerate(names)}
        for row in counts
    ]
    return weights, counts


def backward(
    state: TrainState,
    wrapped: Any,
    batch: Batch,
    weights: Mapping[str, float],
    recipe: Recipe,
    accelerator: Processes,
) -> tuple[dict[str, Tensor], Tensor]:
    """One encoder pass, the losses of all tasks, their gradients; returns the losses and their weighted sum."""
    device = accelerator.device.type
    # Gradient checkpointing replays torch's own random state in the backward pass, so it needs torch's own dropout.
    fast = device == "cpu" and not recipe.gradient_checkpointing
    with FastDropout() if fast else contextlib.nullcontext():
        half = torch.float16 if recipe.fp16 else torch.bfloat16
        with torch.autocast(device, dtype=half, enabled=recipe.bf16 or recipe.fp16):
            answers = wrapped(batch.inputs, batch.tasks)
            losses = {name: answer.loss for name, answer in answers.items() if answer.loss is not None}
            for method in state.methods.values():
                losses = method.losses(losses, answers, batch, state.model)
        weighted = {name: loss * weights[name] for name, loss in losses.items()}
        for method in state.methods.values():
            method.before_backward(weighted, state.model)
        loss = torch.stack(list(weighted.values())).sum()
        accelerator.backward(loss if state.scaler is None else state.scaler.scale(loss))
    return {name: value.detach() for name, value in losses.items()}, loss.detach()


def summary(
    batches: list[Batch],
    names: list[str],
    loss: Tensor,
    sums: Tensor,
    counts: list[list[float]],
    accelerator: Processes,
) -> dict[str, Any]:
    """The figures of a step for ``log.jsonl``, over all its batches and processes."""
    examples = sum(len(rows) for batch in batches for rows in batch.examples.values())
    sizes = [sum(batch.real_tokens for batch in batches), sum(batch.padded_tokens for batch in batches), examples]
    outputs = torch.tensor(counts, device=accelerator.device).sum(0)
    texts = torch.tensor([sum(batch.texts.get(name, 0) for batch in batches) for name in names])
    mean = loss / accelerator.num_processes
    each = (mean, sums, outputs, texts.to(accelerator.device))
    local = torch.cat([torch.tensor(sizes, device=accelerator.device), *each])
    real, padded, seen, total, *rest = accelerator.reduce(local, "sum").tolist()
    by_task = sorted(zip(names, *(rest[i : i + len(names)] for i in range(0, len(rest), len(names))), strict=True))
    return {
        "real_tokens": int(real),
        "padded_tokens": int(padded),
        "examples": int(seen),
        "loss": round(total, 6),
        "losses": {name: round(value / count, 6) for name, value, count, _ in by_task if count},
        "texts": {name: int(read) for name, _, _, read in by_task if read},
    }


@contextlib.contextmanager
def evaluation_weights(state: TrainState) -> Iterator[None]:
    """Within this context, the model has the weights to be scored and saved."""
    with contextlib.ExitStack() as stack:
        for method in state.methods.values():
            stack.enter_context(method.evaluation_weights(state.model))
        yield


def select(progress: Progress, hooks: Hooks, recipe: Recipe) -> DevScores:
    """Score dev; keep the model if it is the best so far, and stop after too many evaluations without improvement.

    While every score was 0 (or so little above that it is no improvement), evaluations don't count: many a model
    predicts only the most frequent class at first.
    """
    scores = hooks.evaluate(progress)
    score = scores.chosen
    gain = None if progress.best is None else score - progress.best
    if gain is None or gain > 0:
        progress.best, progress.best_step = score, progress.step
        hooks.save_best()
    least = recipe.early_stopping_threshold or 0.0
    enough = gain is None or gain > least
    fallen = loss_gain(progress)
    flat = at_zero(progress, recipe) and not scores.errors
    progress.at_zero += flat
    if recipe.early_stopping_on == "train_loss":
        enough = fallen is None or fallen > least
    elif flat:
        enough = True
        if waited(progress, recipe) == 1:
            hooks.note(f"{zero_note(progress)}; early stopping waits until it rises")
    progress.stale = 0 if enough else progress.stale + 1
    if recipe.early_stopping_patience is not None and progress.stale >= recipe.early_stopping_patience:
        progress.finished = True
    return scores


def at_zero(progress: Progress, recipe: Recipe) -> bool:
    """Whether the best score on dev is 0, or above it by less than early stopping takes for an improvement."""
    return progress.best is not None and 0 <= progress.best <= min(recipe.early_stopping_threshold or 0.0, NOTHING)


def loss_gain(progress: Progress) -> float | None:
    """How much the steps' mean loss since the last evaluation is below the lowest one before, if there was any."""
    mean = progress.loss / max(progress.losses, 1)
    gain = None if progress.lowest is None else progress.lowest - mean
    progress.lowest = mean if progress.lowest is None else min(mean, progress.lowest)
    progress.loss, progress.losses = 0.0, 0
    return gain


def waited(progress: Progress, recipe: Recipe) -> int:
    """The evaluations for which early stopping has waited, as every score on dev was 0."""
    if recipe.early_stopping_patience is None or recipe.early_stopping_on == "train_loss":
        return 0
    return max(0, progress.at_zero - recipe.early_stopping_patience)


def zero_note(progress: Progress) -> str:
    """What to try when no score on dev was above 0."""
    return (
        f"the score on dev is still {progress.best:.3f} after {progress.at_zero} evaluations: "
        "try rebalance for the task, a higher learning rate or more epochs"
    )


def factor(state: TrainState, task: str) -> float:
    """What the methods make of a task's loss in the coming step; 0 if they have taken it out of the run."""
    return math.prod(method.factor(task) for method in state.methods.values())


def due(strategy: str, every: int | None, step: int, epoch_ended: bool, last: bool) -> bool:
    """Whether a recurring action is due."""
    if strategy == "no":
        return False
    return last or (epoch_ended if strategy == "epoch" else step % (every or 1) == 0)


def weight_of(task: Task, options: Mapping[str, TaskOptions]) -> float:
    """A task's loss weight; heads compute a squared error in units of the score range."""
    given = options.get(task.name, TaskOptions())
    low, high = score_range(task)
    return given.weight * ((high - low) ** 2 if given.loss_scale == "score" else 1.0)


def refuse_divergence(step: int, loss: float) -> None:
    """Raise an error if the loss is infinite or NaN, from which training can't recover."""
    if not math.isfinite(loss):
        fix = "lower learning_rate or lengthen the warm-up"
        raise DivergenceError(f"{DIVERGED}: the loss of step {step} is {loss}", fix=fix)


def overdue(recipe: Recipe, saved: float) -> bool:
    """Whether the newest checkpoint, written at ``saved`` (monotonic clock), is older than ``save_minutes``."""
    return 0 < 60 * recipe.save_minutes <= time.monotonic() - saved


def agreed(accelerator: Processes, *wishes: bool) -> list[bool]:
    """Combine the requests of all processes, so that all of them do the same."""
    votes = torch.tensor(wishes, dtype=torch.float32, device=accelerator.device)
    return [bool(count) for count in accelerator.reduce(votes, "sum").tolist()]


def save(state: TrainState, recipe: Recipe, accelerator: Processes, checkpoints: Path) -> None:
    """Write a checkpoint, and delete those that are no longer needed."""
    random = gather_object([random_state()])
    weights, moments = state.weights(accelerator.whole), state.moments(accelerator.whole)
    if accelerator.is_main_process:
        save_checkpoint(checkpoints / f"step-{state.progress.step:06d}", state, random, weights, moments)
        drop_old(checkpoints, recipe.save_total_limit)
    accelerator.wait_for_everyone()


def ended(number: int, progress: Progress, recipe: Recipe, accelerator: Processes) -> Ended:
    """The exception that ends the run after a signal; of several processes, the first has said it by then.

    As soon as one process has ended, its launcher ends the others, which may be too early for their message.
    """
    how = "nothing is saved (save_strategy: no)" if recipe.save_strategy == "no" else "go on with --resume"
    said = f"{SAID[number]} after step {progress.step}, {how}"
    if accelerator.num_processes == 1:
        return Ended(number, said)
    if accelerator.is_main_process:
        print(f"biomtl: {said}", file=sys.stderr, flush=True)
    accelerator.wait_for_everyone()
    return Ended(number, "")
