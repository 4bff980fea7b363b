"""One tag per word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Answer, Cell, Record, TaskType
from biomtl.tasks.types.checks import check_labels
from biomtl.tasks.types.classification import softmax
from biomtl.text.alignment import render_tokens
from biomtl.text.base import Span, TextInput
from biomtl.text.tags import chunks

MARKS = frozenset({"X", "CLS", "SEP"})
"""Classes of MT-BlueBERT's taggers for continuation pieces and special positions; on a word they mean ``O``."""


class Tagging(TaskType):
    """Each word's tag is read at its first piece; other pieces are neither trained nor predicted.

    A word that the tokenizer leaves without pieces is tagged ``O`` (or the first tag, if a task has no ``O``), so every
    word has a tag and every gold mention is scored.
    """

    name: ClassVar[str] = "tagging"
    inputs: ClassVar[tuple[str, ...]] = ("tokens",)
    answer: ClassVar[Answer] = "tags"
    gold_key: ClassVar[str] = "tags"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"tags": "words"}
    metric: ClassVar[str] = "entity_f1_spans"

    def text(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> TextInput:
        """The sentence as one string, with its words' spans."""
        text, spans = render_tokens(record["tokens"], record["offsets"])
        return TextInput((text,), words=tuple(spans))

    def words(self, record: Record, task: Task) -> Sequence[Span]:
        """The words' spans in that string."""
        return render_tokens(record["tokens"], record["offsets"])[1]

    def labels_from(self, names: Sequence[str]) -> tuple[str, ...]:
        """``O``, then ``B-`` and ``I-`` of every type; names may be tags or types."""
        types = dict.fromkeys("" if name in ("B", "I") else re.sub("^[BI]-", "", name) for name in names if name != "O")
        return (
            "O",
            *(f"{prefix}-{type_name}" if type_name else prefix for type_name in types for prefix in "BI"),
        )

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses anything but a list of the task's tags, one per token."""
        tags, tokens = record["tags"], record["tokens"]
        if isinstance(tags, list | tuple) and len(tags) != len(tokens):
            return f"{len(tokens)} tokens with {len(tags)} tags, expected one tag per token"
        return check_labels(tags, "tags", task)

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[words]``: each tag's index."""
        index = {label: i for i, label in enumerate(task.labels)}
        return np.array([index[tag] for tag in record["tags"]], dtype=np.int64)

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """The number of words with pieces."""
        return int((target >= 0).sum())

    def answers(self, task: Task) -> frozenset[str]:
        """Its tags, without the marks of pieces."""
        return super().answers(task) - MARKS

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``tags`` and ``probabilities`` (of each word's predicted tag)."""
        if not len(outputs):
            return {"tags": [], "probabilities": []}
        decisive = outputs
        if head.calibrated.negative_bias:
            decisive = outputs.copy()
            decisive[:, task.o_index] += head.calibrated.negative_bias
        best = decisive.argmax(-1)
        chosen = softmax(outputs / head.calibrated.temperature)[np.arange(len(best)), best]
        names = ["O" if label in MARKS else label for label in task.labels]
        return {"tags": [names[i] for i in best], "probabilities": [round(float(p), 6) for p in chosen]}

    def describe(self, record: Record, prediction: Record, task: Task) -> Record:
        """Adds ``mentions``: type (the task's name if tags have none), character offsets in the record's document,
        text, and the lowest word probability."""
        mentions = []
        for first, last, type_name in chunks(prediction["tags"]):
            start, end = record["offsets"][first][0], record["offsets"][last - 1][1]
            text = render_tokens(record["tokens"][first:last], record["offsets"][first:last])[0]
            probability = min(prediction["probabilities"][first:last])
            mentions.append(
                {
                    "type": type_name or task.name,
                    "start": start,
                    "end": end,
                    "text": text,
                    "probability": probability,
                }
            )
        return {**prediction, "mentions": mentions}
