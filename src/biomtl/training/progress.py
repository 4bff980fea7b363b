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
    at_zero: int = 0
    """Evaluations on dev while the best score was as good as 0."""
    loss: float = 0.0
    """The sum of the steps' losses since the last evaluation."""
    losses: int = 0
    """The number of these steps."""
    lowest: float | None = None
    """The lowest mean loss between two evaluations."""


@dataclass(frozen=True)
class DevScores:
    """The scores of an evaluation on dev, higher is better: the one that selects the model, and each task's."""

    chosen: float
    tasks: Mapping[str, float] = field(default_factory=dict)
    errors: bool = False
    """Whether the chosen score is an error or holds one, so that 0 is nothing bad."""
