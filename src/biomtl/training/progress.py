"""How far a run has come, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Progress:
    """The progress of a run. ``batch`` counts the batches of ``epoch`` that are done."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    """Consecutive evaluations without improvement."""
    finished: bool = False
    """Whether the run stopped early."""


@dataclass(frozen=True)
class DevScores:
    """The scores of an evaluation on dev, higher is better: the one that selects the model, and each task's."""

    chosen: float
    tasks: Mapping[str, float] = field(default_factory=dict)
