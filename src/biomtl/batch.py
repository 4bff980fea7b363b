"""Texts and all that is asked about them.

The unit of training and prediction is the text: records of several tasks that give the encoder the same input share
one ``EncodedExample``, which is encoded once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, TaskRows, type_of
from biomtl.text.alignment import word_positions
from biomtl.text.base import EncodedRow, TextInput, TextProcessor

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class TaskExample:
    """What one record asks about a text.

    Attributes:
        task: the task's name.
        index: the record's position among the task's records.
        word_positions: ``[words, 2]`` row and position of each word, ``None`` where the whole text has one output.
        target: ``[outputs, …]`` gold values, ``None`` when predicting.
    """

    task: str
    index: int
    word_positions: NDArray[np.int32] | None
    target: NDArray[Any] | None


@dataclass(slots=True)
class EncodedExample:
    """One text's encoder rows, and what the records that hold it ask about it."""

    rows: list[EncodedRow]
    task_examples: list[TaskExample] = field(default_factory=list)
    truncated: int = 0

    @property
    def longest(self) -> int:
        """Positions of its longest row."""
        return max(len(row) for row in self.rows)

    @property
    def windows(self) -> int:
        """Rows that share a text with others since it is too long for one; 0 where every text fits."""
        counts = Counter(row.segment_id for row in self.rows).values()
        return sum(count for count in counts if count > 1)

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that ask about the text."""
        return frozenset(example.task for example in self.task_examples)

    def split(self) -> Iterator[EncodedExample]:
        """One example per task, for batches that hold a single task."""
        for task in sorted(self.tasks):
            own = [example for example in self.task_examples if example.task == task]
            yield EncodedExample(self.rows, own, self.truncated)


def encode_examples(
    processor: TextProcessor,
    tasks: Mapping[str, Task],
    records: Mapping[str, Sequence[Record]],
    *,
    targets: bool,
) -> list[EncodedExample]:
    """Encode the records of all tasks, each distinct text once.

    Args:
        processor: the encoder's text processor.
        tasks: the tasks by name.
        records: each task's records.
        targets: whether the records carry gold values to learn from.

    Returns:
        Examples in order of first appearance. Every record stands in exactly one of them.
    """
    inputs: dict[Hashable, TextInput] = {}
    asked: dict[Hashable, list[tuple[str, int]]] = {}
    for name, rows in records.items():
        kind = type_of(tasks[name])
        for index, record in enumerate(rows):
            text = kind.text(record, tasks[name])
            key = processor.identity(text)
            inputs.setdefault(key, text)
            asked.setdefault(key, []).append((name, index))
    encoded = processor.encode(list(inputs.values()))
    examples = []
    for key, result in zip(asked, encoded, strict=True):
        example = EncodedExample(result.rows, truncated=result.truncated)
        for name, index in asked[key]:
            task, record = tasks[name], records[name][index]
            kind = type_of(task)
            words = kind.words(record, task)
            positions = None if words is None else word_positions(result.rows, words)
            target = kind.target(record, task) if targets else None
            example.task_examples.append(TaskExample(name, index, positions, target))
        examples.append(example)
    return examples


@dataclass(slots=True)
class Batch:
    """Rows for one encoder pass and what each task reads of them.

    Attributes:
        inputs: the encoder's named inputs, ``[rows, positions, …]``.
        tasks: which rows each task reads, in the order of the tasks' names.
        examples: the examples of each task, in the order of its outputs.
        real_tokens: positions that are not padding.
        padded_tokens: all positions, padding included.
    """

    inputs: Mapping[str, torch.Tensor]
    tasks: dict[str, TaskRows]
    examples: dict[str, list[TaskExample]]
    real_tokens: int
    padded_tokens: int

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        tasks = {name: rows.to(device) for name, rows in self.tasks.items()}
        return Batch(inputs, tasks, self.examples, self.real_tokens, self.padded_tokens)


def collate(examples: Sequence[EncodedExample], processor: TextProcessor) -> Batch:
    """Put examples into one batch: their rows for the encoder, and for every task its share of them."""
    rows = [row for example in examples for row in example.rows]
    starts = np.cumsum([0, *[len(example.rows) for example in examples]])
    asked: dict[str, list[tuple[int, EncodedExample, TaskExample]]] = {}
    for start, example in zip(starts, examples, strict=False):
        for task_example in example.task_examples:
            asked.setdefault(task_example.task, []).append((int(start), example, task_example))
    inputs = processor.collate(rows)
    tasks = {name: _task_rows(asked[name]) for name in sorted(asked)}
    by_task = {name: [example for _, _, example in asked[name]] for name in sorted(asked)}
    real = sum(len(row) for row in rows)
    return Batch(inputs, tasks, by_task, real, len(rows) * max(len(row) for row in rows))


def _task_rows(asked: list[tuple[int, EncodedExample, TaskExample]]) -> TaskRows:
    import torch

    rows: list[int] = []
    example_ids: list[int] = []
    segment_ids: list[int] = []
    output_counts: list[int] = []
    positions: list[NDArray[np.int32]] = []
    targets: list[NDArray[Any]] = []
    for number, (start, encoded, example) in enumerate(asked):
        own = example.word_positions
        if own is not None:
            # Positions point into the task's own list of rows, since its head sees only those.
            positions.append(np.where(own >= 0, own + np.array([len(rows), 0], dtype=np.int32), -1))
        output_counts.append(1 if own is None else len(own))
        if example.target is not None:
            targets.append(example.target if own is None else np.where(own[:, 0] >= 0, example.target, -100))
        rows.extend(range(start, start + len(encoded.rows)))
        example_ids.extend([number] * len(encoded.rows))
        segment_ids.extend(row.segment_id for row in encoded.rows)
    return TaskRows(
        torch.tensor(rows),
        torch.tensor(example_ids),
        torch.tensor(segment_ids),
        torch.tensor(output_counts),
        torch.from_numpy(np.concatenate(positions).astype(np.int64)) if positions else None,
        torch.from_numpy(np.concatenate(targets)) if targets else None,
    )
