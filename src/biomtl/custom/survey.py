"""What the files of an own relation task hold, and the rules for its rows that concern their arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from biomtl.corpora.reader import Record
from biomtl.custom.arguments import Both, argument_problem, both_ways
from biomtl.custom.config import Files, TaskDefinition
from biomtl.custom.relations import Coverage
from biomtl.errors import InputError, OnError
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.base import TaskType

Read = Callable[[Split, OnError, Coverage], Iterator[Record]]


def refuse_missing_arguments(name: str, task_type: TaskType, definition: TaskDefinition) -> None:
    """Refuse a relation task without its arguments, and any other task with some.

    Raises:
        InputError: as said.
    """
    if task_type.optional_cells and definition.relation is None:
        fix = "add `relation: {first: TYPE, second: TYPE}` (on the command line --relation)"
        raise InputError(f"task {name}: type {task_type.name} without its arguments", fix=fix)
    if definition.relation is not None and not task_type.optional_cells:
        raise InputError(f"task {name}: relation for type {task_type.name}, which has no arguments", fix="remove it")


class RowRules:
    """The rules for a split's rows beyond those of their type."""

    def __init__(self, task: Task, definition: TaskDefinition) -> None:
        self.relation, self.policy = task.relation, definition.mentions or "keep"
        self.seen: dict[Both, str] = {}

    def problem(self, record: Record) -> str | None:
        """The problem with a row's arguments; an undirected pair may not come the other way round in a later row."""
        if self.relation is None:
            return None
        if problem := argument_problem(record, self.relation, self.policy):
            return problem
        if (both := both_ways(record, self.relation)) is None:
            return None
        if earlier := self.seen.get(both[1]):
            return f"the pair of {earlier} the other way round, expected it once, as `directed` is false"
        self.seen.setdefault(both[0], str(record["id"]))
        return None


def survey(name: str, definition: TaskDefinition, splits: Sequence[Split], read: Read) -> list[str]:
    """Notes on relations that the records don't cover, texts that are read as masked, and mentions cut short.

    Args:
        name: the task's name.
        definition: its definition.
        splits: the splits that have files.
        read: streams a split's records.

    Raises:
        InputError: no mention of an argument's types in a split, or no relation between mentions of one unit.
    """
    relation = definition.relation
    assert relation is not None
    notes = []
    for split in splits:
        path = (definition.files or Files()).of(split)[0]
        coverage = Coverage()
        arguments: Counter[str] = Counter()
        rows = masked = cut = 0
        for record in read(split, _pass, coverage):
            rows += 1
            masked += "entities" not in record
            arguments.update(_types(record))
            cut += sum(_cut(record))
        if rows == masked and not coverage.types and rows:
            notes.append(f"task {name}: {split}: no mentions, so its texts are read as masked already (view: mask)")
            continue
        _refuse_other_types(name, relation, coverage.types + arguments, path)
        if cut > arguments.total() / 2:
            count = f"{cut:,} of {arguments.total():,} mentions"
            notes.append(f"task {name}: {split}: {count} end inside a word; `end` is the character after the last one")
        if split == splits[0] and coverage.relations and not coverage.covered:
            problem = (
                f"task {name}: none of {coverage.relations:,} relations is covered ({_left_out(coverage, relation)})"
            )
            fix = "choose another `unit`, or other types for `first` and `second`"
            raise InputError(problem, path=path, expected=f"both arguments in one {relation.unit}", fix=fix)
        if left := coverage.relations - coverage.covered:
            count = f"{left:,} of {coverage.relations:,} relations are not covered"
            notes.append(f"task {name}: {split}: {count}: {_left_out(coverage, relation)}")
    return notes


def _left_out(coverage: Coverage, relation: RelationArguments) -> str:
    beyond = f" or over {relation.window} words apart" if relation.window else ""
    parts = [
        f"{coverage.apart:,} between mentions in different units (unit: {relation.unit}){beyond}"
        * bool(coverage.apart),
        f"{coverage.other:,} between other types, not between two mentions, or equivalences" * bool(coverage.other),
    ]
    parts.append(f"{coverage.dropped:,} between mentions that `mentions: flatten` dropped" * bool(coverage.dropped))
    return ", ".join(filter(None, parts))


def _refuse_other_types(name: str, relation: RelationArguments, types: Mapping[str, int], path: Path) -> None:
    there = {relation.type_of(mention_type) for mention_type in types}
    for argument, wanted in (("first", relation.first), ("second", relation.second)):
        if types and there.isdisjoint(wanted):
            shown = ", ".join(sorted(types)[:10])
            problem = f"task {name}: no mention of the {argument} argument's types ({', '.join(wanted)})"
            fix = f"name them there, or translate them under `relation`: types: {{{min(types)}: {wanted[0]}}}"
            raise InputError(problem, path=path, expected=f"one of those in the data: {shown}", fix=fix)


def _types(record: Record) -> Iterator[str]:
    for entity in record.get("entities", ()):
        mention_type: Any = entity.get("type") if isinstance(entity, Mapping) else None
        if isinstance(mention_type, str):
            yield mention_type


def _cut(record: Record) -> Iterator[bool]:
    """Whether each mention ends inside a word, as it does where ``end`` means the last character."""
    text = record["text"]
    for entity in record.get("entities", ()):
        end: Any = entity.get("end") if isinstance(entity, Mapping) else None
        yield type(end) is int and 0 < end < len(text) and text[end - 1].isalnum() and text[end].isalnum()


def _pass(error: InputError) -> None:
    """Skip a bad row: it is reported when the records are read."""
