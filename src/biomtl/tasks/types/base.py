"""What a task type owns: the shape of its records, its head, its loss and how outputs become predictions.

A new type is one subclass, registered under the entry point ``biomtl.task_types``; the loop, the batches and the
predictor never ask which type they have before them. Torch is imported inside the methods that need it, since tasks
are listed, checked and scored without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError, nearest
from biomtl.tasks.families import basic
from biomtl.tasks.kinds import Cell
from biomtl.tasks.task import Task
from biomtl.text.base import Span, TextInput

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from biomtl.encoders.base import Encoded, Encoder

Record = dict[str, Any]


class TaskType(ABC):
    """One kind of task. Instances hold no state: everything about a task stands in its ``Task`` record."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    """The inputs that tasks of this type may have."""
    gold_key: ClassVar[str]
    """Where a record keeps its gold value."""
    target_dtype: ClassVar[str] = "int64"
    gold_cells: ClassVar[Mapping[str, Cell]]
    """The gold fields of a record, and how a table's cell holds each."""
    metric: ClassVar[str]
    """The main metric of a task that names none."""
    positive_metric: ClassVar[str | None] = None
    """The same where the task has a negative class."""

    def check(self, record: Record, task: Task) -> str | None:
        """What is wrong with a record, in a few words, or ``None``."""
        from biomtl.tasks.check import check_record

        return check_record(task, record)

    def text(self, record: Record, task: Task) -> TextInput:
        """What the encoder reads of a record."""
        if task.inputs == "pair":
            return TextInput((record["text_a"], record["text_b"]), apart=task.pairs == "apart")
        return TextInput((record["text"],))

    def words(self, record: Record, task: Task) -> Sequence[Span] | None:
        """Spans in ``texts[0]`` that each get an output of their own; ``None`` where the whole text gets one."""
        return None

    def labels_from(self, names: Sequence[str]) -> tuple[str, ...]:
        """A task's labels, made of the names that a user gave or that its records bear."""
        return tuple(names)

    @abstractmethod
    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """The gold value as numbers: ``[outputs, …]`` with one output a text, or one a word."""

    @abstractmethod
    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """A fresh head for the encoder."""

    def outputs(self, head: nn.Module, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[outputs, labels]``: by default the mean of the logits over a text's windows."""
        from biomtl.heads.pairs import ApartHead, mean_by_example

        if isinstance(head, ApartHead):
            return head(encoded, rows.example_ids, rows.segment_ids, rows.count)
        logits = head(encoded)
        return logits if len(logits) == rows.count else mean_by_example(logits, rows.example_ids, rows.count)

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """The mean loss over the outputs, a scalar."""

    def loss_denominator(self, targets: Tensor) -> int:
        """How many outputs that mean is over."""
        return len(targets)

    def answers(self, task: Task) -> frozenset[str]:
        """The labels that predictions may bear."""
        return frozenset(task.labels)

    @abstractmethod
    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """One example's outputs ``[1, labels]`` (or ``[words, labels]``) as the fields of a prediction."""

    def predict(self, outputs: NDArray[np.float32], record: Record, task: Task) -> Record:
        """`decode` for types whose predictions point into the record, such as character offsets."""
        return self.decode(outputs, task)

    def describe(self, record: Record, prediction: Record, task: Task) -> Record:
        """A prediction as a person wants to read it; for tagging, mentions with character offsets."""
        return prediction


class TaskRows:
    """Which of a batch's encoder rows one task reads, and how its outputs map back to examples.

    Attributes:
        rows: ``[k]`` indices of encoder rows.
        example_ids: ``[k]`` the example (0 … count-1) that each of these rows belongs to.
        segment_ids: ``[k]`` which text of several the row holds, as in ``EncodedRow.part``.
        word_positions: ``[words, 2]`` index into ``rows`` and position of each word (tagging), else ``None``.
        output_counts: ``[count]`` outputs of each example: 1, or its number of words.
        targets: ``[outputs, …]`` gold values, or ``None`` when predicting.
    """

    __slots__ = ("example_ids", "output_counts", "rows", "segment_ids", "targets", "word_positions")

    def __init__(
        self,
        rows: torch.Tensor,
        example_ids: torch.Tensor,
        segment_ids: torch.Tensor,
        output_counts: torch.Tensor,
        word_positions: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
    ) -> None:
        self.rows, self.example_ids, self.segment_ids, self.output_counts = (
            rows,
            example_ids,
            segment_ids,
            output_counts,
        )
        self.word_positions, self.targets = word_positions, targets

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self.output_counts)

    def to(self, device: torch.device) -> TaskRows:
        """The same on another device."""
        return TaskRows(
            self.rows.to(device),
            self.example_ids.to(device),
            self.segment_ids.to(device),
            self.output_counts.to(device),
            None if self.word_positions is None else self.word_positions.to(device),
            None if self.targets is None else self.targets.to(device),
        )


@cache
def task_types() -> dict[str, TaskType]:
    """Every registered type by name."""
    return {entry.name: entry.load()() for entry in entry_points(group="biomtl.task_types")}


def type_of(task: Task) -> TaskType:
    """The type of a task.

    Raises:
        InputError: no type of that name is registered.
    """
    try:
        return task_types()[task.type]
    except KeyError:
        raise InputError(
            f"task {task.name}: unknown type {task.type!r}", fix=nearest(task.type, task_types())
        ) from None


def encoded_apart(task: Task, encoder: Encoder) -> bool:
    """Whether a task's pairs are compared as two rows: by its own wish, or as the encoder can't join them."""
    return task.inputs == "pair" and (task.pairs == "apart" or not encoder.joins_pairs)


def check_head(task: Task, *named: str) -> None:
    """Refuse what a task's type would pass over: a head that it doesn't have, or options of the default one.

    Args:
        task: the task.
        named: the heads of its type beside the default.

    Raises:
        InputError: as said.
    """
    if task.head not in ("default", *named):
        found = f"task {task.name}: no head {task.head!r} for type {task.type}"
        raise InputError(found, expected=", ".join(("default", *named)))
    if task.head == "default" and task.head_options:
        options = ", ".join(task.head_options)
        raise InputError(
            f"task {task.name}: options of the default head ({options})", expected="none: it has no options"
        )


def sequence_head(task: Task, encoder: Encoder, labels: int) -> nn.Module:
    """The head for whole texts that a task asks for: the family's own, or one that compares two texts."""
    check_head(task, *(("san", "stack") if basic(task.type) == "classification" else ("stack",)))
    if task.head == "stack":
        from biomtl.heads.mlp import build_stack

        return build_stack(task, encoder, labels, apart=encoded_apart(task, encoder))
    if encoded_apart(task, encoder):
        if task.head == "san":
            found = f"task {task.name}: a SAN head over texts that are encoded apart"
            raise InputError(found, expected="both in one sequence", fix="use pairs: together and a transformer")
        from biomtl.heads.pairs import ApartHead, ComparisonHead

        return ApartHead(ComparisonHead(encoder.dim, labels), encoder.view())
    if task.head == "san":
        from biomtl.heads.san import SanHead

        try:
            return SanHead(encoder.dim, labels, **task.head_options)
        except TypeError as error:
            raise InputError(f"task {task.name}: head_options: {error}", fix="see biomtl.heads.san.SanHead") from error
    return encoder.sequence_head(labels)
