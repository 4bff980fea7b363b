"""The heads of an MT-DNN checkpoint: which it has, the tasks they serve, and their parameters in our modules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from torch import Tensor

from biomtl.errors import InputError, nearest
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.registry import get_task
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

SPELLING = "NAME=TYPE:COUNT for each head in the checkpoint's order, such as nli=san-classification:3,ner=tagging:6"
_TYPES = ("classification", "pair-classification", "san-classification", "regression", "tagging")
_CODES = {1: "classification", 2: "regression", 5: "tagging"}  # TaskType of the reference
_METRICS = {"classification": "accuracy", "regression": "pearson", "tagging": "entity_f1_spans"}
_PLAIN = {"weight": "network.stock.classifier.weight", "bias": "network.stock.classifier.bias"}
_SAN = {
    "query_wsum.att.linear.": "network.summary.",
    "attn.score_func.linear.": "network.attention.",
    "rnn.": "network.cell.",
    "classifier.proj.": "network.classifier.",
}

#: MT-BlueBERT's label orders (id 0 first), as in its users' checkpoints. The taggers' last three labels are its
#: marks for continuation pieces, [CLS] and [SEP]; a word can be predicted as one of them, which counts as O.
LABELS: dict[str, list[str]] = yaml.safe_load(
    (resources.files("biomtl.checkpoints.mtdnn") / "labels.yaml").read_text(encoding="utf-8")
)


@dataclass
class Head:
    """A head in the checkpoint's form: its parameters by their names within the head."""

    number: int
    parameters: dict[str, Tensor]
    choice: HeadChoice = DEFAULT_HEAD

    @property
    def san(self) -> bool:
        """Whether it is a stochastic answer network."""
        return "rnn.weight_ih" in self.parameters

    @property
    def outputs(self) -> int:
        """The number of logits."""
        last = "classifier.proj.weight" if self.san else "weight"
        return len(self.parameters[last]) if last in self.parameters else 0

    def choose(self, settings: Mapping[str, Any]) -> None:
        """Say which of our heads it is, by the checkpoint's ``config``."""
        if self.san:
            given = {"turns": settings.get("answer_num_turn"), "drop_turns": settings.get("answer_mem_drop_p")}
            options = {name: value for name, value in given.items() if value is not None}
            self.choice = HeadChoice(name="san", options=options)

    def state(self) -> dict[str, Tensor]:
        """The parameters with our modules' names, without SAN's ``alpha``, which the reference never reads."""
        if not self.san:
            return {_PLAIN[name]: value for name, value in self.parameters.items() if name in _PLAIN}
        state = {}
        for name, value in self.parameters.items():
            for theirs, ours in _SAN.items():
                if name.startswith(theirs):
                    state[ours + name.removeprefix(theirs)] = value
        return state


def find_heads(state: Mapping[str, Tensor]) -> list[Head]:
    """The heads in ``state`` (``scoring_list.N.…``), by number."""
    heads: dict[int, Head] = {}
    for name, value in state.items():
        if match := re.fullmatch(r"scoring_list\.(\d+)\.(.+)", name):
            number = int(match[1])
            heads.setdefault(number, Head(number, {})).parameters[match[2]] = value
    return [heads[number] for number in sorted(heads)]


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


def own_tasks(heads: Sequence[Head], settings: Mapping[str, Any]) -> str | None:
    """The tasks named by the checkpoint's own settings, in the form of ``--tasks``; ``None`` if they don't fit."""
    names, codes = settings.get("train_datasets"), settings.get("task_types")
    if not isinstance(names, list) or not isinstance(codes, list) or not len(names) == len(codes) == len(heads):
        return None
    if not all(code in _CODES for code in codes) or not all(isinstance(name, str) for name in names):
        return None
    head_types = ["san-classification" if head.san else _CODES[code] for head, code in zip(heads, codes, strict=True)]
    return ",".join(
        f"{name}={head_type}:{head.outputs}" for name, head_type, head in zip(names, head_types, heads, strict=True)
    )


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
    if head_type not in _TYPES:
        raise InputError(f"--tasks {entry!r}: unknown type {head_type!r}", fix=nearest(head_type, _TYPES))
    labels = tuple(rest.split("|")) if not rest.isdigit() else None
    count = len(labels) if labels else int(rest)
    if count != head.outputs or (head_type == "san-classification") != head.san:
        is_ = f"a {'SAN' if head.san else 'linear'} head of {head.outputs} outputs"
        raise InputError(f"head {head.number} is {is_}, not {head_type}:{count}", path=path, expected=SPELLING)
    return _task(name, head_type, labels, count)


def _task(name: str, head_type: str, labels: tuple[str, ...] | None, count: int) -> Task:
    base = head_type.split("-")[-1]
    fields: dict[str, Any] = {"name": name, "type": base, "metric": _METRICS[base]}
    known = _known(name, base)
    if labels is None and known is not None and base != "regression" and len(LABELS[known.name]) == count:
        labels = tuple(LABELS[known.name])
    if known is not None:
        fields |= {"metric": known.metric, "metrics": known.metrics, "score_range": known.score_range}
    if base == "tagging":
        fields["inputs"] = "tokens"
    elif "-" in head_type or base == "regression":
        fields["inputs"] = "pair"
    else:
        fields["inputs"] = known.inputs if known is not None else "text"
    if base != "regression":
        fields["labels"] = labels or tuple(f"LABEL_{i}" for i in range(count))
        if known is not None and known.negative in fields["labels"]:
            fields["negative"] = known.negative
    try:
        return Task(**fields)
    except ValidationError as error:
        raise InputError(f"--tasks {name}: {error.errors()[0]['msg']}", expected=SPELLING) from error


def _known(name: str, base: str) -> Task | None:
    """The BLUE task of that name and type."""
    try:
        task = get_task(name)
    except InputError:
        return None
    return task if base in type_of(task).family and (base == "regression" or task.name in LABELS) else None
