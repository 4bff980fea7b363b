"""Training time of each view of a relation task: processor seconds for a pass over the same documents.

A share of the training documents of DDI, of ChemProt, and of BLUE's six public tasks together is trained on once per
turn in every view. The views take turns, so that changes in the machine's speed affect all; compare the ratios within
turns. Reading and encoding the texts is not timed, evaluation neither.

    python benchmarks/relation_views.py PREPARED [--every 10] [--turns 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from public_six import RELATIONS, TASKS

from biomtl.suite import Suite, TaskData, load_suite
from biomtl.training.accelerator import make_accelerator
from biomtl.training.assemble import assemble
from biomtl.training.data import TrainingData
from biomtl.training.loop import optimise
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.recipe_io import make_recipe
from biomtl.training.state import TrainState

VIEWS = ("mask", "markers", "levitated", "spans")


def some(entry: TaskData, every: int) -> TaskData:
    """One in ``every`` documents of the training split."""
    documents: dict[str, int] = {}
    rows = set()
    for row, record in enumerate(entry.records("train")):
        document = str(record.get("doc_id", record["id"]))
        if documents.setdefault(document, len(documents)) % every:
            rows.add(row)
    return entry.without("train", rows)


class Pass:
    """One way of training on the documents, from the same initial weights each time."""

    def __init__(self, suite: Suite, tasks: tuple[str, ...], view: str, batch_tokens: int) -> None:
        options = {name: {"view": view} if name in RELATIONS else TASKS[name] for name in tasks}
        keys: dict[str, Any] = {"tasks": options, "batch_tokens": batch_tokens, "bf16": True, "learning_rate": 1e-5}
        chosen = suite.only(tasks)
        self.recipe, self.suite, self.model = assemble(make_recipe(keys), None, chosen)
        self.data = TrainingData(self.model.processor, self.suite, self.recipe)
        self.tokens = self.data.plan().real_tokens
        self.accelerator = make_accelerator(self.recipe)
        self.wrapped, self.optimiser = self.accelerator.prepare(
            self.model.train(), build_optimiser(self.model, self.recipe)
        )

    def seconds(self, turn: int) -> float:
        """Processor time of one pass over the documents."""
        state = TrainState(self.model, self.optimiser, build_schedule(self.optimiser, self.recipe, 1000))
        batches = list(self.data.epoch(turn))
        begun = time.process_time()
        for batch in batches:
            optimise(state, self.wrapped, [batch], self.recipe, self.accelerator)
        return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", help="folder written by `biomtl prepare`")
    parser.add_argument("--every", type=int, default=10, help="train on one in so many documents")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole = load_suite(options.prepared, TASKS)
    suite = Suite((some(entry, options.every) for entry in whole.data.values()), whole.source)
    results: dict[str, Any] = {"every": options.every, "batch_tokens": options.batch_tokens}
    print(f"one document in {options.every}, bf16, 1 thread, {options.turns} turns; median processor seconds per pass")
    print("| tasks | view | tokens | fewer than mask | seconds | faster than mask (lowest-highest) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, tasks in (*((task, (task,)) for task in RELATIONS), ("six", tuple(TASKS))):
        views = VIEWS if name in RELATIONS else ("mask", "levitated", "spans")
        ways = {view: Pass(suite, tasks, view, options.batch_tokens) for view in views}
        turns = [{view: way.seconds(turn) for view, way in ways.items()} for turn in range(options.turns)]
        for view, way in ways.items():
            ratios = [turn["mask"] / turn[view] for turn in turns]
            seconds = statistics.median(turn[view] for turn in turns)
            fewer = ways["mask"].tokens / way.tokens
            shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            print(f"| {name} | {view} | {way.tokens:,} | {fewer:.1f} | {seconds:.1f} | {shown} |", flush=True)
            results.setdefault(name, {})[view] = {"tokens": way.tokens, "seconds": [round(t[view], 1) for t in turns]}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
