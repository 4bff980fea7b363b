"""Training data: the examples of every task, cut into the batches of each epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from biomtl.batch import EncodedExample, divided_pairs, encode_examples
from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.tasks.types.base import Record
from biomtl.tasks.types.checks import WEIGHT, row_weights_note
from biomtl.text.base import TextProcessor
from biomtl.training.batches import Index, plan_batches, shard
from biomtl.training.label_weights import weights_note
from biomtl.training.mixer import Mixer, TaskPlan
from biomtl.training.progress import Progress
from biomtl.training.rebalance import Rates, by_class, sampling_rates
from biomtl.training.recipe import Recipe
from biomtl.training.splits import training_records
from biomtl.training.teaching import Teaching

COUNTED = 2_000_000  # texts whose batches are counted before the first step, which takes a few seconds
MOST_OF_A_TEXT = 64  # records of one task that are trained on with one pass over their text
COUNTED_EPOCHS = 5_000  # and at most so many epochs, however few texts they have


@dataclass(frozen=True)
class StepBatches:
    """One process's batches for one optimiser step, and the position in the epoch after them."""

    batches: list[list[EncodedExample]]
    epoch: int
    done: int
    """Batches of the epoch that are done after this step."""
    of: int

    @property
    def ends_epoch(self) -> bool:
        """Whether this is the epoch's last step."""
        return self.done >= self.of

    @property
    def position(self) -> float:
        """Epochs done after this step, including the fraction of the current one."""
        return round(self.epoch + self.done / self.of, 4)

    @property
    def after(self) -> tuple[int, int]:
        """The epoch of the next step, and how many of its batches are done."""
        return (self.epoch + 1, 0) if self.ends_epoch else (self.epoch, self.done)


@dataclass(frozen=True)
class DataPlan:
    """The contents of an epoch, for the table printed before training."""

    tasks: list[TaskPlan]
    records: Mapping[str, int]
    """Each task's rows of data; rows with the same text are encoded once."""
    unlike: Mapping[str, int]
    """Tasks with texts that have more than one answer, and the number of these texts."""
    texts: int
    rows: int
    """The encoder's."""
    real_tokens: int
    windowed: int
    """Texts too long for one row."""
    windows: int
    """The rows that cover them."""
    truncated: int
    """Positions that did not fit into any row (pairs of two very long texts)."""
    portioned: int = 0
    """Texts with so many pairs of mentions that they are encoded several times."""
    divided: Mapping[str, int] = field(default_factory=dict)
    """Relation tasks' pairs whose mentions are in no common window."""
    rebalanced: Sequence[str] = ()
    """A line on each task with other proportions of classes than its data."""
    weights: Sequence[str] = ()
    """A line for each task that has rows with a weight other than 1."""

    def facts(self) -> dict[str, Any]:
        """What a run records of its plan: sizes, and each task's texts, share and passes per epoch."""
        kept = ("texts", "rows", "real_tokens", "windowed", "windows", "truncated", "portioned")
        tasks = {
            row.task: {"entries": row.entries, "share": round(row.share, 6), "passes": round(row.passes, 4)}
            for row in self.tasks
        }
        return {**{key: getattr(self, key) for key in kept}, "divided": dict(self.divided), "tasks": tasks}


class TrainingData:
    """The run's examples and a pure function from epoch number to batches.

    Args:
        processor: the encoder's text processor.
        suite: the suite; only the recipe's training splits are read.
        recipe: mixing, policy, batch size, seed, row limits, length of the run.
        world: number of processes that share the batches of a step.
        teaching: the teachers' outputs.
    """

    def __init__(
        self,
        processor: TextProcessor,
        suite: Suite,
        recipe: Recipe,
        world: int = 1,
        teaching: Teaching | None = None,
    ) -> None:
        self.recipe, self.tasks = recipe, suite.tasks
        records = {name: training_records(suite, name, recipe) for name in suite.tasks}
        self.weights = [note for name, rows in records.items() if (note := _weights(name, rows))]
        more = teaching.unlabelled if teaching else None
        whole = encode_examples(processor, suite.tasks, records, targets=True, choices=suite.heads, unlabelled=more)
        if teaching is not None:
            teaching.give(whole)
        self.truncated = sum(example.truncated for example in whole)
        self.divided = divided_pairs(whole)
        portioned = [example.portions(MOST_OF_A_TEXT) for example in whole]
        self.records = {name: len(rows) for name, rows in records.items()}
        self.unlike = texts_with_unlike_answers(whole)
        self.examples: list[EncodedExample] = [example for portions in portioned for example in portions]
        passes = Counter(example.identity for example in self.examples)
        self.portioned = sum(times > 1 for times in passes.values())
        if recipe.mixing == "batch":
            self.examples = [piece for example in self.examples for piece in example.split()]
        self.rates = self._sampling_rates(suite, records)
        rates: list[float] | None = None
        if self.rates:
            parts = [part for example in self.examples for part in by_class(example, self.rates)]
            self.examples, rates = [example for example, _ in parts], [rate for _, rate in parts]
        self.mixer = Mixer(
            [example.labelled_tasks for example in self.examples],
            policy=recipe.policy,
            seed=recipe.seed,
            epochs=recipe.num_train_epochs or 1,
            temperature=recipe.temperature,
            weights={n: o.mixing_weight for n, o in recipe.tasks.items() if o.mixing_weight is not None} or None,
            rates=rates,
        )
        self.lengths = np.array([example.longest for example in self.examples])
        self.row_counts = np.array([len(example.rows) for example in self.examples])
        if recipe.max_steps is not None:
            # Annealing needs the number of epochs, which doesn't affect the draws of the first one.
            self.mixer.epochs = -(-recipe.max_steps // self._steps_of(0, world))
        self.refuse_too_few(world)

    def steps(self, progress: Progress, rank: int, world: int) -> Iterator[StepBatches]:
        """The batches of every step after ``progress``, endlessly; no step holds batches of two epochs."""
        done = progress.batch
        for epoch in count(progress.epoch):
            batches = self.epoch(epoch, rank, world)
            for start in range(done, len(batches), self.recipe.gradient_accumulation_steps):
                chosen = batches[start : start + self.recipe.gradient_accumulation_steps]
                yield StepBatches(chosen, epoch, start + len(chosen), len(batches))
            done = 0

    def refuse_too_few(self, world: int) -> None:
        """Refuse more processes than the texts suffice for, before anything is written.

        Raises:
            InputError: not every process would have a batch at each step.
        """
        if world > 1:
            shard(self._batches(0), 0, world)

    def run_length(self, world: int) -> int:
        """Optimiser steps of the run.

        The number of batches in an epoch follows from its draws. For a very long run (``COUNTED``) it is estimated from
        the first epochs, so the last epoch may end a few batches early or late.
        """
        if self.recipe.max_steps is not None:
            return self.recipe.max_steps
        epochs = self.recipe.num_train_epochs or 0
        counted = min(epochs, COUNTED_EPOCHS, max(1, COUNTED // len(self.examples)))
        steps = sum(self._steps_of(epoch, world) for epoch in range(counted))
        return steps if counted == epochs else round(steps * (epochs / counted))

    def _steps_of(self, epoch: int, world: int) -> int:
        each = -(-len(self._batches(epoch)) // world)
        return -(-each // self.recipe.gradient_accumulation_steps)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1) -> list[list[EncodedExample]]:
        """The batches of an epoch for one process of ``world``; every call gives the same."""
        return [[self.examples[i] for i in batch] for batch in shard(self._batches(epoch), rank, world)]

    def _batches(self, epoch: int) -> list[Index]:
        return plan_batches(
            self.mixer.epoch(epoch),
            self.lengths,
            batch_tokens=self.recipe.batch_tokens,
            batch_size=self.recipe.batch_size,
            rows=self.row_counts,
            groups=self.mixer.group_of if self.recipe.mixing == "batch" else None,
            seed=[self.recipe.seed, epoch],
        )

    def _sampling_rates(self, suite: Suite, records: Mapping[str, Sequence[Record]]) -> dict[str, Rates]:
        rules = {name: options.rebalance for name, options in self.recipe.tasks.items() if name in records}
        found = {name: sampling_rates(suite.tasks[name], records[name], rule) for name, rule in rules.items()}
        return {name: rates for name, rates in found.items() if rates is not None}

    def _rebalanced(self) -> list[str]:
        """A line on each task that is rebalanced."""
        notes = []
        for name, options in self.recipe.tasks.items():
            if name in self.rates:
                notes.append(self.rates[name].note(name, str(options.rebalance)))
            elif options.rebalance == "class_weights" and name in self.tasks:
                notes.append(weights_note(self.tasks[name], self.examples))
        return notes

    def shares(self) -> dict[str, float]:
        """Each task's share of the run's texts, those included that only its teachers label."""
        counts: Counter[str] = Counter()
        for number, drawn in enumerate(self.mixer.drawn_per_epoch()):
            pool = self.mixer.pools[number]
            for entry in pool.tolist():
                for task in self.examples[entry].tasks:
                    counts[task] += drawn / len(pool)
        return {task: count / sum(counts.values()) for task, count in sorted(counts.items())}

    def plan(self) -> DataPlan:
        """Rows, draws and sizes of an epoch."""
        tokens = sum(len(row) for example in self.examples for row in example.rows)
        windows = [example.windows for example in self.examples if example.windows]
        rows = int(self.row_counts.sum())
        return DataPlan(
            self.mixer.plan(),
            self.records,
            self.unlike,
            len(self.examples),
            rows,
            tokens,
            len(windows),
            sum(windows),
            self.truncated,
            self.portioned,
            self.divided,
            self._rebalanced(),
            self.weights,
        )


def _weights(task: str, records: Sequence[Record]) -> str | None:
    """A line on a task's weights of rows, if any isn't 1.

    Raises:
        InputError: all are 0.
    """
    weights = [record.get(WEIGHT, 1.0) for record in records]
    if not any(weights):
        raise InputError(f"task {task}: all its training rows have weight 0", fix="leave the task out")
    return row_weights_note(task, weights)


def texts_with_unlike_answers(examples: Sequence[EncodedExample]) -> dict[str, int]:
    """The number of texts whose rows disagree, by task."""
    disagreeing: Counter[str] = Counter()
    for example in examples:
        answers: dict[tuple[str, bytes], set[bytes]] = {}  # by task and what of the text is asked about
        for row in example.task_examples:
            assert row.target is not None
            if row.labelled:
                place = b"" if row.word_positions is None else row.word_positions.tobytes()
                answers.setdefault((row.task, place), set()).add(row.target.tobytes())
        disagreeing.update({task for (task, _), values in answers.items() if len(values) > 1})
    return dict(sorted(disagreeing.items()))
