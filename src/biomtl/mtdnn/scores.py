"""MT-DNN's score files: a split's ``predictions``, ``uids`` and ``scores``, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.mtdnn.names import METRICS
from biomtl.mtdnn.rows import PIECE_MARKS
from biomtl.storage.files import atomic_file
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Record = dict[str, Any]
EXPECTED = "uids, predictions and scores of equal length, as MT-DNN writes them"


def is_scores(record: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a whole score file."""
    return record.keys() >= {"uids", "predictions", "scores"}


def is_row(record: Mapping[str, Any]) -> bool:
    """Whether a JSON line is a row of MT-DNN's: of MT-BlueBERT's second score file, of texts, or of word pieces."""
    return "uid" in record and not record.keys().isdisjoint({"prediction", "label"})


def read_scores(record: Mapping[str, Any], task: Task, where: str) -> list[Record]:
    """The predictions in a score file, as our records; word pieces' tags with the marks of pieces.

    Args:
        record: the file's object.
        task: its task, whose labels give the predictions' numbers a meaning.
        where: the file, for error messages.

    Raises:
        InputError: lists of other lengths, a number without a label, or a type that MT-DNN doesn't predict by rows.
    """
    uids, predictions, scores = (record[key] for key in ("uids", "predictions", "scores"))
    if not all(isinstance(value, list) for value in (uids, predictions, scores)):
        raise InputError("values that are not lists", path=where, expected=EXPECTED)
    answer = type_of(task).answer
    if answer not in ("label", "score", "tags"):
        raise InputError(f"a score file for type {task.type}", path=where, expected="our JSON lines")
    per_row = {"label": len(task.labels), "score": 1}.get(answer)
    if len(uids) != len(predictions) or (per_row and len(scores) != per_row * len(uids)):
        lengths = f"{len(uids)} uids, {len(predictions)} predictions, {len(scores)} scores"
        raise InputError(lengths, path=where, expected=f"as many of each, and {per_row} scores per row")
    records = []
    for row, uid in enumerate(uids):
        fields: Record = {"id": str(uid)}
        if answer == "score":
            fields["score"] = scores[row]
        elif answer == "tags":
            fields["tags"] = _tags(predictions[row], task, where)
        else:
            fields["label"] = _named(predictions[row], task.labels, where)
            values = scores[row * len(task.labels) : (row + 1) * len(task.labels)]
            fields["probabilities"] = dict(zip(task.labels, values, strict=True))
        records.append(fields)
    return records


def read_row(record: Mapping[str, Any], task: Task, where: str) -> Record:
    """The gold value or prediction in a JSON line of MT-DNN's, as our record."""
    answer = type_of(task).answer
    value = record["prediction"] if "prediction" in record else record["label"]
    fields: Record = {"id": str(record["uid"])}
    if answer == "score":
        return {**fields, "score": record["score"] if "prediction" in record and "score" in record else value}
    if answer == "tags":
        return {**fields, "tags": _tags(value, task, where)}
    return {**fields, "label": _named(value, task.labels, where)}


def without_marks(gold: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Gold and predicted tags of words, from those of pieces: positions that gold marks are left out.

    A mark that is predicted for a word counts as ``O``.
    """
    pairs = [(tag, other) for tag, other in zip(gold, predicted, strict=True) if tag not in PIECE_MARKS]
    return [tag for tag, _ in pairs], ["O" if other in PIECE_MARKS else other for _, other in pairs]


def check_writable(task: Task) -> None:
    """Refuse a task whose predictions `write_scores` can't write.

    Raises:
        InputError: a type that MT-DNN has no score file for.
    """
    if type_of(task).answer not in ("label", "score", "tags"):
        problem = f"task {task.name}: MT-DNN has no score file for type {task.type}"
        raise InputError(problem, expected="one label, score or tags per row", fix="leave out --format, or the task")


def write_scores(
    path: Path, task: Task, predictions: Iterable[Record], metrics: Mapping[str, float], *, overwrite: bool = False
) -> None:
    """Write a score file.

    Tags are those of words, not of pieces, and their scores are the probabilities of the predicted tags.

    Args:
        path: the file.
        task: the task, whose labels' positions are the numbers of predictions.
        predictions: our records.
        metrics: our metrics' values as fractions; MT-DNN's names are used where it has one, times 100.
        overwrite: replace an existing file.

    Raises:
        InputError: a type that MT-DNN has no score file for.
    """
    check_writable(task)
    answer = type_of(task).answer
    numbers = {label: number for number, label in enumerate(task.labels)}
    uids: list[str] = []
    chosen: list[Any] = []
    scores: list[float] = []
    for record in predictions:
        uids.append(record["id"])
        if answer == "score":
            chosen.append(0)
            scores.append(record["score"])
        elif answer == "tags":
            chosen.append([numbers[tag] for tag in record["tags"]])
            scores.extend(record["probabilities"])
        else:
            chosen.append(numbers[record["label"]])
            scores.extend(record["probabilities"][label] for label in task.labels)
    kind = type_of(task).name
    named = {ours: theirs for theirs, entry in reversed(list(METRICS.items())) if (ours := entry.get(kind))}
    values = {named.get(name, name): 100 * value if isfinite(value) else None for name, value in metrics.items()}
    with atomic_file(path, overwrite=overwrite) as stream:
        json.dump({"metrics": values, "predictions": chosen, "uids": uids, "scores": scores}, stream)
        stream.write("\n")


def _tags(values: Any, task: Task, where: str) -> list[str]:
    labels = (*task.labels, *(mark for mark in PIECE_MARKS if mark not in task.labels))
    if not isinstance(values, list):
        raise InputError(f"tags {values!r:.40}", path=where, expected="a list of numbers or names")
    return [_named(value, labels, where) for value in values]


def _named(value: Any, labels: Sequence[str], where: str) -> str:
    if isinstance(value, str) and value in labels:
        return value
    if type(value) is not int or not 0 <= value < len(labels):
        expected = f"a label of {', '.join(labels)}, or its number from 0"
        raise InputError(f"prediction {value!r:.40}", path=where, expected=expected)
    return labels[value]
