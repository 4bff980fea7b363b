"""The tasks of a checkpoint's heads: as the user names them, or as the checkpoint's own settings do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from biomtl.checkpoints.mtdnn.heads import Head
from biomtl.checkpoints.mtdnn.settings import HeadTask, head_tasks
from biomtl.errors import InputError, nearest
from biomtl.tasks.registry import get_task
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import task_type, type_of

SPELLING = "NAME=TYPE:COUNT for each head in the checkpoint's order, such as nli=san-classification:3,ner=tagging:6"
_SPELLED = {
    "classification": ("classification", None),
    "pair-classification": ("classification", "pair"),
    "san-classification": ("classification", "pair"),
    "regression": ("regression", "pair"),
    "tagging": ("tagging", "tokens"),
    "ranking": ("ranking", "candidates"),
    "span": ("span", "pair"),
}

#: MT-BlueBERT's label orders (id 0 first), as in its users' checkpoints. The taggers' last three labels are its
#: marks for continuation pieces, [CLS] and [SEP]; a word can be predicted as one of them, which counts as O.
LABELS: dict[str, list[str]] = yaml.safe_load(
    (resources.files("biomtl.checkpoints.mtdnn") / "labels.yaml").read_text(encoding="utf-8")
)


def parse_tasks(text: str, heads: Sequence[Head], path: Path) -> list[Task]:
    """The tasks that the user gives for the heads, in order.

    Args:
        text: ``NAME=TYPE:COUNT,…``, or with labels instead of the count, ``NAME=TYPE:first|second``.
        heads: the checkpoint's heads.
        path: the checkpoint, for error messages.

    Raises:
        InputError: the number of heads, a type or a size doesn't match.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if len(entries) != len(heads):
        fix = f'such as --tasks "{suggest(heads)}"'
        raise InputError(f"{len(entries)} tasks for {len(heads)} heads", path=path, expected=SPELLING, fix=fix)
    tasks = [_parse(entry, head, path) for entry, head in zip(entries, heads, strict=True)]
    for i, task in enumerate(tasks):
        if task.name in {other.name for other in tasks[:i]}:
            raise InputError(f"task {task.name} occurs twice in --tasks", path=path, expected="each name once")
    return tasks


def own_tasks(
    heads: Sequence[Head], settings: Mapping[str, Any], path: Path
) -> tuple[list[Task | None], list[str]] | None:
    """The tasks named by the checkpoint's own settings, and what to say about them; ``None`` if they don't fit.

    A head whose task has no counterpart here gets no task.

    Raises:
        InputError: a definition that can't be a task, such as labels that are listed twice.
    """
    named = head_tasks(settings)
    if not heads or any(head.number not in named for head in heads):
        return None
    tasks: list[Task | None] = []
    notes = []
    for head in heads:
        given = named[head.number]
        if given.type is None or not head.outputs:
            tasks.append(None)
            notes.append(f"{given.name}: a head without a counterpart here is left out")
            continue
        if given.labels and len(given.labels) != head.outputs:
            notes.append(f"{given.name}: {len(given.labels)} labels for {head.outputs} outputs, so they are not used")
            given = HeadTask(given.name, given.type, given.inputs, (), given.metrics, given.dropout)
        if given.type == "classification" and head.san and given.inputs is None:
            given = HeadTask(given.name, given.type, "pair", given.labels, given.metrics, given.dropout)
        task = _task(given, head.outputs, "the checkpoint's settings")
        known = _known(given.name, str(given.type))
        if known is not None and known.name != given.name and known.name not in {named[i].name for i in named}:
            notes.append(f"{given.name} is {known.name} here")
            task = task.model_copy(update={"name": known.name})
        tasks.append(task)
    return tasks, notes


def suggest(heads: Sequence[Head]) -> str:
    """A template for ``--tasks`` with the right sizes, for the user to fill in names and types."""
    head_types = [
        "san-classification" if h.san else "regression" if h.outputs == 1 else "classification" for h in heads
    ]
    return ",".join(
        f"task{head.number}={head_type}:{head.outputs}" for head, head_type in zip(heads, head_types, strict=True)
    )


def _parse(entry: str, head: Head, path: Path) -> Task:
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([a-z-]+):(.+)", entry)
    if not match:
        raise InputError(f"--tasks {entry!r}", expected=SPELLING)
    name, head_type, rest = match.groups()
    if head_type not in _SPELLED:
        raise InputError(f"--tasks {entry!r}: unknown type {head_type!r}", fix=nearest(head_type, _SPELLED))
    labels = tuple(rest.split("|")) if not rest.isdigit() else ()
    count = len(labels) or int(rest)
    if count != head.outputs or (head_type == "san-classification") != head.san:
        is_ = f"a {'SAN' if head.san else 'linear'} head of {head.outputs} outputs"
        raise InputError(f"head {head.number} is {is_}, not {head_type}:{count}", path=path, expected=SPELLING)
    base, inputs = _SPELLED[head_type]
    return _task(HeadTask(name, base, inputs, labels), count, f"--tasks {name}")


def _task(given: HeadTask, count: int, source: str) -> Task:
    """The record of a head's task; what the checkpoint doesn't say is that of BLUE's task of that name, if any."""
    assert given.type is not None
    kind = task_type(given.type)
    labelled = ("label" in kind.gold_cells and kind.gold_cells["label"] == "text") or "tags" in kind.gold_cells
    known = _known(given.name, given.type)
    labels = given.labels
    if labelled and not labels and known is not None and len(LABELS[known.name]) == count:
        labels = tuple(LABELS[known.name])
    fields: dict[str, Any] = {"name": given.name, "type": given.type, "metric": kind.metric}
    default = kind.inputs[-1] if given.type in ("regression", "span") else kind.inputs[0]
    fields["inputs"] = given.inputs if given.inputs in kind.inputs else known.inputs if known else default
    if labelled:
        fields["labels"] = labels or tuple(f"LABEL_{i}" for i in range(count))
        if known is not None and known.negative in fields["labels"]:
            fields["negative"] = known.negative
    if known is not None and not given.metrics:
        fields |= {"metric": known.metric, "metrics": known.metrics}
    elif given.metrics:
        if any(metric.endswith("_positive") for metric in given.metrics) and "negative" not in fields:
            fields["negative"] = fields["labels"][0]  # F1 of two classes counts the second
        fields |= {"metric": given.metrics[0], "metrics": given.metrics[1:]}
    if known is not None:
        fields["score_range"] = known.score_range
    try:
        return Task(**fields)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"{source}: {message}", expected=SPELLING) from error


def _known(name: str, base: str) -> Task | None:
    """The BLUE task of that name and type."""
    try:
        task = get_task(name)
    except InputError:
        return None
    return task if base in type_of(task).family and (base == "regression" or task.name in LABELS) else None
