"""Texts and all that is asked about them.

The unit of training and prediction is the text: records of several tasks that give the encoder the same input share
one ``Item``, which is encoded once.
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
from biomtl.text.alignment import word_sites
from biomtl.text.base import EncodedRow, TextInput, TextProcessor

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Example:
    """What one record asks about a text.

    Attributes:
        task: the task's name.
        index: the record's position among the task's records.
        sites: ``[words, 2]`` row and position of each word, ``None`` where the whole text has one output.
        target: ``[outputs, …]`` gold values, ``None`` when predicting.
    """

    task: str
    index: int
    sites: NDArray[np.int32] | None
    target: NDArray[Any] | None


@dataclass(slots=True)
class Item:
    """One text's encoder rows and its examples."""

    rows: list[EncodedRow]
    examples: list[Example] = field(default_factory=list)
    truncated: int = 0

    @property
    def longest(self) -> int:
        """Positions of its longest row."""
        return max(len(row) for row in self.rows)

    @property
    def windows(self) -> int:
        """Rows that share a text with others since it is too long for one; 0 where every text fits."""
        parts = Counter(row.part for row in self.rows)
        return sum(count for count in parts.values() if count > 1)

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that ask about the text."""
        return frozenset(example.task for example in self.examples)

    def split(self) -> Iterator[Item]:
        """One item a task, for batches that hold a single task."""
        for task in sorted(self.tasks):
            yield Item(self.rows, [example for example in self.examples if example.task == task], self.truncated)


def build_items(
    processor: TextProcessor,
    tasks: Mapping[str, Task],
    records: Mapping[str, Sequence[Record]],
    *,
    targets: bool,
) -> list[Item]:
    """Encode the records of all tasks, each distinct text once.

    Args:
        processor: the encoder's text processor.
        tasks: the tasks by name.
        records: each task's records.
        targets: whether the records carry gold values to learn from.

    Returns:
        Items in order of first appearance. Every record stands in exactly one of them.
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
    items = []
    for key, result in zip(asked, encoded, strict=True):
        item = Item(result.rows, truncated=result.truncated)
        for name, index in asked[key]:
            task, record = tasks[name], records[name][index]
            kind = type_of(task)
            words = kind.words(record, task)
            sites = None if words is None else word_sites(result.rows, words)
            item.examples.append(Example(name, index, sites, kind.target(record, task) if targets else None))
        items.append(item)
    return items


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
    examples: dict[str, list[Example]]
    real_tokens: int
    padded_tokens: int

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        tasks = {name: rows.to(device) for name, rows in self.tasks.items()}
        return Batch(inputs, tasks, self.examples, self.real_tokens, self.padded_tokens)


def collate(items: Sequence[Item], processor: TextProcessor) -> Batch:
    """Put items into one batch: their rows for the encoder, and for every task its share of them."""
    rows = [row for item in items for row in item.rows]
    starts = np.cumsum([0, *[len(item.rows) for item in items]])
    asked: dict[str, list[tuple[int, Item, Example]]] = {}
    for start, item in zip(starts, items, strict=False):
        for example in item.examples:
            asked.setdefault(example.task, []).append((int(start), item, example))
    inputs = processor.collate(rows)
    tasks = {name: _task_rows(asked[name]) for name in sorted(asked)}
    examples = {name: [example for _, _, example in asked[name]] for name in sorted(asked)}
    real = sum(len(row) for row in rows)
    return Batch(inputs, tasks, examples, real, len(rows) * max(len(row) for row in rows))


def _task_rows(asked: list[tuple[int, Item, Example]]) -> TaskRows:
    import torch

    rows: list[int] = []
    owners: list[int] = []
    parts: list[int] = []
    sizes: list[int] = []
    sites: list[NDArray[np.int32]] = []
    targets: list[NDArray[Any]] = []
    for owner, (start, item, example) in enumerate(asked):
        if example.sites is not None:
            # Sites point into the task's own list of rows, since its head sees only those.
            sites.append(np.where(example.sites >= 0, example.sites + np.array([len(rows), 0], dtype=np.int32), -1))
        sizes.append(1 if example.sites is None else len(example.sites))
        if example.target is not None:
            target = example.target
            if example.sites is not None:
                target = np.where(example.sites[:, 0] >= 0, target, -100)
            targets.append(target)
        rows.extend(range(start, start + len(item.rows)))
        owners.extend([owner] * len(item.rows))
        parts.extend(row.part for row in item.rows)
    return TaskRows(
        torch.tensor(rows),
        torch.tensor(owners),
        torch.tensor(parts),
        torch.tensor(sizes),
        torch.from_numpy(np.concatenate(sites).astype(np.int64)) if sites else None,
        torch.from_numpy(np.concatenate(targets)) if targets else None,
    )
