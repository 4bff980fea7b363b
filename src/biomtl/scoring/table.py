"""Records with their file and line, matched by id; every error names its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from biomtl.errors import InputError, nearest
from biomtl.scoring.entities import EntityKey
from biomtl.tasks.task import Task

Record = dict[str, Any]
_OTHER_TYPES = {"Disease_Disorder": "Disease"}  # ShARe/CLEFE's own name for BLUE's disease
_HUGE = 1e100  # the square of a larger score overflows


def document_of(record: Record) -> str:
    """The record's ``doc_id``, which may be a number; empty if it has none."""
    name = record.get("doc_id")
    return "" if name is None else str(name)


@dataclass(frozen=True)
class Table:
    """Gold or predicted records, with their locations."""

    records: Sequence[Record]
    where: str
    """The file, or ``gold`` / ``predicted`` for records given from Python."""
    lines: Sequence[int] | None = None
    """1-based line of each record in its file."""

    def error(self, row: int, problem: str, **parts: str | None) -> InputError:
        """An error about record number ``row`` (0-based)."""
        return InputError(problem, path=self.where, line=self.lines[row] if self.lines else row + 1, **parts)

    def take(self, records: Sequence[Record], rows: Sequence[int]) -> Table:
        """Other records for the same rows."""
        lines = [self.lines[row] if self.lines else row + 1 for row in rows]
        return replace(self, records=records, lines=lines)

    def ids(self) -> dict[str, int]:
        """Row by id.

        Raises:
            InputError: a record without an id, or an id that occurs twice.
        """
        rows: dict[str, int] = {}
        for row, record in enumerate(self.records):
            name = record.get("id")
            if isinstance(name, int | float):
                raise self.error(row, f"id {name} is a number", expected="text", fix=f'write "id": "{name}"')
            if not isinstance(name, str) or not name:
                raise self.error(row, "no id", expected='a text under "id"')
            if name in rows:
                first = self.lines[rows[name]] if self.lines else rows[name] + 1
                raise self.error(row, f"id {name!r} already occurs in row {first}", expected="each id once")
            rows[name] = row
        return rows


def match(gold: Table, predicted: Table, *, repeated: bool = False) -> list[int]:
    """For each gold row the predicted row with its id.

    Args:
        gold: the gold rows.
        predicted: the predictions.
        repeated: whether the gold row ``X#2`` is a further label of the pair ``X``, whose prediction is its own, too.

    Raises:
        InputError: an id is repeated, has no prediction, or is unknown to gold; the message names it.
    """
    if not gold.records:
        raise InputError("no gold rows", path=gold.where, expected="one record per row")
    wanted, given = gold.ids(), predicted.ids()
    for name, row in given.items():
        if name not in wanted:
            base = name.rpartition("#")[0]
            said = f"id {base!r} is predicted more often than gold has it" if base in wanted else f"unknown id {name!r}"
            raise predicted.error(row, said, expected=f"the ids of {gold.where}")
    if repeated:
        given |= {name: given[first] for name in wanted if name not in given and (first := _first(name)) in given}
    missing = [name for name in wanted if name not in given]
    if missing:
        line = gold.lines[wanted[missing[0]]] if gold.lines else wanted[missing[0]] + 1
        problem = f"{len(missing)} of {len(wanted)} gold ids have no prediction, first {missing[0]!r}"
        raise InputError(
            f"{problem} ({gold.where}:{line})", path=predicted.where, expected="one prediction per gold row"
        )
    return [given[name] for name in wanted]


def _first(name: str) -> str:
    """The id of the first row of a pair, of whose rows with further labels this is one; else the id itself."""
    first, _, number = name.rpartition("#")
    return first if number.isdecimal() and int(number) > 1 else name


def label_set(task: Task, gold: Table, key: str) -> tuple[str, ...]:
    """The task's labels in order, or those in gold, sorted, if the task lists none."""
    if task.labels:
        return task.labels
    labels: set[str] = set()
    for record in gold.records:
        value = record.get(key)
        labels.update(value if isinstance(value, list) else [value] if isinstance(value, str) else [])
    return tuple(sorted(labels))


def classes(table: Table, labels: tuple[str, ...]) -> list[tuple[int]]:
    """Each row's class as an index."""
    index = {label: at for at, label in enumerate(labels)}
    return [(_label(table, row, table.records[row].get("label"), index),) for row in range(len(table.records))]


def sets(table: Table, labels: tuple[str, ...]) -> list[frozenset[int]]:
    """Each row's labels as indices."""
    index = {label: at for at, label in enumerate(labels)}
    rows = []
    for row, record in enumerate(table.records):
        value = record.get("labels")
        if not isinstance(value, list):
            raise table.error(row, _said("labels", value), expected='a list of labels under "labels"')
        rows.append(frozenset(_label(table, row, label, index) for label in value))
    return rows


def scores(table: Table) -> list[float]:
    """Each row's score."""
    values = []
    for row, record in enumerate(table.records):
        value = record.get("score")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise table.error(row, _said("score", value), expected='a number under "score"')
        if not abs(value) <= _HUGE:  # neither is NaN; an integer may be too large for a float
            raise table.error(row, f"score {value!s:.40}", expected="a finite number")
        values.append(float(value))
    return values


def tags(table: Table, task: Task) -> list[list[str]]:
    """Each row's tags; ``B`` and ``I`` without a type get the task's type if it has only one."""
    kinds = types_of(task.labels)
    known: dict[str, str] = {tag: tag for tag in task.labels}
    if len(kinds) == 1:
        for prefix in ("B", "I"):
            known.setdefault(prefix, f"{prefix}-{kinds[0]}" if kinds[0] else prefix)
    rows = []
    for row, record in enumerate(table.records):
        value = record.get("tags")
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise table.error(row, _said("tags", value), expected='a list of tags under "tags"')
        if task.labels and (odd := next((tag for tag in value if tag not in known), None)) is not None:
            raise table.error(row, f"unknown tag {odd!r}", expected=_known(odd, known))
        rows.append([str(known.get(tag, tag)) for tag in value])
    return rows


def mentions(table: Table, types: tuple[str, ...]) -> list[EntityKey]:
    """Each row's mention, as in BLUE's NER gold files: ``docid``, ``type``, ``locations``.

    ``doc_id`` and ``[start, end]`` lists are accepted too, and mentions without a type if the task has only one.
    """
    entities = []
    for row, record in enumerate(table.records):
        document = record.get("doc_id", record.get("docid"))
        if not isinstance(document, str) or not document:
            raise table.error(row, "no document id", expected='a text under "docid"')
        mention_type = _OTHER_TYPES.get(str(record.get("type")), record.get("type")) or (
            types[0] if len(types) == 1 else ""
        )
        if types and mention_type not in types:
            raise table.error(row, f"unknown type {mention_type!r}", expected=f"one of {', '.join(types)}")
        entities.append(EntityKey(document, mention_type, _spans(table, row, record.get("locations"))))
    return entities


def _spans(table: Table, row: int, value: Any) -> tuple[tuple[int, int], ...]:
    spans = []
    for place in value if isinstance(value, list) else ():
        pair = [place.get("start"), place.get("end")] if isinstance(place, dict) else place
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)):
            break
        spans.append((pair[0], pair[1]))
    else:
        if spans:
            return tuple(spans)
    raise table.error(row, f"locations {value!r:.60}", expected='a list of {"start", "end"} character offsets')


def types_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Entity types of a tag list, in order."""
    return tuple(dict.fromkeys(label.partition("-")[2] for label in labels if label not in ("O", ".")))


def _label(table: Table, row: int, value: Any, index: dict[str, int]) -> int:
    if not isinstance(value, str):
        raise table.error(row, _said("label", value), expected=f"one of {', '.join(index)}")
    if value not in index:
        raise table.error(row, f"unknown label {value!r}", expected=_known(value, index))
    return index[value]


def _known(value: str, known: Sequence[str] | dict[str, Any]) -> str:
    near = nearest(value, known)
    return f"one of {', '.join(known)}" + (f" ({near})" if near.startswith("did you mean") else "")


def _said(key: str, value: Any) -> str:
    return f"no {key}" if value is None else f"{key} {value!r:.60}"
