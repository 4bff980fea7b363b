"""Texts with the examples of all tasks that use them.

The unit of training and prediction is the text: records of several tasks with the same encoder input share one
``EncodedExample``, which is encoded once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.types.checks import WEIGHT
from biomtl.text.alignment import in_several_rows
from biomtl.text.base import EncodedRow, TextInput, TextProcessor
from biomtl.text.levitated import MOST_MARKERS, place_markers

if TYPE_CHECKING:
    import torch

    from biomtl.heads.rows import TaskRows

MISSING = -100  # the target of an output that reads a word without pieces


@dataclass(slots=True)
class TaskExample:
    """One record's outputs for a text.

    Attributes:
        task: the task's name.
        index: the record's index among the task's records.
        word_positions: ``[outputs, k, 2]`` row and position of the words that each output reads, -1 without piece;
            ``None`` if the whole text has one output.
        features: ``[outputs, n]`` further numbers of each output, or ``None``.
        markers: ``[outputs, k, 2]`` row and position of each output's own markers, or ``None``.
        target: ``[outputs, …]`` gold values, -100 for a word without pieces; ``None`` when predicting.
        loss_denominator: number of outputs that count in the mean loss.
        labelled: whether ``target`` is gold; a teacher's outputs stand in for missing gold.
        taught: ``[outputs, labels]`` the teachers' outputs as distributions, if the task has teachers.
        weight: factor of the record's loss.
        divided: number of outputs about two mentions that no row of the text holds together.
    """

    task: str
    index: int
    word_positions: NDArray[np.int32] | None
    target: NDArray[Any] | None
    loss_denominator: int = 0
    features: NDArray[np.int64] | None = None
    labelled: bool = True
    taught: NDArray[Any] | None = None
    markers: NDArray[np.int32] | None = None
    weight: float = 1.0
    divided: int = 0


@dataclass(slots=True)
class EncodedExample:
    """One text's encoder rows, and the outputs of the records that contain it."""

    rows: list[EncodedRow]
    task_examples: list[TaskExample] = field(default_factory=list)
    truncated: int = 0
    identity: Hashable = None
    """What the text processor says that all inputs with these rows have in common."""

    @property
    def longest(self) -> int:
        """Positions of its longest row."""
        return max(len(row) for row in self.rows)

    @property
    def windows(self) -> int:
        """Number of rows of texts that are too long for one row; 0 if every text fits."""
        counts = Counter(row.segment_id for row in self.rows).values()
        return sum(count for count in counts if count > 1)

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that use the text."""
        return frozenset(example.task for example in self.task_examples)

    @property
    def labelled_tasks(self) -> frozenset[str]:
        """The tasks that have gold values for the text; if none has, those that teachers have labelled."""
        return frozenset(example.task for example in self.task_examples if example.labelled) or self.tasks

    def portions(self, most: int) -> list[EncodedExample]:
        """The example, or copies of it that share its task examples so that each has at most ``most`` of a task."""
        place: Counter[str] = Counter()
        portions: list[list[TaskExample]] = []
        for example in self.task_examples:
            number = place[example.task] // most
            place[example.task] += 1
            if number == len(portions):
                portions.append([])
            portions[number].append(example)
        if len(portions) < 2:
            return [self]
        return [replace(self, task_examples=own) for own in portions]

    def split(self) -> Iterator[EncodedExample]:
        """One example per task, for batches that hold a single task."""
        for task in sorted(self.tasks):
            own = [example for example in self.task_examples if example.task == task]
            yield replace(self, task_examples=own)


def encode_examples(
    processor: TextProcessor,
    tasks: Mapping[str, Task],
    records: Mapping[str, Sequence[Record]],
    *,
    targets: bool,
    choices: Mapping[str, HeadChoice] | None = None,
    unlabelled: Mapping[str, Sequence[Record]] | None = None,
) -> list[EncodedExample]:
    """Encode the records of all tasks, each distinct text once.

    Args:
        processor: the encoder's text processor.
        tasks: the tasks by name.
        records: each task's records.
        targets: whether the records have gold values for training.
        choices: the choice of head for each task, which decides what is read of a record; default the types' own.
        unlabelled: with ``targets``, further records of each task, without gold values; their indices come after those
            of the task's ``records``, of which it needs one at least.

    Returns:
        Examples in order of first appearance; a text with very many markers has several. Every record is in exactly
        one of them.
    """
    heads = {name: (choices or {}).get(name, DEFAULT_HEAD) for name in records}
    inputs: dict[Hashable, TextInput] = {}
    asked: dict[Hashable, list[tuple[str, int]]] = {}
    more = unlabelled or {}
    numbered = [(name, index, record) for name, rows in records.items() for index, record in enumerate(rows)]
    numbered += [(name, i, record) for name, rows in more.items() for i, record in enumerate(rows, len(records[name]))]
    for name, index, record in numbered:
        text = type_of(tasks[name]).text(record, tasks[name], heads[name])
        if heads[name].pairs == "apart" and len(text.texts) > 1:
            text = replace(text, apart=True)
        key = processor.identity(text)
        inputs.setdefault(key, text)
        asked.setdefault(key, []).append((name, index))
    encoded = processor.encode(list(inputs.values()))
    markers = {name: own for name, head in heads.items() if (own := type_of(tasks[name]).markers(head))}
    examples: list[EncodedExample] = []
    for key, result in zip(asked, encoded, strict=True):
        example = EncodedExample(result.rows, truncated=result.truncated, identity=key)
        for name, index in asked[key]:
            task, head = tasks[name], heads[name]
            if index < len(records[name]):
                example.task_examples.append(ask(task, head, index, records[name][index], result.rows, targets))
            else:
                record = more[name][index - len(records[name])]
                like = type_of(task).target(records[name][0], task)
                example.task_examples.append(_ask_unlabelled(task, head, index, record, result.rows, like))
        examples += _with_markers(example, markers) if markers else [example]
    return examples


def _with_markers(example: EncodedExample, markers: Mapping[str, tuple[int, ...]]) -> list[EncodedExample]:
    """The example with its outputs' markers beside the text, and copies of it for those that are too many for one pass.

    Args:
        example: the example.
        markers: for tasks that have markers, which of an output's positions do.
    """
    marked = [asked for asked in example.task_examples if asked.task in markers]
    if not marked:
        return [example]
    others = [asked for asked in example.task_examples if asked.task not in markers]
    size = MOST_MARKERS // max(map(len, markers.values()))
    portions = []
    for start in range(0, len(marked), size):
        own = marked[start : start + size]
        anchors = [asked.word_positions[:, markers[asked.task]] for asked in own if asked.word_positions is not None]
        rows, places = place_markers(example.rows, np.concatenate(anchors))
        for asked, place in zip(own, np.split(places, len(own)), strict=True):
            asked.markers = place
        portions.append(replace(example, rows=rows, task_examples=own if start else [*others, *own]))
    return portions


def ask(
    task: Task, head: HeadChoice, index: int, record: Record, rows: Sequence[EncodedRow], targets: bool = False
) -> TaskExample:
    """A record's outputs for the rows of its text.

    Args:
        task: the task.
        head: its head, which decides what is read.
        index: the record's index, for those who read the outputs.
        record: the record.
        rows: the rows of the record's text, as the task's type asks for it.
        targets: whether the record has a gold value for training.
    """
    task_type = type_of(task)
    positions = task_type.positions(record, task, rows, head)
    features = task_type.features(record, task, head)
    divided = _divided(task, head, record, rows, positions)
    if not targets:
        return TaskExample(task.name, index, positions, None, features=features, divided=divided)
    target = task_type.target(record, task)
    if positions is not None:
        target[(positions[..., 0] < 0).any(1)] = MISSING
    count, weight = task_type.loss_denominator(target), float(record.get(WEIGHT, 1.0))
    return TaskExample(task.name, index, positions, target, count, features, weight=weight, divided=divided)


def _ask_unlabelled(
    task: Task, head: HeadChoice, index: int, record: Record, rows: Sequence[EncodedRow], like: NDArray[Any]
) -> TaskExample:
    """The same for a record without gold values: its target is 0, of the shape of ``like``, another record's."""
    task_type = type_of(task)
    positions = task_type.positions(record, task, rows, head)
    target = np.zeros((1 if positions is None else len(positions), *like.shape[1:]), like.dtype)
    if positions is not None:
        target[(positions[..., 0] < 0).any(1)] = MISSING
    count, features = task_type.loss_denominator(target), task_type.features(record, task, head)
    divided = _divided(task, head, record, rows, positions)
    return TaskExample(task.name, index, positions, target, count, features, False, divided=divided)


def divided_pairs(examples: Iterable[EncodedExample]) -> dict[str, int]:
    """The number of pairs whose mentions are in no common window of a long text, by task, if there are any."""
    counts: Counter[str] = Counter()
    for asked in (asked for example in examples for asked in example.task_examples):
        counts[asked.task] += asked.divided
    return {task: count for task, count in sorted(counts.items()) if count}


def _divided(
    task: Task, head: HeadChoice, record: Record, rows: Sequence[EncodedRow], positions: NDArray[np.int32] | None
) -> int:
    """How many of a record's outputs are about places that no row of its text holds together."""
    if len(rows) < 2:
        return 0
    places = type_of(task).places(record, task, rows, head) if positions is None else positions
    return 0 if places is None else in_several_rows(places)


@dataclass(slots=True)
class Batch:
    """Rows for one encoder pass, and the part that each task reads.

    Attributes:
        inputs: the encoder's named inputs, ``[rows, positions, …]``.
        tasks: the rows that each task reads, in order of task names.
        examples: the examples of each task, in the order of its outputs.
        real_tokens: positions that are not padding.
        padded_tokens: all positions, including padding.
        texts: the number of texts that each task reads.
        rows_at_once: in prediction, the most rows to encode at a time; ``None`` for all.
    """

    inputs: Mapping[str, torch.Tensor]
    tasks: dict[str, TaskRows]
    examples: dict[str, list[TaskExample]]
    real_tokens: int
    padded_tokens: int
    texts: Mapping[str, int]
    rows_at_once: int | None = None

    @property
    def in_chunks(self) -> bool:
        """Whether its rows are encoded in several passes."""
        return self.rows_at_once is not None and self.rows_at_once < len(self.inputs["attention_mask"])

    def loss_denominator(self, task: str) -> int:
        """Number of outputs in the task's mean loss for the batch; 0 if the batch has no target of the task."""
        return self.tasks[task].loss_denominator if task in self.tasks else 0

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        tasks = {name: rows.to(device) for name, rows in self.tasks.items()}
        return Batch(inputs, tasks, self.examples, self.real_tokens, self.padded_tokens, self.texts, self.rows_at_once)


def collate(examples: Sequence[EncodedExample], processor: TextProcessor) -> Batch:
    """Put examples into one batch: their rows for the encoder, and each task's part of them."""
    rows = [row for example in examples for row in example.rows]
    inputs = processor.collate(rows)
    tasks, by_task = task_parts(examples, inputs["attention_mask"])
    real = sum(len(row) for row in rows)
    texts = Counter(name for example in examples for name in example.tasks)
    return Batch(inputs, tasks, by_task, real, len(rows) * max(len(row) for row in rows), texts)


def task_parts(
    examples: Sequence[EncodedExample], mask: torch.Tensor
) -> tuple[dict[str, TaskRows], dict[str, list[TaskExample]]]:
    """What each task reads of the rows of these examples, one after another, and its examples in that order.

    Args:
        examples: examples, with any of their tasks' outputs, or none.
        mask: ``[rows, positions]``, on the CPU.
    """
    starts = np.cumsum([0, *[len(example.rows) for example in examples]])
    asked: dict[str, list[tuple[int, EncodedExample, TaskExample]]] = {}
    for start, example in zip(starts, examples, strict=False):
        for task_example in example.task_examples:
            asked.setdefault(task_example.task, []).append((int(start), example, task_example))
    tasks = {name: _task_rows(asked[name], mask) for name in sorted(asked)}
    return tasks, {name: [example for _, _, example in asked[name]] for name in tasks}


def _task_rows(asked: Sequence[tuple[int, EncodedExample, TaskExample]], mask: torch.Tensor) -> TaskRows:
    import torch

    from biomtl.encoders.layout import RowLayout
    from biomtl.heads.rows import TaskRows

    rows: list[int] = []
    example_ids: list[int] = []
    segment_ids: list[int] = []
    positions: list[NDArray[np.int32]] = []
    places: dict[int, int] = {}  # start of a text's rows in the batch -> in the task's own list, if they are shared
    for number, (start, encoded, example) in enumerate(asked):
        if (own := example.word_positions) is not None:
            if example.markers is not None:
                own = np.concatenate([own, example.markers], axis=1)
            # Positions point into the task's own list of rows, where records of the same text share its rows.
            place = places.setdefault(start, len(rows))
            positions.append(np.where(own >= 0, own + np.array([place, 0], dtype=np.int32), -1))
            if place < len(rows):
                continue
        rows.extend(range(start, start + len(encoded.rows)))
        example_ids.extend([number] * len(encoded.rows))
        segment_ids.extend(row.segment_id for row in encoded.rows)
    examples = [example for _, _, example in asked]
    targets = [example.target for example in examples if example.target is not None]
    taught = [example.taught for example in examples if example.taught is not None]
    counts = tuple(1 if example.word_positions is None else len(example.word_positions) for example in examples)
    features = [example.features for example in examples if example.features is not None]
    word_positions = np.concatenate(positions).astype(np.int64) if positions else None
    slots, outputs_per_row = None, 1
    if word_positions is not None and word_positions.shape[1] > 1:  # such outputs may attend to their rows
        slots, outputs_per_row = _slots(word_positions)
    return TaskRows(
        torch.tensor(rows),
        torch.tensor(example_ids),
        torch.tensor(segment_ids),
        counts,
        segments=max(segment_ids) + 1,
        every_row=rows == list(range(len(mask))),
        word_positions=None if word_positions is None else torch.from_numpy(word_positions),
        features=torch.from_numpy(np.concatenate(features)) if features else None,
        slots=None if slots is None else torch.from_numpy(slots),
        outputs_per_row=outputs_per_row,
        targets=torch.from_numpy(np.concatenate(targets)) if targets else None,
        taught=torch.from_numpy(_stacked(taught)) if taught else None,
        labelled=torch.from_numpy(np.repeat([example.labelled for example in examples], counts)) if taught else None,
        weights=_weights(examples, counts) if targets else None,
        loss_denominator=sum(example.loss_denominator for example in examples),
        layout=RowLayout.of(mask[rows]),
    )


def _weights(examples: Sequence[TaskExample], counts: Sequence[int]) -> torch.Tensor | None:
    """``[outputs]``: the weight of each output's record; ``None`` if all are 1."""
    import torch

    weights = np.array([example.weight for example in examples], dtype=np.float32)
    return None if (weights == 1).all() else torch.from_numpy(np.repeat(weights, counts))


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """``[outputs, labels]`` of all examples; where they differ in labels (candidates), zeros fill up."""
    widest = max(part.shape[1] for part in parts)
    padded = [
        part if part.shape[1] == widest else np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in parts
    ]
    return np.concatenate(padded).astype(np.float32)


def _slots(word_positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Each output's index in a table with a line for every row, by the row of its first position; and the lines' width.

    Where outputs attend to their row, this lays them out without any padding of the rows themselves.
    """
    rows = word_positions[:, 0, 0].clip(min=0)
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows)
    rank = np.empty_like(rows)
    rank[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = int(counts.max(initial=1))
    return rows * width + rank, width
