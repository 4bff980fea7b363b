"""One label for a pair of mentions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError
from biomtl.tasks.head import DEFAULT, DEFAULT_HEAD, HeadChoice
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Cell, Record
from biomtl.tasks.types.classification import Classification
from biomtl.tasks.views import VIEWS, Pair, View
from biomtl.text.base import EncodedRow, TextInput

DEFAULT_VIEW = "mask"
ARGUMENT_CELLS: Mapping[str, Cell] = {
    "start": "integer",
    "end": "integer",
    "type": "text",
    "id": "text",
    "identifiers": "concepts",
}
"""What a table's columns say of an argument; ``start_a`` is that of the first one, ``start_b`` of the second."""
SIDES = ("a", "b")


class Relation(Classification):
    """A label for two mentions of a text; the record holds the text as it stands, and the view decides what is read.

    A record without ``entities`` is already masked, as in files of BLUE: only the view ``mask`` can read it.
    """

    name: ClassVar[str] = "relation"
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    gold_cells: ClassVar[Mapping[str, Cell]] = {"label": "text"}
    optional_cells: ClassVar[Mapping[str, Cell]] = {
        "entities": "entities",
        **{f"{field}_{side}": cell for side in SIDES for field, cell in ARGUMENT_CELLS.items()},
    }
    views: ClassVar[tuple[str, ...]] = tuple(VIEWS)
    negative: ClassVar[str | None] = "none"
    metric: ClassVar[str] = "micro_f1_positive"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1_positive", "concept_pair_f1")

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses another number of mentions than two, and a label that isn't one of the task's."""
        if "entities" in record and len(record["entities"]) != 2:
            return f"{len(record['entities'])} entities, expected the two arguments, first one first"
        return super().check_gold(record, task)

    def settled(self, head: HeadChoice) -> HeadChoice:
        """The choice with its view; the named heads read a whole text, which must show the pair by itself."""
        view = head.view or (DEFAULT_VIEW if head.name == DEFAULT else "mask")
        return head.model_copy(update={"view": view})

    def required(self, task: Task, head: HeadChoice = DEFAULT_HEAD) -> tuple[str, ...]:
        """``entities``, unless the texts may be masked already."""
        return () if view_of(head).name == "mask" else ("entities",)

    def text(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> TextInput:
        """What the view shows of the record.

        Raises:
            InputError: a masked text, but the view needs the mentions.
        """
        relation = relation_of(task)
        if "entities" in record:
            return view_of(head).text(Pair.of(record, relation))
        if self.required(task, head):
            problem = f"task {task.name}: record {record.get('id')!r} has no entities"
            raise InputError(problem, expected=f"two mentions for view: {head.view}", fix="use view: mask")
        return TextInput((record["text"],))

    def positions(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32] | None:
        """The positions that the view reads."""
        if "entities" not in record:
            return None
        return view_of(head).positions(Pair.of(record, relation_of(task)), rows)

    def places(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32] | None:
        """The positions at which a view of the whole text shows the mentions."""
        if "entities" not in record:
            return None
        return view_of(head).places(Pair.of(record, relation_of(task)), rows)

    def features(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> NDArray[np.int64] | None:
        """The view's numbers of the pair."""
        if "entities" not in record:
            return None
        return view_of(head).features(Pair.of(record, relation_of(task)))

    def markers(self, head: HeadChoice = DEFAULT_HEAD) -> tuple[int, ...]:
        """Those of the view."""
        return view_of(head).markers

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """1, or 0 if a mention has no pieces."""
        return int((target >= 0).sum())


def view_of(head: HeadChoice) -> View:
    """The view of a head."""
    return VIEWS[head.view or DEFAULT_VIEW]


def relation_of(task: Task) -> RelationArguments:
    """A relation task's arguments.

    Raises:
        InputError: its record has none.
    """
    if task.relation is None:
        fix = "add `relation:` with the types of `first` and `second`"
        raise InputError(f"task {task.name}: a relation task without its arguments", fix=fix)
    return task.relation


def upgraded(task: Task, head: HeadChoice) -> tuple[Task, HeadChoice]:
    """The task and head of a model from before relation tasks had a type: a classification of masked texts.

    Its arguments are its own, or those of the package's task with its name.
    """
    known = known_tasks().get(task.name)
    arguments = task.relation or (known.relation if known else None)
    if arguments is None or task.type != Classification.name:
        return task, head
    if "directed" not in arguments.model_fields_set:  # such models asked about each pair once, in text order
        arguments = arguments.model_copy(update={"directed": False})
    changed = task.model_copy(update={"type": Relation.name, "relation": arguments})
    return changed, head.model_copy(update={"view": "mask"})
