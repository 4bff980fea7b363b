"""Short runs with each training method, by one process or by as many as a launcher starts.

As a script, ``python -m torch.distributed.run … global_batch.py ENCODER SUITE TEACHER OUT``, it writes each run's
weights into ``OUT/NAME.safetensors``; `trained` gives those of one process.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor

import biomtl.training.methods.smart as smart
from biomtl.training.accelerator import make_accelerator
from biomtl.training.assemble import assemble
from biomtl.training.data import TrainingData
from biomtl.training.loop import Hooks, fit
from biomtl.training.methods.gradient_aggregation import RULES
from biomtl.training.methods.loss_balance import RULES as BALANCES
from biomtl.training.optimiser import configure
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe_io import make_recipe
from biomtl.training.teaching import teach

TASKS: dict[str, Any] = {"cls-text": {}, "tag-drug": {}, "multi-text": {}, "reg-pair": {"max_rows": 9}}
PLAIN: dict[str, Any] = {"tasks": TASKS, "max_steps": 5, "batch_size": 6, "dropout": 0.0, "max_length": 24}
PLAIN |= {"learning_rate": 1e-3, "eval_steps": 1, "save_strategy": "no", "num_threads": 1}


def method_keys(teacher: str, kept: str) -> dict[str, dict[str, Any]]:
    """The keys of each run, by a name for it; rules that aren't installed are left out."""
    taught = {"teachers": {"cls-text": teacher, "multi-text": teacher}, "folder": kept}
    runs: dict[str, dict[str, Any]] = {
        "plain": {},
        "batch-mixing": {"mixing": "batch"},
        "layer_decay": {"layer_decay": 0.5},
        "frozen_layers": {"frozen_layers": 1},
        "gradual_thawing": {"gradual_thawing": 0.8},
        "need_sampling": {"need_sampling": 0.5},
        "objective": {"objective": {"label_smoothing": 0.1, "class_weights": "balanced", "focal_gamma": 1.0}},
        "distill": {"distill": taught},
        "distill-unlabelled": {"distill": {**taught, "unlabelled": "*"}},
        "r_drop": {"r_drop": 1.0},
        "smart": {"smart": {"weight": 5.0, "proximal": 1.0, "proximal_decay": 0.5}},
        "task_stopping-freeze": {"task_stopping": {"patience": 1}},
        "task_stopping-distill": {"task_stopping": {"patience": 1, "then": "distill"}},
        "ema_decay": {"ema_decay": 0.7},
        "adapter": {"tasks": {**TASKS, "cls-text": {"adapter": 4}}},
        "task-lora": {"tasks": {**TASKS, "cls-text": {"lora": 2}, "tag-drug": {"lora": 3}}},
    }
    runs |= {f"loss_balance-{rule}": {"loss_balance": rule} for rule in BALANCES}
    if find_spec("peft"):
        runs["lora"] = {"lora": {"rank": 2}}
    if find_spec("torchjd"):
        runs |= {f"aggregation-{rule}": {"gradient_aggregation": rule} for rule in RULES}
    return runs


def scores(progress: Progress) -> DevScores:
    """One task rises, the others have peaked at the first evaluation."""
    tasks = {"cls-text": 0.1 * progress.step, "tag-drug": 0.5, "multi-text": 0.4, "reg-pair": 0.3}
    return DevScores(0.1 * progress.step, tasks)


def same_noise(*shape: Any, **options: Any) -> Tensor:
    """The same noise for a batch in any process, in place of SMART's random one."""
    return torch.empty(*shape, **options).normal_(generator=torch.Generator().manual_seed(0))


def trained(encoder: str, suite: str, keys: dict[str, Any], accumulation: int) -> dict[str, Tensor]:
    """The weights that a short run saves, those of the average if it makes one."""
    given = {**PLAIN, "encoder": encoder, "suite": suite, "gradient_accumulation_steps": accumulation, **keys}
    recipe = make_recipe({key: value for key, value in given.items() if value is not None})
    accelerator = make_accelerator(recipe)
    recipe, data, model = assemble(recipe)
    configure(model, recipe)
    taught = teach(data, recipe, accelerator.device, lambda line: None)
    torch.manual_seed(recipe.seed + accelerator.process_index)
    examples = TrainingData(model.processor, data, recipe, accelerator.num_processes, taught)
    found: dict[str, Tensor] = {}

    def save() -> None:
        found.update({name: value.clone() for name, value in model.state_dict().items()})

    hooks = Hooks(lambda progress, total: None, lambda step: None, scores, save)
    with mock.patch.object(smart.torch, "randn", same_noise):
        fit(model, examples, recipe, accelerator, hooks, Path("nowhere"))
    return found


def main(encoder: str, suite: str, teacher: str, out: str) -> None:
    """All runs, one after the other."""
    for name, keys in method_keys(teacher, f"{out}/kept").items():
        found = trained(encoder, suite, keys, 1)
        if make_accelerator(make_recipe({})).is_main_process:
            save_file(found, f"{out}/{name}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
