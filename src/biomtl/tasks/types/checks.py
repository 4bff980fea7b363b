"""Checks of every record apart from its gold value: identifiers, inputs, and offsets that match their text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from biomtl.errors import nearest
from biomtl.tasks.task import Task

MOST_WEIGHT = 1e6
INPUT_KEYS: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "pair": ("text_a", "text_b"),
    "tokens": ("tokens", "offsets"),
    "candidates": ("text", "candidates"),
}


WEIGHT = "weight"
"""The optional key of a record's weight, the factor of its loss in training."""


def check_weight(record: Mapping[str, Any]) -> str | None:
    """The problem with a record's weight, or None."""
    weight = record.get(WEIGHT, 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        return f"weight is a {type(weight).__name__}, expected a number"
    return None if 0 <= weight <= MOST_WEIGHT else f"weight {weight!s:.20}, expected 0 to {MOST_WEIGHT:g}"


def row_weights_note(task: str, weights: Sequence[float]) -> str | None:
    """A line on rows that don't count 1 in training; ``None`` if all do."""
    count = sum(weight != 1 for weight in weights)
    if not count:
        return None
    low, high, mean = min(weights), max(weights), sum(weights) / len(weights)
    rows = f"{count:,} of {len(weights):,} rows have a weight other than 1"
    return f"task {task}: {rows} (field `{WEIGHT}`: {low:g} to {high:g}, mean {mean:.3g})"


def check_inputs(record: Mapping[str, Any], task: Task, gold: Collection[str]) -> str | None:
    """The problem with a record of ``task`` (found, expected), or None.

    This checks the keys, identifiers and texts, that entities' offsets match their text, and that tokens and offsets
    match each other. It sees one record at a time: the caller must check that ids are unique.

    Args:
        record: the record.
        task: its task.
        gold: the keys of its gold value, which are required too.
    """
    wanted = ("id", "doc_id", *INPUT_KEYS[task.inputs], *gold)
    missing = [key for key in wanted if key not in record]
    if missing:
        return f"a record without {missing[0]!r}, expected the keys {', '.join(wanted)}"
    for key in ("id", "doc_id", *(key for key in INPUT_KEYS[task.inputs] if key.startswith("text"))):
        if not isinstance(record[key], str):
            return f"{key} is a {type(record[key]).__name__}, expected text"
        if not record[key].strip():
            return f"{key} is empty"
    if problem := check_weight(record):
        return problem
    return check_tokens(record) if task.inputs == "tokens" else check_entities(record)


def check_labels(labels: Any, key: str, task: Task) -> str | None:
    """The problem with a list of a task's labels."""
    if not isinstance(labels, list | tuple):
        return f"{key} is a {type(labels).__name__}, expected a list"
    for label in labels:
        if not isinstance(label, str) or label not in task.labels:
            return unknown_label(label, task.labels)
    return None


def unknown_label(label: object, known: Collection[str]) -> str | None:
    """The message for a label that isn't one of ``known``; None if it is."""
    if label in known if isinstance(label, str) else False:
        return None
    if label == "":
        return f"no label, expected one of {', '.join(known)}"
    guess = nearest(label, known) if isinstance(label, str) else ""
    return f"unknown label {label!r}, expected one of {', '.join(known)}" + (
        f", {guess}" if guess.startswith("did") else ""
    )


def _span(value: Any) -> tuple[int, int] | None:
    """``value`` as (start, end) if it is two ordered character positions."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    start, end = value
    sound = type(start) is int and type(end) is int and 0 <= start < end  # True is an int too, by isinstance
    return (start, end) if sound else None


def check_tokens(record: Mapping[str, Any]) -> str | None:
    """The problem with ``tokens`` and ``offsets``, or None."""
    tokens, offsets = record["tokens"], record.get("offsets")
    if not isinstance(tokens, list | tuple) or not isinstance(offsets, list | tuple):
        return "tokens and offsets must be lists"
    if not tokens:
        return "no tokens"
    if len(offsets) != len(tokens):
        return f"{len(tokens)} tokens with {len(offsets)} offsets, expected one [start, end] per token"
    last = 0
    for token, offset in zip(tokens, offsets, strict=True):
        if not isinstance(token, str) or not token:
            return f"token {token!r}, expected text"
        span = _span(offset)
        if span is None or span[1] - span[0] != len(token):
            return f"offsets {offset!r} for the token {token!r}, expected [start, end] with end - start = {len(token)}"
        if span[0] < last:
            return f"token {token!r} at {span[0]} starts before the end of the previous one ({last})"
        last = span[1]
    return None


def check_entities(record: Mapping[str, Any]) -> str | None:
    """The problem with a record's mentions, or None."""
    entities = record.get("entities", ())
    if not isinstance(entities, list | tuple):
        return f"entities is a {type(entities).__name__}, expected a list"
    for entity in entities:
        if not isinstance(entity, Mapping) or not {"id", "type", "start", "end", "text"} <= entity.keys():
            return f"entity {entity!r}, expected the keys id, type, start, end, text"
        for key in ("id", "type", "text"):
            if not isinstance(entity[key], str):
                return f"entity {entity['id']!r}: {key} is a {type(entity[key]).__name__}, expected text"
        concepts = entity.get("identifiers") or []
        if not isinstance(concepts, list | tuple) or not all(isinstance(concept, str) for concept in concepts):
            return f"entity {entity['id']!r}: identifiers {concepts!r:.40}, expected a list of texts"
        span, text = _span((entity["start"], entity["end"])), record.get("text", "")
        if span is None or span[1] > len(text):
            return f"entity {entity['id']!r} at [{entity['start']}, {entity['end']}], expected a span of the text"
        if text[slice(*span)] != entity["text"]:
            covered = text[slice(*span)]
            return f"entity {entity['id']!r}: the text at [{span[0]}, {span[1]}] is {covered!r}, not {entity['text']!r}"
    return None
