"""What each training method costs: CPU time of a step beside the plain joint run's, and memory beyond it.

Four tasks of the bundled sample suite, one thread. Each arm is a process of its own: it takes steps alone, which gives
its peak memory, then by turns with the plain run over the same texts, which gives the ratio of their times. CPU time,
not the clock's, so that other programs on the machine matter little.

    python benchmarks/methods.py [--turns 5] [--batch-tokens 512] [--only KEY …] [--encoder NAME]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from biomtl.batch import EncodedExample
from biomtl.packaged import PACKAGED_ENCODER
from biomtl.training.accelerator import make_accelerator
from biomtl.training.assemble import assemble
from biomtl.training.data import TrainingData
from biomtl.training.loop import optimise
from biomtl.training.methods import Course, make_methods
from biomtl.training.optimiser import build_optimiser, build_schedule, configure
from biomtl.training.recipe_io import make_recipe
from biomtl.training.state import TrainState
from biomtl.training.teaching import teach

TASKS = ("bc5cdr-chem", "bc5cdr-disease", "mednli", "hoc")
Found = tuple[str, list[float], list[float], float]


def arms(teacher: str) -> dict[str, dict[str, Any]]:
    """The recipe's keys of each arm."""
    taught = {"teachers": teacher, "folder": str(Path(teacher).parent / "kept")}
    own = {"adapter": 204}
    return {
        "plain": {},
        "ema_decay": {"ema_decay": 0.99},
        "layer_decay": {"layer_decay": 0.9},
        "frozen_layers: 3 of 6": {"frozen_layers": 3},
        "gradual_thawing (its first step)": {"gradual_thawing": 1.0},
        "lora": {"lora": {}},
        "lora: attention_only": {"lora": {"attention_only": True}},
        "tasks.NAME.lora: 8": {"tasks": {name: {"lora": 8} for name in TASKS}},
        "tasks.NAME.adapter: 204": {"tasks": dict.fromkeys(TASKS, own)},
        "loss_balance: uncertainty": {"loss_balance": "uncertainty"},
        "gradient_aggregation: pcgrad": {"gradient_aggregation": "pcgrad"},
        "gradient_aggregation: upgrad": {"gradient_aggregation": "upgrad"},
        "gradient_aggregation: nash_mtl": {"gradient_aggregation": "nash_mtl"},
        "need_sampling": {"need_sampling": 0.5},
        "objective": {"objective": {"label_smoothing": 0.1, "focal_gamma": 2, "class_weights": "sqrt"}},
        "distill": {"distill": taught},
        "r_drop": {"r_drop": 1.0},
        "smart": {"smart": {}},
        "smart: proximal": {"smart": {"weight": 0.0, "proximal": 1.0}},
        "task_stopping: freeze, half stopped": {"task_stopping": {"patience": 1}},
        "task_stopping: distill, half stopped": {"task_stopping": {"patience": 1, "then": "distill"}},
    }


class Arm:
    """A run that takes one step at a time."""

    def __init__(self, keys: Mapping[str, Any], encoder: str, budget: int) -> None:
        given = {"suite": "sample", "tasks": list(TASKS), "encoder": encoder, "batch_tokens": budget, "max_steps": 1000}
        self.recipe, suite, self.model = assemble(make_recipe({**given, "num_threads": 1, **keys}))
        self.accelerator = make_accelerator(self.recipe)
        configure(self.model, self.recipe)
        taught = teach(suite, self.recipe, self.accelerator.device, lambda line: None)
        data = TrainingData(self.model.processor, suite, self.recipe, 1, taught)
        methods = make_methods(self.recipe, self.model)
        optimiser = build_optimiser(self.model, self.recipe, methods.values())
        self.state = TrainState(self.model, optimiser, build_schedule(optimiser, self.recipe, 1000), methods=methods)
        for method in methods.values():
            method.begin(Course(self.recipe, data, 1000), self.model)
        self.batches: list[list[EncodedExample]] = [batch for epoch in range(3) for batch in data.epoch(epoch)]
        for score in (1.0, 0.0):  # half of the tasks peak at the first evaluation
            scores = {name: score if name in TASKS[:2] else -score for name in TASKS}
            for method in methods.values():
                method.after_evaluation(scores, 0, self.model)

    def step(self) -> float:
        """Seconds of CPU time of the next step."""
        batch = self.batches[self.state.progress.step]
        start = time.process_time()
        optimise(self.state, self.model, [batch], self.recipe, self.accelerator)
        self.state.progress.step += 1
        return time.process_time() - start


def measure(name: str, keys: Mapping[str, Any], options: argparse.Namespace) -> Found:
    """The arm's name, its steps' seconds, the plain run's for the same batches, and its peak memory in MB."""
    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    arm = Arm(keys, options.encoder, options.batch_tokens)
    arm.step()
    arm.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    plain = Arm({}, options.encoder, options.batch_tokens)
    plain.step()
    plain.step()
    pairs = [(arm.step(), plain.step()) for _ in range(options.turns)]
    return name, [own for own, _ in pairs], [other for _, other in pairs], peak / 1000


def main() -> None:
    """Measure all arms, one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--encoder", default=PACKAGED_ENCODER)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    print("| recipe | time of a step | quartiles | memory beyond the plain run's | ")
    print("| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        teacher = f"{folder}/teacher"
        chosen = {name: keys for name, keys in arms(teacher).items() if not options.only or name in options.only}
        with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
            pool.apply(save_teacher, (teacher, options.encoder))
            base = None
            for name, keys in {"plain": {}, **chosen}.items():
                _, own, plain, peak = pool.apply(measure, (name, keys, options))
                base = peak if base is None else base
                ratios = [one / other for one, other in zip(own, plain, strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
                print(f"| `{name}` | x {middle:.2f} | {low:.2f} - {high:.2f} | {peak - base:+,.0f} MB |", flush=True)
            print(f"\nThe plain run's own memory is {base:,.0f} MB.")


def save_teacher(folder: str, encoder: str) -> None:
    """An untrained model: what it says costs as much as what a trained one says."""
    recipe = make_recipe({"suite": "sample", "tasks": list(TASKS), "encoder": encoder})
    assemble(recipe).model.save_pretrained(folder)


if __name__ == "__main__":
    main()
