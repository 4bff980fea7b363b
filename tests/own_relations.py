"""The user's own relations: their data, what they are read as, and documents with mentions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.suite import TaskData, load_suite

DATA = Path(__file__).parent / "data/custom"
ARGUMENTS: dict[str, Any] = {"first": "drug", "second": "illness"}


def own(path: str | Path, relation: dict[str, Any] | None = None, **given: Any) -> TaskData:
    """The data of a task over one file."""
    arguments = ARGUMENTS if relation is None else relation
    definition = TaskDefinition(type="relation", files=Files(train=str(path)), relation=arguments, **given)
    return load_suite("nowhere", ["mine"], {"mine": definition})["mine"]


def triples(data: TaskData) -> list[tuple[str, str, str]]:
    """The texts of both arguments and the label of every record."""
    return [(*(entity["text"] for entity in r["entities"]), r["label"]) for r in data.records("train")]


def fault(path: str | Path, relation: dict[str, Any] | None = None, **given: Any) -> str:
    """The error of a task."""
    with pytest.raises(InputError) as caught:
        own(path, relation, **given).records("train")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def document(text: str, *mentions: tuple[str, str], relations: tuple[tuple[str, str, str], ...] = ()) -> dict[str, Any]:
    """A document as JSON, with mentions ``(type, text)`` found in turn and relations ``(label, id, id)``."""
    found, at = [], 0
    for i, (mention_type, said) in enumerate(mentions):
        start = text.index(said, at)
        found.append({"id": f"T{i}", "type": mention_type, "start": start, "end": start + len(said)})
        at = start + 1
    named = [
        {"id": f"R{i}", "type": label, "arguments": [{"role": "a", "id": one}, {"role": "b", "id": other}]}
        for i, (label, one, other) in enumerate(relations)
    ]
    return {"id": "d1", "text": text, "mentions": found, "relations": named}


def lines(*values: dict[str, Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


PAIR = document(
    "Zalpidine cured asthma. Tremor was seen.",
    ("Drug", "Zalpidine"),
    ("Illness", "asthma"),
    ("Illness", "Tremor"),
    relations=(("cures", "T0", "T1"),),
)
