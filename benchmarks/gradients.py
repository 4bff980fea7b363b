"""What the tasks' gradients do to each other at the shared encoder during a joint run.

At some steps of the run, each task's gradient is computed on two disjoint batches of its own training texts, without
dropout. The cosine of a task's two batches says how much of a gradient is signal; the cosines of different tasks are to
be read against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from biomtl.batch import EncodedExample, collate
from biomtl.model import MultiTaskModel
from biomtl.training.accelerator import make_accelerator
from biomtl.training.assemble import assemble
from biomtl.training.data import TrainingData
from biomtl.training.loop import optimise
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.progress import Progress
from biomtl.training.recipe_io import make_recipe
from biomtl.training.state import TrainState

MOMENTS = (0.02, 0.1, 0.3, 0.6, 0.98)
"""Shares of the run after which gradients are measured."""
BATCHES, POSITIONS = 2, 2048


def measure(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Train according to the recipe's keys, measuring at ``MOMENTS``; nothing is saved."""
    recipe, suite, model = assemble(make_recipe(keys), None, None)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.num_threads or 1)
    data = TrainingData(model.processor, suite, recipe)
    batches = {name: own_batches(data, name) for name in suite.tasks}
    accelerator = make_accelerator(recipe)
    wrapped = accelerator.prepare(model)
    optimiser = build_optimiser(model, recipe)
    total = data.run_length(1)
    state = TrainState(model, optimiser, build_schedule(optimiser, recipe, total))
    at = {max(1, round(share * total)) for share in MOMENTS}
    told: dict[str, Any] = {"steps": total, "moments": {}}
    for step, planned in zip(range(1, total + 1), data.steps(Progress(), 0, 1), strict=False):
        optimise(state, wrapped, planned.batches, recipe, accelerator)
        if step in at:
            told["moments"][str(step)] = moment(model, optimiser, batches)
            print(f"step {step} of {total}", flush=True)
    return told


def own_batches(data: TrainingData, task: str) -> list[list[EncodedExample]]:
    """Disjoint batches of training texts with the labels of one task alone."""
    own = [piece for example in data.examples for piece in example.split() if task in piece.labelled_tasks]
    chosen: list[list[EncodedExample]] = [[] for _ in range(BATCHES)]
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(0)).tolist()
    for number, batch in enumerate(chosen):
        positions = 0
        for i in order[number::BATCHES]:
            positions += sum(len(row) for row in own[i].rows)
            if batch and positions > POSITIONS:
                break
            batch.append(own[i])
    return chosen


def moment(
    model: MultiTaskModel, optimiser: torch.optim.Optimizer, batches: Mapping[str, list[list[EncodedExample]]]
) -> dict[str, Any]:
    """Norms, shares of Adam's step, and cosines, for the whole encoder and by layer."""
    parameters = {name: p for name, p in model.encoder.named_parameters() if p.requires_grad}
    scale = torch.cat([adam_scale(optimiser, p).flatten() for p in parameters.values()])
    where = layers(parameters)
    gradients = {task: [gradient(model, parameters, batch, task) for batch in own] for task, own in batches.items()}
    norms = {task: mean([float(g.norm()) for g in own]) for task, own in gradients.items()}
    moves = {task: mean([float((g / scale).norm()) for g in own]) for task, own in gradients.items()}
    cosines: dict[str, Any] = {}
    for layer, chosen in where.items():
        cosines[layer] = {
            f"{a}|{b}": round(mean([cosine(x[chosen], y[chosen]) for x, y in pairs(gradients, a, b)]), 4)
            for a, b in [*combinations(gradients, 2), *((task, task) for task in gradients)]
        }
    total = sum(moves.values())
    return {
        "norm": {task: round(norm, 4) for task, norm in norms.items()},
        "share_of_adams_step": {task: round(move / total, 4) for task, move in moves.items()},
        "cosine": cosines,
    }


def gradient(
    model: MultiTaskModel, parameters: Mapping[str, torch.nn.Parameter], batch: list[EncodedExample], task: str
) -> Tensor:
    """The gradient of a task's mean loss at the encoder, as one vector."""
    model.eval()
    model.zero_grad(set_to_none=True)
    made = collate(batch, model.processor)
    model(made.inputs, made.tasks)[task].loss.backward()
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters.values()]
    model.zero_grad(set_to_none=True)
    return torch.cat(parts)


def adam_scale(optimiser: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> Tensor:
    """What Adam divides the gradient by."""
    moments = optimiser.state[parameter].get("exp_avg_sq")
    return torch.ones_like(parameter) if moments is None else moments.sqrt() + 1e-8


def layers(parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, slice]:
    """The part of the vector that belongs to each layer, and the whole."""
    ends: dict[str, list[int]] = {}
    position = 0
    for name, parameter in parameters.items():
        number = re.search(r"layers?\.(\d+)\.", name)
        layer = f"layer {int(number[1]) + 1}" if number else "embeddings" if "embed" in name else "other"
        ends.setdefault(layer, [position, position])[1] = position + parameter.numel()
        position += parameter.numel()
    return {"all": slice(0, position), **{layer: slice(*bounds) for layer, bounds in ends.items() if layer != "other"}}


def pairs(gradients: Mapping[str, list[Tensor]], a: str, b: str) -> list[tuple[Tensor, Tensor]]:
    """The gradients to compare: of two tasks on each batch, or of one task on its two batches."""
    return [(gradients[a][0], gradients[a][1])] if a == b else list(zip(gradients[a], gradients[b], strict=True))


def cosine(a: Tensor, b: Tensor) -> float:
    """0 for a vector without length: a frozen layer."""
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length else 0.0


def mean(values: list[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)
