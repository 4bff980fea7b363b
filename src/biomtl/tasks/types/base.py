"""What a task type owns: the shape of its records, their gold values as numbers, and how outputs become predictions.

A new type is one subclass, registered under the entry point ``biomtl.task_types``; readers, scoring, batches and the
predictor never ask which type they have before them. Nothing here needs torch: a type's heads, which have the losses,
are registered under ``biomtl.heads`` (see ``biomtl.heads.build``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError, nearest
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.checks import check_inputs
from biomtl.text.alignment import word_positions
from biomtl.text.base import EncodedRow, Span, TextInput

Record = dict[str, Any]
Cell = Literal["text", "number", "integer", "texts", "words", "spans"]
"""How a field's value is written in a table's cell: ``texts`` divided by a separator, ``words`` by blanks; ``spans``
(pairs of numbers) only where a format has lists."""
INPUT_CELLS: Mapping[str, Cell] = {
    "text": "text",
    "text_a": "text",
    "text_b": "text",
    "tokens": "words",
    "offsets": "spans",
    "candidates": "texts",
}
Answer = Literal["label", "score", "labels", "tags", "other"]
"""The field of a record that is the answer, where formats, scoring and documents have a place for such answers."""
GROUP = "biomtl.task_types"


class TaskType(ABC):
    """One kind of task. Instances hold no state: everything about a task stands in its ``Task`` record."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    """The inputs that tasks of this type may have."""
    answer: ClassVar[Answer] = "other"
    gold_key: ClassVar[str]
    """Where a record keeps its gold value."""
    gold_cells: ClassVar[Mapping[str, Cell]]
    """The gold fields of a record, and how a table's cell holds each."""
    metric: ClassVar[str]
    """The main metric of a task that names none."""
    positive_metric: ClassVar[str | None] = None
    """The same where the task has a negative class."""

    @property
    def family(self) -> tuple[str, ...]:
        """The type's name, then those of the types that it derives from, nearest first."""
        return tuple(dict.fromkeys(vars(parent)["name"] for parent in type(self).__mro__ if "name" in vars(parent)))

    def check(self, record: Mapping[str, Any], task: Task) -> str | None:
        """What is wrong with a record, in a few words, or ``None``."""
        return check_inputs(record, task, tuple(self.gold_cells)) or self.check_gold(record, task)

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """What is wrong with the gold fields of a record that has them and is sound otherwise, or ``None``."""
        return None

    def text(self, record: Record, task: Task) -> TextInput:
        """What the encoder reads of a record; whether several texts stand together is the head's choice."""
        if task.inputs == "pair":
            return TextInput((record["text_a"], record["text_b"]))
        return TextInput((record["text"],))

    def words(self, record: Record, task: Task) -> Sequence[Span] | None:
        """Spans in ``texts[0]`` that each get an output of their own; ``None`` where the whole text gets one."""
        return None

    def positions(self, record: Record, task: Task, rows: Sequence[EncodedRow]) -> NDArray[np.int32] | None:
        """``[outputs, k, 2]``: row and position of the ``k`` places that each output reads, -1 where there is none.

        By default one place for each of the ``words``, its first piece. A type whose outputs are pairs of mentions
        gives four, the first and the last piece of both; ``None`` where the whole text has one output.
        """
        words = self.words(record, task)
        return None if words is None else word_positions(rows, words)[:, None]

    def labels_from(self, names: Sequence[str]) -> tuple[str, ...]:
        """A task's labels, made of the names that a user gave or that its records bear."""
        return tuple(names)

    @abstractmethod
    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """The gold value as numbers: ``[outputs, …]`` with one output per text, or one per word."""

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """How many outputs of a record count in the mean loss; a word without any piece has the target -100."""
        return len(target)

    def answers(self, task: Task) -> frozenset[str]:
        """The labels that predictions may bear."""
        return frozenset(task.labels)

    @abstractmethod
    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """One example's outputs ``[1, labels]`` (or ``[words, labels]``) as the fields of a prediction.

        Args:
            outputs: what the task's head says.
            task: the task.
            head: the head's options, of which some decide predictions (a threshold).
        """

    def predict(
        self, outputs: NDArray[np.float32], record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD
    ) -> Record:
        """`decode` for types whose predictions point into the record, such as character offsets."""
        return self.decode(outputs, task, head)

    def describe(self, record: Record, prediction: Record, task: Task) -> Record:
        """A prediction as a person wants to read it; for tagging, mentions with character offsets."""
        return prediction


@cache
def type_names() -> tuple[str, ...]:
    """Every registered type's name; nothing is imported."""
    return tuple(dict.fromkeys(entry.name for entry in entry_points(group=GROUP)))


@cache
def task_type(name: str) -> TaskType:
    """The type of a name; a package is only imported where one of its types is used.

    Raises:
        InputError: no type of that name is registered.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()()
    raise InputError(f"unknown type {name!r}", fix=nearest(name, type_names()))


def type_of(task: Task) -> TaskType:
    """The type of a task.

    Raises:
        InputError: no type of that name is registered.
    """
    if task.type not in type_names():
        raise InputError(f"task {task.name}: unknown type {task.type!r}", fix=nearest(task.type, type_names()))
    return task_type(task.type)


def check_record(task: Task, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record of ``task`` (found, expected), or None."""
    return type_of(task).check(record, task)
