"""What a task type says of its records, for floors that don't know the types themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from biomtl.tasks.task import Task

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


class RecordKind(Protocol):
    """The part of a task type that records need; every ``TaskType`` has it."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    gold_key: ClassVar[str]
    gold_cells: ClassVar[Mapping[str, Cell]]
    """The gold fields of a record."""
    metric: ClassVar[str]
    """The main metric of a task that names none."""
    positive_metric: ClassVar[str | None]
    """The same where the task has a negative class."""

    def check(self, record: dict[str, Any], task: Task) -> str | None:
        """What is wrong with a record, in a few words, or ``None``."""
        ...

    def labels_from(self, names: Sequence[str]) -> tuple[str, ...]:
        """A task's labels, made of the names that a user gave or that its records bear."""
        ...
