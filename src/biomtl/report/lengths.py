"""How long the texts are, and whether the long ones are answered worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biomtl.report.answers import Answers
from biomtl.tasks.types.base import Record

BORDERS = (16, 32, 64, 128, 256)
"""Words of the classes of lengths, at most."""


@dataclass(frozen=True)
class LengthClass:
    """Rows of similar length: how many, and the share of them with an error."""

    words: str
    rows: int
    wrong: float


@dataclass(frozen=True)
class TextLengths:
    """The words of a task's rows in one split: median, 95 % quantile and maximum, then by class."""

    task: str
    split: str
    rows: int
    median: float
    long: float
    longest: int
    classes: tuple[LengthClass | None, ...]


def class_names() -> list[str]:
    """The classes' names, shortest first."""
    starts = (1, *(border + 1 for border in BORDERS))
    return [*(f"{a}-{b}" for a, b in zip(starts, BORDERS, strict=False)), f"{starts[-1]}+"]


def lengths(answers: Answers, wrong: set[str]) -> TextLengths:
    """The lengths of a split's rows.

    Args:
        answers: the rows.
        wrong: the ids of those with an error.
    """
    words = np.array([_words(record) for record in answers.gold])
    faulty = np.array([str(record.get("id")) in wrong for record in answers.gold])
    at = np.searchsorted(BORDERS, words)
    classes = [
        LengthClass(name, int((at == i).sum()), float(faulty[at == i].mean())) if (at == i).any() else None
        for i, name in enumerate(class_names())
    ]
    median, long = (float(value) for value in np.quantile(words, (0.5, 0.95)))
    return TextLengths(answers.task.name, answers.split, len(words), median, long, int(words.max()), tuple(classes))


def shown_classes(found: Sequence[TextLengths]) -> list[int]:
    """The classes that any split has rows of."""
    return [i for i in range(len(BORDERS) + 1) if any(entry.classes[i] is not None for entry in found)]


def _words(record: Record) -> int:
    if "tokens" in record:
        return len(record["tokens"])
    return sum(len(str(record[key]).split()) for key in ("text", "text_a", "text_b") if record.get(key))
