"""Training speed on the four-task mixture BC5CDR-chem + BC5CDR-disease + DDI + HoC: this package and a plain loop.

The plain loop is what a careful programmer writes in plain torch: token-budget batches over length-sorted rows of all
tasks, one task per batch, AdamW, float32, nothing else. Both run the same encoder, heads and rows. They take turns, so
that changes in the machine's speed affect both; compare the ratios within turns.

    python benchmarks/training.py PREPARED [--turns 6] [--steps 10]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import torch

from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.model import MultiTaskModel
from biomtl.suite import Suite, load_suite
from biomtl.training.accelerator import make_accelerator
from biomtl.training.data import TrainingData, training_records
from biomtl.training.loop import optimise
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.recipe import Recipe
from biomtl.training.state import TrainState

TASKS = ("bc5cdr-chem", "bc5cdr-disease", "ddi2013", "hoc")
BUDGET = 2048
Done = tuple[int, int, int]  # real positions, all positions, examples


def plain_batches(model: MultiTaskModel, suite: Suite, recipe: Recipe) -> Iterator[list[EncodedExample]]:
    """Each task's rows, sorted by length and cut by the budget, with all batches in random order."""
    batches: list[list[EncodedExample]] = []
    for name in suite.tasks:
        records = {name: training_records(suite, name, recipe)}
        examples = sorted(encode_examples(model.processor, suite.tasks, records, targets=True), key=lambda i: i.longest)
        batch: list[EncodedExample] = []
        for example in examples:
            if batch and (len(batch) + 1) * example.longest > BUDGET:
                batches.append(batch)
                batch = []
            batch.append(example)
        batches.append(batch)
    for epoch in count():
        for i in np.random.default_rng(epoch).permutation(len(batches)):
            yield batches[i]


def plain(suite: Suite, recipe: Recipe) -> Callable[[], Done]:
    """One step of the plain loop."""
    model = MultiTaskModel.from_encoder(recipe.encoder, suite.tasks, max_length=recipe.max_length).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)
    batches = plain_batches(model, suite, recipe)

    def step() -> Done:
        batch = collate(next(batches), model.processor)
        losses = {name: answer.loss for name, answer in model(batch.inputs, batch.tasks).items()}
        sum(losses.values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return batch.real_tokens, batch.padded_tokens, sum(map(len, batch.examples.values()))

    return step


def ours(suite: Suite, recipe: Recipe) -> Callable[[], Done]:
    """One step of the package's loop."""
    model = MultiTaskModel.from_encoder(recipe.encoder, suite.tasks, max_length=recipe.max_length).train()
    data = TrainingData(model.processor, suite, recipe)
    accelerator = make_accelerator(recipe)
    wrapped, optimiser = accelerator.prepare(model, build_optimiser(model, recipe))
    state = TrainState(model, optimiser, build_schedule(optimiser, recipe, 1000))
    batches = (batch for epoch in count() for batch in data.epoch(epoch))

    def step() -> Done:
        done = optimise(state, wrapped, [next(batches)], recipe, accelerator)
        return done["real_tokens"], done["padded_tokens"], done["examples"]

    return step


def run(step: Callable[[], Done], steps: int) -> tuple[float, float, float]:
    """Real tokens/s, examples/s and fill over some steps."""
    started = time.perf_counter()
    real, padded, examples = map(sum, zip(*[step() for _ in range(steps)], strict=True))
    seconds = time.perf_counter() - started
    return real / seconds, examples / seconds, real / padded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", help="folder written by `biomtl prepare`")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--steps", type=int, default=10, help="steps of each loop per turn")
    options = parser.parse_args()
    suite = load_suite(options.prepared, TASKS)
    recipe = Recipe(batch_tokens=BUDGET, learning_rate=1e-4)
    loops = {
        "plain loop, fp32": plain(suite, recipe),
        "biomtl, fp32": ours(suite, recipe),
        "biomtl, bf16": ours(suite, recipe.model_copy(update={"bf16": True})),
    }
    for step in loops.values():
        run(step, 10)  # warm-up
    turns = [{name: run(step, options.steps) for name, step in loops.items()} for _ in range(options.turns)]
    base = next(iter(loops))
    print(f"{torch.get_num_threads()} threads, {options.turns} turns of {options.steps} steps; medians")
    print("| loop | real tokens/s | examples/s | fill | tokens/s ratio | examples/s ratio (lowest-highest) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in loops:
        tokens, examples, fill = (statistics.median(turn[name][i] for turn in turns) for i in range(3))
        ratios = [[turn[name][i] / turn[base][i] for turn in turns] for i in range(2)]
        shown = f"{statistics.median(ratios[1]):.2f} ({min(ratios[1]):.2f}-{max(ratios[1]):.2f})"
        print(
            f"| {name} | {tokens:,.0f} | {examples:.1f} | {fill:.3f} | {statistics.median(ratios[0]):.2f} | {shown} |"
        )


if __name__ == "__main__":
    main()
