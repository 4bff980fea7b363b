"""Factors of the labels in the loss, from how often they occur in training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from biomtl.batch import EncodedExample
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of


def label_counts(examples: Iterable[EncodedExample], task: Task) -> NDArray[np.int64]:
    """How often each label occurs in training: ``[labels]``; for several labels at once ``[labels, 2]``.

    These are the numbers of outputs with and without the label.
    """
    targets = [
        example.target
        for encoded in examples
        for example in encoded.task_examples
        if example.task == task.name and example.target is not None
    ]
    values = np.concatenate(targets)
    if type_of(task).answer == "labels":
        return np.stack([values.sum(0), len(values) - values.sum(0)], -1).astype(np.int64)
    return np.bincount(values[values >= 0], minlength=len(task.labels)).astype(np.int64)


def label_factors(counts: NDArray[np.int64], rule: str) -> NDArray[np.float64]:
    """Inverse frequencies (of a label that never occurs, as if it had once), with mean 1 over the occurrences.

    Args:
        counts: see ``label_counts``.
        rule: ``balanced`` for 1/f, ``sqrt`` for 1/sqrt(f).
    """
    present = np.maximum(counts, 1).astype(np.float64)
    raw = present ** (-1.0 if rule == "balanced" else -0.5)
    mean = (raw * counts).sum(-1, keepdims=True) / counts.sum(-1, keepdims=True)
    return np.asarray(raw / mean, dtype=np.float64)


def weights_note(task: Task, examples: Iterable[EncodedExample]) -> str:
    """The counts and factors of a task with balanced labels, for the plan."""
    counts = label_counts(examples, task)
    factors = label_factors(counts, "balanced")
    if counts.ndim > 1:
        counts, factors = counts[:, 0], factors[:, 0]
    shown = [f"{label} {n:,} x {f:.3g}" for label, n, f in zip(task.labels, counts, factors, strict=True)]
    return f"{task.name}: class_weights, gold labels and the factor of their loss: {', '.join(shown)}"
