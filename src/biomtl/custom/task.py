"""A user's own task: its record, made from its definition and its files, and the stream of its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from biomtl.corpora.reader import Record
from biomtl.corpora.records import Located
from biomtl.custom.config import Files, TaskDefinition
from biomtl.custom.detect import ANNOTATED, DOCUMENTS, detect
from biomtl.custom.documents import conll_records, document_records
from biomtl.custom.records import Columns, table_records
from biomtl.custom.relations import Coverage, relation_records
from biomtl.custom.survey import RowRules, refuse_missing_arguments, survey
from biomtl.custom.tables import Row, read_table
from biomtl.errors import InputError, OnError, fail
from biomtl.formats import brat, delimited
from biomtl.formats.squad import read_squad
from biomtl.mtdnn.rows import PIECE_MARKS, Reading, read_rows
from biomtl.storage.checksums import sha256
from biomtl.storage.inputs import refuse_endless
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.base import Cell, TaskType

SQUAD = ("squad_f1", "squad_exact_match")  # the metrics of tasks in its format
MOST_SHOWN = 12  # labels in a note
MOST_SINGLE = 0.9  # share of a tagging table's rows that may have only one word


@dataclass(frozen=True)
class OwnTask:
    """A task of the user's own.

    Attributes:
        task: the record, with its labels.
        task_type: its type.
        definition: the user's definition.
        notes: what was inferred, shown with the plan.
    """

    task: Task
    task_type: TaskType
    definition: TaskDefinition
    notes: tuple[str, ...] = field(default=())

    @property
    def files(self) -> Files:
        """The files of every split."""
        return self.definition.files or Files()

    def records(self, split: Split, on_error: OnError = fail) -> Iterator[Record]:
        """Stream a split's records, each checked.

        Raises:
            InputError: a file that can't be read; a bad row, unless ``on_error`` handles it.
        """
        seen: dict[str, str] = {}
        rules = RowRules(self.task, self.definition)
        for record in raw_records(self.task_type, self.definition, self.task.inputs, split, on_error):
            assert isinstance(record, Located)
            problem = self.task_type.check(record, self.task) or rules.problem(record)
            if problem is None and record["id"] in seen:
                problem = f"id {record['id']!r} already occurs in {seen[record['id']]}"
            if problem is not None:
                on_error(record.error(problem))
                continue
            seen[record["id"]] = ":".join(str(part) for part in record.where if part is not None)
            yield record

    def checksums(self, split: Split) -> dict[str, str]:
        """File -> sha256 of a split's files; of a folder, those of the files in it."""
        digests: dict[str, str] = {}
        for path in self.files.of(split):
            members = [path] if path.is_file() else sorted(member for member in path.rglob("*") if member.is_file())
            digests.update((str(member), sha256(member)) for member in members)
        return digests


def own_task(name: str, definition: TaskDefinition, task_type: TaskType, known: Task | None = None) -> OwnTask:
    """The task of a definition; missing labels and a missing score range are taken from its files.

    Labels come from train alone, so that a label which occurs only in dev or test makes a bad row. The score range
    covers all splits, since it only sets the scale of the loss. If a trained model's ``known`` task has labels or a
    range that include all of these, they are used instead: a test file need not contain every label.

    Raises:
        InputError: no file, an invalid definition, or nothing to infer labels from.
    """
    files = definition.files or Files()
    splits = list(files.splits())
    if not splits:
        raise InputError(f"task {name}: no files", fix="list them under files: train, dev, test")
    for split in splits:
        for path in files.of(split):
            refuse_endless(path, once=False)
    refuse_missing_arguments(name, task_type, definition)
    inputs = _inputs(definition, task_type, splits[0])
    cell = task_type.gold_cells.get(task_type.gold_key)
    relation = _relation(definition, known)
    fields: dict[str, Any] = {"name": name, "type": task_type.name, "inputs": inputs, "relation": relation}
    notes: list[str] = []
    if definition.relation is not None:
        notes += survey(name, definition, splits, partial(raw_records, task_type, definition, inputs))
    if cell == "number":
        fields["score_range"] = definition.score_range or _range(name, task_type, definition, inputs, splits, known)
        if definition.score_range is None and (known is None or fields["score_range"] != known.score_range):
            low, high = fields["score_range"]
            notes.append(f"task {name}: scores from {low:g} to {high:g}, as in its files")
    if cell in ("text", "texts", "words"):
        fields["labels"] = _labels(name, task_type, definition, inputs, splits[0], known)
        if definition.labels is None and (known is None or fields["labels"] != known.labels):
            notes.append(f"task {name}: {_listing(fields['labels'])}, inferred from {_names(files.of(splits[0]))}")
            notes += _divided_labels(name, definition, cell, fields["labels"])
    elif definition.labels is not None:
        raise InputError(f"task {name}: labels for type {task_type.name}, which has none", fix="remove them")
    if cell == "words":
        _refuse_single_words(name, task_type, definition, inputs, splits[0])
        notes += _without_annotations(name, task_type, definition)
    notes += _quoted_cells(name, task_type, definition, splits[0])
    fields["negative"] = definition.negative
    if definition.negative is None and task_type.negative in fields.get("labels", ()):
        fields["negative"] = task_type.negative
    scored = fields["negative"] is not None and task_type.positive_metric is not None
    if cell == "place":
        fields["unanswerable"], found = _unanswerable(name, task_type, definition, inputs, splits, known)
        notes += found
    official = SQUAD if any(_format(path, task_type, definition) == "squad" for path in files.of(splits[0])) else ()
    usual = (*official, task_type.positive_metric if scored else task_type.metric)[0]
    fields["metric"] = definition.metric or usual
    fields["metrics"] = definition.metrics or (task_type.metrics if scored else official[1:])
    try:
        return OwnTask(Task(**fields), task_type, definition, tuple(notes))
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(message if message.startswith("task ") else f"task {name}: {message}") from error


def _relation(definition: TaskDefinition, known: Task | None) -> RelationArguments | None:
    """The arguments of a relation task; their placeholders in the order of a trained model, or by argument.

    BLUE's order, which hides a pair's direction, is also that of models from before there was a choice.
    """
    relation = definition.relation
    if relation is None or relation.mask_order is not None:
        return relation
    order = "arguments" if known is None or known.relation is None else known.relation.mask_order or "text"
    return relation.model_copy(update={"mask_order": order})


def raw_records(
    task_type: TaskType,
    definition: TaskDefinition,
    inputs: str,
    split: Split,
    on_error: OnError,
    coverage: Coverage | None = None,
) -> Iterator[Record]:
    """Stream a split's records with their file and line, not yet checked against the task.

    What became of the relations in documents is added to ``coverage``.
    """
    paths = (definition.files or Files()).of(split)
    for path in paths:
        format = _format(path, task_type, definition)
        if format == "squad":
            yield from (Located((str(path), number), **row) for number, row in read_squad(path, on_error))
        elif format == "conll":
            yield from conll_records(path, definition, on_error)
        elif format in ANNOTATED and task_type.optional_cells:
            negative = definition.negative or task_type.negative or ""
            yield from relation_records(path, format, definition, negative, coverage or Coverage(), on_error)
        elif format in DOCUMENTS:
            types = [label.removeprefix("B-").removeprefix("I-") for label in definition.labels or ()]
            yield from document_records(path, format, definition, types, on_error, several=len(paths) > 1)
        else:
            columns = Columns(task_type, definition, weighted=format == "mtdnn")
            rows = _table(path, format, split, columns, on_error)
            yield from table_records(rows, columns, inputs, path, on_error)


def _table(path: Path, format: str, split: Split, columns: Columns, on_error: OnError) -> Iterator[Row]:
    if format == "mtdnn":
        definition, kind = columns.definition, columns.task_type
        labels = definition.labels or ()
        if kind.gold_key == "tags" and labels:
            labels += tuple(mark for mark in PIECE_MARKS if mark not in labels)
        vocabulary = None if definition.vocabulary is None else Path(definition.vocabulary)
        reading = Reading(kind.gold_key, "candidates" in kind.inputs, labels, vocabulary)
        return read_rows(path, reading, on_error)
    quoting = columns.definition.quoting
    return read_table(path, format, split, header=columns.header, quoting=quoting, on_error=on_error)


def _format(path: Path, task_type: TaskType, definition: TaskDefinition) -> str:
    format = definition.format or detect(path, tagging="tokens" in task_type.inputs)
    if format == "squad" and "answers" not in task_type.further_cells:
        raise InputError(f"a SQuAD file for a task of type {task_type.name}", path=path, expected="type: span")
    readable = DOCUMENTS if "tokens" in task_type.inputs else ANNOTATED if task_type.optional_cells else ()
    if format in DOCUMENTS and format not in readable:
        expected = "TSV, CSV, JSON lines, Parquet or a saved dataset"
        raise InputError(f"a {format} file for a task of type {task_type.name}", path=path, expected=expected)
    return format


def _inputs(definition: TaskDefinition, task_type: TaskType, split: Split) -> str:
    """The task's inputs, chosen from those of its type by the columns of its first row."""
    if len(task_type.inputs) == 1:
        return task_type.inputs[0]
    columns = Columns(task_type, definition)
    path = (definition.files or Files()).of(split)[0]
    if _format(path, task_type, definition) == "squad":
        return "pair"
    rows = _table(path, _format(path, task_type, definition), split, columns, _pass)
    return columns.inputs(list(next((row.values for row in rows), {})))


def _implied(definition: TaskDefinition, task_type: TaskType, split: Split) -> tuple[str, ...]:
    """The negative class that pairs of documents have, whether or not a file or the definition names it."""
    paths = (definition.files or Files()).of(split)
    if task_type.negative is None or all(_format(path, task_type, definition) not in ANNOTATED for path in paths):
        return ()
    return (definition.negative or task_type.negative,)


def _labels(
    name: str, task_type: TaskType, definition: TaskDefinition, inputs: str, split: Split, known: Task | None
) -> tuple[str, ...]:
    """The given labels, else the known task's if they include all of the split's, else the split's, sorted."""
    faults: list[InputError] = []
    if definition.labels is not None:
        labels = task_type.labels_from(definition.labels)
    else:
        occurring: set[str] = set()
        for record in raw_records(task_type, definition, inputs, split, faults.append):
            value = record[task_type.gold_key]
            occurring.update([value] if isinstance(value, str) else value)
        # An empty cell is a bad row.
        labels = task_type.labels_from(sorted(label for label in occurring if label.strip()))
    labels += tuple(label for label in _implied(definition, task_type, split) if label not in labels)
    trained = known if definition.labels is None and known is not None and known.type == task_type.name else None
    if trained is not None and set(labels) <= set(trained.labels):
        return trained.labels
    if task_type.gold_cells[task_type.gold_key] == "text" and len(labels) < 2:
        few = f"task {name}: {len(labels)} label ({', '.join(labels) or 'none'})"
        path = (definition.files or Files()).of(split)[0]
        raise next(iter(faults), InputError(few, path=path, expected="two or more"))  # a bad row may be the cause
    return labels


def _range(
    name: str,
    task_type: TaskType,
    definition: TaskDefinition,
    inputs: str,
    splits: Sequence[Split],
    known: Task | None,
) -> tuple[float, float]:
    """The known task's range if it includes every score in the files, else their lowest and highest."""
    low, high = float("inf"), float("-inf")
    faults: list[InputError] = []
    for split in splits:
        for record in raw_records(task_type, definition, inputs, split, faults.append):
            low, high = min(low, record[task_type.gold_key]), max(high, record[task_type.gold_key])
    if known is not None and (trained := known.score_range) and trained[0] <= low <= high <= trained[1]:
        return trained
    if not low < high or high - low == float("inf"):
        few = InputError(f"task {name}: no two different finite scores in its files", fix="give score_range")
        raise next(iter(faults), few)
    return low, high


def _unanswerable(
    name: str,
    task_type: TaskType,
    definition: TaskDefinition,
    inputs: str,
    splits: Sequence[Split],
    known: Task | None,
) -> tuple[bool, list[str]]:
    """Whether questions may have no answer, in the files or for the known task, and a line that says so."""
    rows = missing = 0
    for split in splits:
        for record in raw_records(task_type, definition, inputs, split, _pass):
            rows += 1
            missing += record[task_type.gold_key] is None
    said = [f"task {name}: {missing:,} of {rows:,} questions have no answer"] if missing else []
    return bool(missing) or (known is not None and known.unanswerable), said


def _refuse_single_words(name: str, task_type: TaskType, definition: TaskDefinition, inputs: str, split: Split) -> None:
    """Refuse a file with one word per line that would be read as a table of one-word sentences."""
    path = (definition.files or Files()).of(split)[0]
    if _format(path, task_type, definition) in DOCUMENTS:
        return
    lengths = [
        len(record["tokens"]) for record in islice(raw_records(task_type, definition, inputs, split, _pass), 1000)
    ]
    single = sum(length == 1 for length in lengths)
    if len(lengths) > 1 and single > MOST_SINGLE * len(lengths):
        problem = f"task {name}: {single:,} of {len(lengths):,} rows hold one word"
        fix = "for a file with one word per line use `format: conll` (on the command line --format conll)"
        raise InputError(problem, path=path, expected="one sentence per row", fix=fix)


def _without_annotations(name: str, task_type: TaskType, definition: TaskDefinition) -> list[str]:
    """A note on each brat folder with texts that nobody may have annotated yet."""
    files = definition.files or Files()
    folders = dict.fromkeys(path for split in files.splits() for path in files.of(split) if path.is_dir())
    notes = []
    for path in folders:
        if _format(path, task_type, definition) == "brat" and (bare := brat.without_annotations(path)):
            count = f"{len(bare):,} of {sum(1 for _ in brat.files(path, '.txt')):,} texts in {path.name}"
            notes.append(
                f"task {name}: {count} have no .ann and count as texts without mentions, such as {bare[0].name}"
            )
    return notes


def _quoted_cells(name: str, task_type: TaskType, definition: TaskDefinition, split: Split) -> list[str]:
    """A note on quoted cells in a TSV, which are read literally."""
    notes = []
    for path in (definition.files or Files()).of(split):
        if definition.quoting is None and _format(path, task_type, definition) == "tsv":
            rows = _table(path, "tsv", split, Columns(task_type, definition), _pass)
            counts = Counter(any(map(delimited.in_quotes, row.values.values())) for row in rows)
            if count := counts[True]:
                note = f"task {name}: {count:,} of {counts.total():,} rows of {path.name} have cells in double quotes"
                notes.append(f"{note}, read as text; `quoting: csv` takes the quotes off, `quoting: none` keeps them")
    return notes


def _divided_labels(name: str, definition: TaskDefinition, cell: Cell | None, labels: Sequence[str]) -> list[str]:
    """A note on labels that look like several joined by another character than the separator."""
    if cell != "texts" or definition.separator is not None:
        return []
    for mark in (";", ","):
        count = sum(mark in label for label in labels)
        if 3 * count > len(labels):
            note = f"task {name}: {count} of {len(labels)} labels hold a {mark!r}"
            return [f'{note}; if it divides several labels, say `separator: "{mark}"`']
    return []


def _names(paths: Sequence[Path]) -> str:
    return paths[0].name + (f" and {len(paths) - 1} more files" if len(paths) > 1 else "")


def _pass(error: InputError) -> None:
    """Skip a bad row: it is reported when the records are read."""


def _listing(labels: Sequence[str]) -> str:
    more = f" … and {len(labels) - MOST_SHOWN} more" if len(labels) > MOST_SHOWN else ""
    return f"{len(labels)} labels ({', '.join(labels[:MOST_SHOWN])}{more})"
