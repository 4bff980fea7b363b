"""From a table's rows to records: the column of each field, and the meaning of its cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from biomtl.corpora.reader import Record
from biomtl.corpora.records import Located
from biomtl.custom.arguments import MAY_BE_EMPTY, missing_column, with_entities
from biomtl.custom.config import SEPARATOR, TaskDefinition
from biomtl.custom.tables import Row
from biomtl.errors import InputError, OnError, nearest
from biomtl.tasks.types.base import INPUT_CELLS, Cell, TaskType
from biomtl.tasks.types.checks import INPUT_KEYS, WEIGHT
from biomtl.text.concepts import split_identifiers
from biomtl.text.tags import to_iob2

NAMES: Mapping[str, Cell] = {"id": "text", "doc_id": "text", WEIGHT: "number"}
_UNPRINTABLE = re.compile(r"[\x00\ud800-\udfff]")


class Columns:
    """The fields of a task's records and their columns in a table.

    Args:
        task_type: the task's type.
        definition: the user's definition.

    Raises:
        InputError: ``columns`` names a field that the type doesn't have.
    """

    def __init__(self, task_type: TaskType, definition: TaskDefinition, *, weighted: bool = False) -> None:
        self.task_type, self.definition, self.weighted = task_type, definition, weighted
        self.named = definition.columns or {}
        inputs = {key: INPUT_CELLS[key] for name in task_type.inputs for key in INPUT_KEYS[name]}
        further = {**task_type.optional_cells, **task_type.further_cells}
        self.cells: dict[str, Cell] = {**NAMES, **inputs, **task_type.gold_cells, **further}
        for field in self.named:
            if field not in self.cells:
                problem = f"columns: no field {field!r} in type {task_type.name}"
                raise InputError(problem, fix=nearest(field, self.cells))

    @property
    def header(self) -> bool:
        """Whether a table's first row names its columns."""
        numbers = bool(self.named) and all(isinstance(column, int) for column in self.named.values())
        return not numbers if self.definition.header is None else self.definition.header

    def inputs(self, available: Sequence[str]) -> str:
        """The type's input that fits these columns: the one named by the user, or one whose columns all exist."""

        def fit(inputs: str) -> tuple[bool, bool]:
            fields = set(INPUT_KEYS[inputs]) - {"offsets"}
            return not fields.isdisjoint(self.named), fields <= {*self.named, *available}

        return max(self.task_type.inputs, key=fit)

    def locate(self, available: Sequence[str], inputs: str, path: Path) -> dict[str, str]:
        """Our field -> the file's column.

        Raises:
            InputError: a missing column.
        """
        places = {field: field for field in self.cells if field in available}
        if not self.weighted:  # a column that happens to be called so may hold a patient's weight
            places.pop(WEIGHT, None)
        for field, column in self.named.items():
            if isinstance(column, int) and not -len(available) <= column < len(available):
                raise InputError(f"column {column} for {field} of {len(available)}", path=path, fix="count from 0")
            if isinstance(column, str) and column not in available:
                hint = nearest(column, available)
                if not self.header:
                    hint = "the table has no header: give numbers"
                raise InputError(f"no column {column!r} for {field}", path=path, fix=hint)
            places[field] = available[column] if isinstance(column, int) else column
        for field in (*INPUT_KEYS[inputs], *self.task_type.gold_cells):
            if field not in places and field != "offsets":
                shown = ", ".join(available)
                fix = f"name it under columns (on the command line --columns {field}=NAME)"
                raise InputError(f"no column {field!r} (there are: {shown})", path=path, line=1, fix=fix)
        if self.task_type.optional_cells and (lacking := missing_column(places)):
            problem = f"no column {lacking!r} for an argument (there are: {', '.join(available)})"
            raise InputError(problem, path=path, line=1, expected="start_a, end_a, start_b and end_b")
        return places


def table_records(
    rows: Iterator[Row], columns: Columns, inputs: str, path: Path, on_error: OnError
) -> Iterator[Record]:
    """Stream the records of a table's rows, not yet checked against a task.

    Args:
        rows: the table.
        columns: where the fields are.
        inputs: the task's inputs.
        path: the file, for errors and for the ids of rows that have none; a row without ``doc_id`` is its own document,
            with the row's name.
        on_error: called with the error of each bad row.
    """
    separator = columns.definition.separator or SEPARATOR
    optional = columns.task_type.optional_cells
    further = columns.task_type.further_cells
    wanted = {*NAMES, *INPUT_KEYS[inputs], *columns.task_type.gold_cells, *optional, *further}
    places: dict[str, str] = {}
    available: list[str] = []
    for row in rows:
        if not places:
            available = list(row.values)
            places = columns.locate(available, inputs, path)
        if columns.weighted and WEIGHT in row.values:  # JSON lines may have one here and there
            places.setdefault(WEIGHT, WEIGHT)
        fields: dict[str, Any] = {"id": f"{path.name}:{row.line}"}
        try:
            if late := next((field for field in row.values if field in optional and field not in available), None):
                raise ValueError(f"{late!r}, which the first row lacks, expected in all rows or none")
            for field, column in places.items():
                if field not in wanted or (field in (*MAY_BE_EMPTY, *further) and row.values.get(column) in (None, "")):
                    continue
                if column not in row.values:  # JSON lines need not all have the same keys
                    raise ValueError(f"no {column!r}, expected {field}")
                try:
                    value = _VALUES[columns.cells[field]](row.values[column], separator)
                except ValueError as error:
                    raise ValueError(f"{column}: {error}" if field in optional else str(error)) from None
                if value is None and field in (*NAMES, "offsets"):
                    continue
                fields[field] = value
            if optional:
                fields = with_entities(fields, columns.definition.relation)
            yield Located((str(path), row.line), **_finished(fields))
        except ValueError as error:
            on_error(InputError(str(error), path=path, line=row.line, fix="correct the row"))


def _finished(fields: dict[str, Any]) -> dict[str, Any]:
    """Add missing document names and offsets, and convert tags in any scheme to IOB2."""
    fields.setdefault("doc_id", fields["id"])
    if "tokens" in fields and "offsets" not in fields:
        fields["offsets"] = join_offsets(fields["tokens"])
    if "tags" in fields:
        fields["tags"] = to_iob2(fields["tags"])
    return fields


def join_offsets(tokens: Sequence[str], start: int = 0) -> list[list[int]]:
    """Offsets of tokens joined by single spaces."""
    offsets = []
    for token in tokens:
        offsets.append([start, start + len(token)])
        start += len(token) + 1
    return offsets


def _text(value: Any, separator: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value != value:  # pandas writes a missing value as NaN
        raise ValueError("no value, expected text")
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__}, expected text")
    if bad := _UNPRINTABLE.search(value):
        raise ValueError(f"character U+{ord(bad[0]):04X}, expected text that UTF-8 can hold")
    return value


def _number(value: Any, separator: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            float(value)  # JSON integers may be too large for a float
            return value
        return float(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r:.40}, expected a number") from None


def _integer(value: Any, separator: str) -> int:
    number = _number(value, separator)
    if number != number // 1 or abs(number) > 1e15:
        raise ValueError(f"{value!r:.40}, expected a whole number")
    return int(number)


def _place(value: Any, separator: str) -> int | None:
    return None if value is None or value == "" else _integer(value, separator)


def _items(divide: Callable[[str, str], list[str]]) -> Callable[[Any, str], list[str]]:
    def read(value: Any, separator: str) -> list[str]:
        if value is None:
            return []
        parts = divide(value, separator) if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError(f"a {type(value).__name__}, expected a list")
        return [_text(item, separator) for item in parts]

    return read


def _stripped(parts: Iterable[str]) -> list[str]:
    return [part.strip() for part in parts if part.strip()]


def _spans(value: Any, separator: str) -> list[list[int]] | None:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__}, expected a list of [start, end]")
    return value


def _entities(value: Any, separator: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__}, expected a list of two mentions")
    return value


_VALUES: dict[Cell, Callable[[Any, str], Any]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "place": _place,
    "texts": _items(lambda cell, separator: _stripped(cell.split(separator))),
    "concepts": _items(lambda cell, by: _stripped(split_identifiers(cell) if by == SEPARATOR else cell.split(by))),
    "words": _items(lambda cell, separator: cell.split()),
    "spans": _spans,
    "entities": _entities,
}
