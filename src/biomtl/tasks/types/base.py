"""The interface of task types: the shape of records, gold values as numbers, and how outputs become predictions.

A new type is one subclass, registered under the entry point ``biomtl.task_types``; readers, scoring, batches and the
predictor don't distinguish types. Nothing here needs torch: a type's heads, which have the losses, are registered under
``biomtl.heads`` (see ``biomtl.heads.build``).
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
Cell = Literal["text", "number", "integer", "place", "texts", "concepts", "words", "spans", "entities"]
"""How a field's value is written in a table's cell: ``texts`` separated by a separator, as are ``concepts``, of which
one may have the separator in it, ``words`` by spaces; ``spans`` (pairs of numbers) and ``entities`` only in formats
that have lists; a ``place`` is an integer or empty."""
INPUT_CELLS: Mapping[str, Cell] = {
    "text": "text",
    "text_a": "text",
    "text_b": "text",
    "tokens": "words",
    "offsets": "spans",
    "candidates": "texts",
}
Answer = Literal["label", "score", "labels", "tags", "other"]
"""The gold field of a record, for values that formats, scoring and documents can represent."""
GROUP = "biomtl.task_types"


class TaskType(ABC):
    """One kind of task. Instances hold no state: everything about a task is in its ``Task`` record."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    """The inputs that tasks of this type may have."""
    answer: ClassVar[Answer] = "other"
    gold_key: ClassVar[str]
    """The key of a record's gold value."""
    gold_cells: ClassVar[Mapping[str, Cell]]
    """The gold fields of a record, and how each is written in a table's cell."""
    optional_cells: ClassVar[Mapping[str, Cell]] = {}
    """Further fields that a table of records may have."""
    further_cells: ClassVar[Mapping[str, Cell]] = {}
    """Further fields that any record may have."""
    negative: ClassVar[str | None] = None
    """The negative class of a user's own task that has it among its labels and names none."""
    metric: ClassVar[str]
    """The default main metric."""
    positive_metric: ClassVar[str | None] = None
    """The same for a task with a negative class."""
    views: ClassVar[tuple[str, ...]] = ()
    """The views that a head of this type may read."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """Further metrics of a user's own task."""

    @property
    def family(self) -> tuple[str, ...]:
        """The type's name, then the names of its parents, nearest first."""
        return tuple(dict.fromkeys(vars(parent)["name"] for parent in type(self).__mro__ if "name" in vars(parent)))

    def check(self, record: Mapping[str, Any], task: Task) -> str | None:
        """The problem with a record, in a few words, or ``None``."""
        return check_inputs(record, task, tuple(self.gold_cells)) or self.check_gold(record, task)

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """The problem with the gold fields of an otherwise valid record, or ``None``."""
        return None

    def settled(self, head: HeadChoice) -> HeadChoice:
        """The choice of a head with the type's own defaults written out, so that a saved model doesn't follow them."""
        return head

    def text(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> TextInput:
        """The encoder's input for a record; the head decides whether several texts are joined."""
        if task.inputs == "pair":
            first, second = record["text_a"], record["text_b"]
            return TextInput((second, first) if task.order == "ba" else (first, second))
        return TextInput((record["text"],))

    def required(self, task: Task, head: HeadChoice = DEFAULT_HEAD) -> tuple[str, ...]:
        """The keys that a record needs besides its inputs for this head to read it."""
        return ()

    def words(self, record: Record, task: Task) -> Sequence[Span] | None:
        """Spans in ``texts[0]`` that each get an output; ``None`` if the whole text gets one."""
        return None

    def positions(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32] | None:
        """``[outputs, k, 2]``: row and position of the ``k`` positions that each output reads, -1 if missing.

        By default one position for each of the ``words``, its first piece. A type whose outputs are pairs of mentions
        gives four, the first and last piece of both; ``None`` if the whole text has one output.
        """
        words = self.words(record, task)
        return None if words is None else word_positions(rows, words)[:, None]

    def places(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32] | None:
        """``[outputs, k, 2]``: row and position of what outputs are about that read the whole text, if a part of it."""
        return None

    def features(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> NDArray[np.int64] | None:
        """``[outputs, n]``: numbers that the head reads of each output besides its positions; ``None`` for none."""
        return None

    def markers(self, head: HeadChoice = DEFAULT_HEAD) -> tuple[int, ...]:
        """Which of an output's positions have a marker of its own beside the text (see `text.levitated`)."""
        return ()

    def labels_from(self, names: Sequence[str]) -> tuple[str, ...]:
        """A task's labels, from the names given by the user or found in its records."""
        return tuple(names)

    @abstractmethod
    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """The gold value as numbers: ``[outputs, …]`` with one output per text, or one per word."""

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """The number of a record's outputs in the mean loss; a word without pieces has the target -100."""
        return len(target)

    def answers(self, task: Task) -> frozenset[str]:
        """The labels that predictions may have."""
        return frozenset(task.labels)

    @abstractmethod
    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """One example's outputs ``[1, labels]`` (or ``[words, labels]``) as the fields of a prediction.

        Args:
            outputs: the outputs of the task's head.
            task: the task.
            head: the head's options, some of which affect predictions (a threshold).
        """

    def predict(
        self, outputs: NDArray[np.float32], record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD
    ) -> Record:
        """`decode` for types whose predictions point into the record, such as character offsets."""
        return self.decode(outputs, task, head)

    def describe(self, record: Record, prediction: Record, task: Task) -> Record:
        """A prediction in readable form; for tagging, mentions with character offsets."""
        return prediction


@cache
def type_names() -> tuple[str, ...]:
    """The names of all registered types, without importing them."""
    return tuple(dict.fromkeys(entry.name for entry in entry_points(group=GROUP)))


@cache
def task_type(name: str) -> TaskType:
    """The type with a name; a package is imported only when one of its types is used.

    Raises:
        InputError: no type with that name is registered.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()()
    raise InputError(f"unknown type {name!r}", fix=nearest(name, type_names()))


def type_of(task: Task) -> TaskType:
    """The type of a task.

    Raises:
        InputError: no type with that name is registered.
    """
    if task.type not in type_names():
        raise InputError(f"task {task.name}: unknown type {task.type!r}", fix=nearest(task.type, type_names()))
    return task_type(task.type)


def check_record(task: Task, record: Mapping[str, Any]) -> str | None:
    """The problem with a record of ``task`` (found, expected), or None."""
    return type_of(task).check(record, task)
