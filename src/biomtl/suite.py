"""A prepared suite: tasks and their checked records."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from biomtl.custom import OwnTask, TaskDefinition, own_task, read_definitions
from biomtl.errors import InputError, nearest
from biomtl.notebook import html_table
from biomtl.sample import sample_folder
from biomtl.scoring.metrics import metrics_of
from biomtl.storage.checksums import sha256
from biomtl.storage.files import read_jsonl
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.registry import known_tasks, pick
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import SPLITS, Split, Task, read_task
from biomtl.tasks.types.base import Record, task_type, type_names, type_of
from biomtl.tasks.types.relation import upgraded


class TaskData:
    """One task and the location of its records.

    Args:
        task: the record of the task.
        files: the JSONL file of each split that exists.
        head: the choice of the task's head.
    """

    def __init__(self, task: Task, files: Mapping[Split, Path], head: HeadChoice = DEFAULT_HEAD) -> None:
        self.task = task
        self.head = head
        self.files = dict(files)
        self.notes: tuple[str, ...] = ()
        """Facts inferred about the task, for the plan."""
        self._records: dict[Split, list[Record]] = {}

    def __contains__(self, split: str) -> bool:
        return split in self.files

    @property
    def definition(self) -> TaskDefinition | None:
        """The definition of the user's own task, with absolute paths of its files."""
        return None

    def with_head(self, head: HeadChoice) -> TaskData:
        """The same data for another head."""
        changed = copy.copy(self)
        changed.head = head
        return changed

    def with_order(self, order: Literal["ab", "ba"]) -> TaskData:
        """The same data, with the pair's texts read in this order.

        Raises:
            InputError: it is the other order, and the task has no pairs.
        """
        if order == self.task.order:
            return self
        if self.task.inputs != "pair":
            raise InputError(
                f"task {self.task.name}: order {order} for inputs {self.task.inputs}", expected="two texts"
            )
        changed = copy.copy(self)
        changed.task = self.task.model_copy(update={"order": order})
        return changed

    def with_labels(self, labels: tuple[str, ...]) -> TaskData:
        """The same data, with the labels in this order, and perhaps more of them that no record has."""
        if labels == self.task.labels:
            return self
        changed = copy.copy(self)
        changed.task = self.task.model_copy(update={"labels": labels})
        changed.notes = (*self.notes, f"task {self.task.name}: labels in the trained head's order, {', '.join(labels)}")
        return changed

    def with_argument_types(self, names: Mapping[str, str]) -> TaskData:
        """The same data, with further names for the types of a relation task's arguments.

        Raises:
            InputError: no relation task, or a name for a type that neither argument has.
        """
        if not names:
            return self
        if (relation := self.task.relation) is None:
            raise InputError(
                f"task {self.task.name}: argument_types for type {self.task.type}", expected="a relation task"
            )
        try:
            values = {**relation.model_dump(), "types": {**relation.types, **names}}
            changed_relation = RelationArguments.model_validate(values)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ").removeprefix("types: ")
            raise InputError(f"task {self.task.name}: argument_types: {message}") from error
        changed = copy.copy(self)
        changed.task = self.task.model_copy(update={"relation": changed_relation})
        return changed

    def without(self, split: Split, rows: Collection[int]) -> TaskData:
        """The same data without some of a split's records, given by their indices in the file."""
        changed = copy.copy(self)
        kept = [record for i, record in enumerate(self.records(split)) if i not in rows]
        changed._records = {**self._records, split: kept}
        return changed

    def records(self, split: Split) -> list[Record]:
        """The split's records in file order, read once.

        Raises:
            InputError: no such split, a broken or empty file, an invalid record, or a repeated id.
        """
        if split not in self._records:
            if split not in self.files:
                have = ", ".join(self.files) or "none"
                raise InputError(f"task {self.task.name} has no {split} split", expected=f"one of: {have}")
            self._records[split] = self._read(split)
        return self._records[split]

    def _read(self, split: Split) -> list[Record]:
        return read_records(self.files[split], self.task)

    @cached_property
    def checksums(self) -> dict[str, Any]:
        """SHA-256 of every split's file."""
        return {split: sha256(path) for split, path in self.files.items()}


class OwnTaskData(TaskData):
    """The user's own task, read from the user's files."""

    def __init__(self, own: OwnTask) -> None:
        super().__init__(own.task, {split: own.files.of(split)[0] for split in own.files.splits()})
        self.own = own
        self.notes = own.notes

    @property
    def definition(self) -> TaskDefinition:
        """The definition as given by the user."""
        return self.own.definition.located(Path.cwd())

    def _read(self, split: Split) -> list[Record]:
        records = list(self.own.records(split))
        if not records:
            raise InputError("no records", path=self.files[split], expected="at least one row")
        return records

    @cached_property
    def checksums(self) -> dict[str, Any]:
        """SHA-256 of every file of every split."""
        return {split: self.own.checksums(split) for split in self.files}


class Suite:
    """Tasks by name, in the suite's order; ``suite[name].records("train")`` reads a split.

    Args:
        data: each task with its files.
        source: the suite's name in a recipe: its folder, ``sample`` or a YAML file; ``None`` if it has none.
    """

    def __init__(self, data: Iterable[TaskData], source: str | None = None) -> None:
        self.data = {entry.task.name: entry for entry in data}
        self.source = source

    def __repr__(self) -> str:
        return f"Suite({self.source!r}, {len(self.data)} task{'s' * (len(self.data) != 1)}: {', '.join(self.data)})"

    def _repr_html_(self) -> str:
        """A table of the tasks; nothing is read for it."""
        rows = [
            (name, entry.task.type, len(entry.task.labels) or "", entry.task.metric, ", ".join(entry.files))
            for name, entry in self.data.items()
        ]
        return html_table(("task", "type", "labels", "metric", "splits"), rows, caption=f"Suite {self.source or ''}")

    @property
    def tasks(self) -> dict[str, Task]:
        """The task records by name."""
        return {name: entry.task for name, entry in self.data.items()}

    @property
    def heads(self) -> dict[str, HeadChoice]:
        """The choice of head for each task."""
        return {name: entry.head for name, entry in self.data.items()}

    def __getitem__(self, task: str) -> TaskData:
        return self.data[task]

    def with_options(
        self,
        options: Mapping[str, Any],
        trained: Mapping[str, HeadChoice] | None = None,
        known: Mapping[str, Task] | None = None,
    ) -> Suite:
        """The suite with the heads and the order of pairs requested by a recipe's task options.

        Args:
            options: the recipe's options for each task.
            trained: a trained model's heads, used unless the recipe gives one; default the data's own.
            known: the model's tasks, whose order of pairs is used likewise, and the order of their labels, if they
                have the same.

        Raises:
            InputError: an order for a task without pairs.
        """
        data = []
        for name, entry in self.data.items():
            head = (trained or {}).get(name, entry.head)
            given = options[name].order if name in options else None
            order = given or (known[name].order if known and name in known else entry.task.order)
            changed = entry.with_head(options[name].choose(head) if name in options else head)
            if known and name in known and _same_labels(known[name], entry.task):
                changed = changed.with_labels(known[name].labels)
            changed = changed.with_argument_types(_argument_types(known, entry.task, options))
            data.append(changed.with_order(order))
        return Suite(data, self.source)

    def only(self, names: Iterable[str]) -> Suite:
        """The suite with these tasks."""
        return Suite((self.data[name] for name in names), self.source)

    def provenance(self) -> dict[str, Any]:
        """Checksums of every file, for results."""
        return {name: entry.checksums for name, entry in self.data.items()}


def load_suite(
    folder: str | Path,
    tasks: Iterable[str] | None = None,
    own: Mapping[str, TaskDefinition] | None = None,
    known: Mapping[str, Task] | None = None,
) -> Suite:
    """A suite written by ``biomtl prepare``, the user's own tasks, or both.

    Args:
        folder: the prepared folder, ``sample`` for the bundled suite, or a recipe (``.yaml``) for the tasks that it
            defines; not used if all tasks are own ones.
        tasks: only these tasks (names or aliases), in this order; default all.
        own: definitions of the user's own tasks among ``tasks``.
        known: the tasks of a trained model; own tasks among them keep its labels, even if the files have only some.

    Raises:
        InputError: no such folder, no task in it, an unknown task (the message suggests the nearest one), or files of
            an own task that don't match its definition.
    """
    own, known = own or {}, known or {}
    recipe = None
    if Path(folder).suffix.lower() in (".yaml", ".yml") and Path(folder).is_file():
        recipe = Path(folder)
        own = {**read_definitions(recipe), **own}
        tasks = list(own if tasks is None else tasks)
        for name in tasks:
            if name not in own:
                raise InputError(f"no task {name!r}", path=folder, fix=nearest(name, own))
    names = list(tasks) if tasks is not None else None
    prepared: Iterator[TaskData] = iter(())
    if not names or not all(name in own for name in names):
        prepared = iter(_load_prepared(folder, None if names is None else [name for name in names if name not in own]))
    if names is None:
        return Suite([*prepared, *(_load_own(name, own[name], known, recipe) for name in own)], str(folder))
    return Suite([_load_own(n, own[n], known, recipe) if n in own else next(prepared) for n in names], str(folder))


def _argument_types(known: Mapping[str, Task] | None, task: Task, options: Mapping[str, Any]) -> dict[str, str]:
    """The names that a trained model, unless the data say otherwise, or the recipe has for the types of arguments."""
    own, trained = task.relation, known[task.name].relation if known and task.name in known else None
    kept: dict[str, str] = {}
    if own is not None and trained is not None:
        there = set(own.accepted())
        kept = {n: of for n, of in trained.types.items() if of.lower() in own.names() and n.lower() not in there}
    asked = options[task.name].argument_types if task.name in options else None
    return {**kept, **(asked or {})}


def _same_labels(trained: Task, task: Task) -> bool:
    """Whether a trained head answers with the labels of a task, in any order."""
    same = (trained.type, trained.inputs) == (task.type, task.inputs)
    return same and frozenset(task.labels) == type_of(trained).answers(trained)


def _load_own(name: str, definition: TaskDefinition, known: Mapping[str, Task], recipe: Path | None) -> TaskData:
    try:
        if not definition.type or definition.type not in type_names():
            problem = f"task {name}: " + (f"unknown type {definition.type!r}" if definition.type else "no type")
            raise InputError(problem, fix=nearest(definition.type or "", type_names()))
        own = own_task(name, definition, task_type(definition.type), known.get(name))
        metrics_of(own.task)
    except InputError as error:
        if error.path is not None or recipe is None:
            raise
        raise InputError(error.found, path=recipe, expected=error.expected, fix=error.fix) from error
    return OwnTaskData(own)


def _load_prepared(folder: str | Path, tasks: list[str] | None) -> list[TaskData]:
    if str(folder) == "sample":
        folder = sample_folder()
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, expected="a prepared suite", fix="run `biomtl prepare`")
    paths = {path.parent.name: path for path in sorted(folder.glob("*/task.yaml"))}
    if not paths:
        fix = "run `biomtl prepare SOURCE --out DIR` and give DIR"
        raise InputError("no prepared task", path=folder, expected="<task>/task.yaml", fix=fix)
    names = _order(paths) if tasks is None else [pick(name, paths, folder) for name in tasks]
    return [_load_task(paths[name]) for name in names]


def _order(paths: Mapping[str, Path]) -> list[str]:
    """BLUE's order first, other tasks by name."""
    order = list(known_tasks())
    return sorted(paths, key=lambda name: (order.index(name) if name in order else len(order), name))


def _load_task(path: Path) -> TaskData:
    task, head = read_task(path)
    if upgraded(task, head)[0] is not task:
        problem = f"task {task.name} with masked texts, as biomtl 0.1 prepared it"
        expected = "the unchanged texts, with their two mentions"
        raise InputError(problem, path=path, expected=expected, fix="run `biomtl prepare` again")
    type_of(task)
    metrics_of(task)  # report a metric that doesn't fit now, not after an epoch
    if task.name != path.parent.name:
        problem = f"a task named {task.name!r}"
        raise InputError(
            problem, path=path, expected=f"the folder's name {path.parent.name!r}", fix="rename one of them"
        )
    files: dict[Split, Path] = {}
    for split in SPLITS:
        file = path.parent / task.files.get(split, f"{split}.jsonl")
        if file.is_file():
            files[split] = file
        elif split in task.files:
            raise InputError("no such file", path=file, expected=f"the {split} split of {task.name}")
    return TaskData(task, files, head)


def read_records(path: Path, task: Task, *, gold: bool = True) -> list[Record]:
    """All records of a JSONL file, each checked against its task.

    Args:
        path: the file.
        task: the task of the records.
        gold: whether gold values are required.

    Raises:
        InputError: with file and line of the first invalid record.
    """
    record_type = type_of(task)
    records: list[Record] = []
    seen: dict[Any, int] = {}
    for line, record in read_jsonl(path):
        if gold and (problem := record_type.check(record, task)):
            raise InputError(problem, path=path, line=line, fix="correct the row or prepare the data again")
        identifier = json.dumps(record.get("id"))
        if gold and identifier in seen:
            raise InputError(f"id {identifier} already occurs in line {seen[identifier]}", path=path, line=line)
        seen[identifier] = line
        records.append(record)
    if not records:
        raise InputError("no records", path=path, expected="at least one line")
    return records
