"""The two arguments of a relation record in a table: from its columns, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.types.checks import WEIGHT
from biomtl.tasks.types.relation import ARGUMENT_CELLS, SIDES

NEEDED = ("start", "end")
MAY_BE_EMPTY = frozenset(
    {WEIGHT, *(f"{field}_{side}" for side in SIDES for field in ARGUMENT_CELLS if field not in NEEDED)}
)
Both = tuple[str, str, tuple[tuple[int, int], tuple[int, int]]]


def missing_column(available: Mapping[str, str]) -> str | None:
    """The first column that a table with some columns of arguments lacks."""
    there = [field for side in SIDES for field in ARGUMENT_CELLS if f"{field}_{side}" in available]
    needed = [f"{field}_{side}" for side in SIDES for field in NEEDED]
    return next((name for name in needed if name not in available), None) if there else None


def with_entities(fields: dict[str, Any], relation: RelationArguments | None) -> dict[str, Any]:
    """A row's fields with its mentions in place of their columns; what can be told from the rest is added.

    An id may be missing, the text that the offsets cover, and a type if there is only one for the argument.

    Raises:
        ValueError: another number of mentions than two, or one without the type that the task needs.
    """
    columns = [field for field in fields if field.rpartition("_")[0] in ARGUMENT_CELLS]
    if columns:
        sides = [
            {field: fields[f"{field}_{side}"] for field in ARGUMENT_CELLS if f"{field}_{side}" in fields}
            for side in SIDES
        ]
        fields = {key: value for key, value in fields.items() if key not in columns} | {"entities": sides}
    if "entities" not in fields:
        return fields
    if len(fields["entities"]) != 2:
        raise ValueError(f"{len(fields['entities'])} entities, expected the two arguments, first one first")
    known: Sequence[tuple[str, ...]] = (relation.first, relation.second) if relation else ((), ())
    made = [
        _completed(entity, f"e{number}", types, fields.get("text"))
        for number, (entity, types) in enumerate(zip(fields["entities"], known, strict=True), 1)
    ]
    for entity, types, argument in zip(made, known, ("first", "second"), strict=True):
        if types and isinstance(entity, Mapping) and "type" not in entity:
            raise ValueError(f"no type of the {argument} argument, expected {' or '.join(types)}")
    return fields | {"entities": made}


def _completed(entity: Any, name: str, types: Sequence[str], text: Any) -> Any:
    if not isinstance(entity, Mapping):
        return entity
    start, end = entity.get("start"), entity.get("end")
    extra: dict[str, Any] = {"id": name} | ({"type": types[0]} if len(types) == 1 else {})
    if isinstance(text, str) and type(start) is type(end) is int:
        extra["text"] = text[max(start, 0) : max(end, 0)]
    given = {key: value for key, value in entity.items() if value not in (None, [])}
    if "identifiers" in given:
        given["identifiers"] = _concepts(given["identifiers"])
    return {**extra, **given}


def _concepts(value: Any) -> Any:
    """Concepts as texts in a list: JSON may have a single one, or numbers, as those of genes are."""
    values = value if isinstance(value, list) else [value]
    return [str(one) if type(one) is int else one for one in values]


def argument_problem(record: Mapping[str, Any], relation: RelationArguments, policy: str) -> str | None:
    """The problem with the arguments of an otherwise valid record, or ``None``.

    Args:
        record: a relation record; one without mentions has a masked text.
        relation: the task's arguments.
        policy: for overlapping mentions; ``keep`` allows them, other policies can't keep both.
    """
    if "entities" not in record:
        return None
    one, other = record["entities"]
    if blank := next((entity for entity in (one, other) if not entity["text"].strip()), None):
        return f"a mention of blanks at {blank['start']}, expected the characters of a mention"
    for entity, types, argument in ((one, relation.first, "first"), (other, relation.second, "second")):
        if relation.type_of(entity["type"]) not in types:
            swapped = ", as if the two were swapped" if relation.fits(other["type"], one["type"]) else ""
            return f"{argument} argument of type {entity['type']!r}{swapped}, expected {' or '.join(types)}"
    spans = [(entity["start"], entity["end"]) for entity in (one, other)]
    if spans[0] == spans[1] and relation.fits(other["type"], one["type"]):
        return f"both arguments are {one['text'][:40]!r} at {spans[0][0]}, expected two mentions"
    if policy != "keep" and spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]:
        return f"overlapping arguments {one['text'][:40]!r} and {other['text'][:40]!r}, refused by `mentions: {policy}`"
    return None


def both_ways(record: Mapping[str, Any], relation: RelationArguments) -> tuple[Both, Both] | None:
    """What identifies a record's pair in a table, and the same pair the other way round, if that is no other pair."""
    if relation.directed or "entities" not in record:
        return None
    if not relation.fits(*(entity["type"] for entity in reversed(record["entities"]))):
        return None
    one, other = ((entity["start"], entity["end"]) for entity in record["entities"])
    document = "" if record["doc_id"] == record["id"] else record["doc_id"]
    return (document, record["text"], (one, other)), (document, record["text"], (other, one))
