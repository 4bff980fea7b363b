"""A learning rate that falls when the dev score no longer rises."""

from __future__ import annotations

from typing import Any


class Plateau:
    """The rate's factor: a warm-up, then lower by ``gamma`` after so many evaluations without a better score.

    All parameter groups share it; its attributes are what a checkpoint keeps of it.

    Args:
        warmup: steps of warm-up.
        gamma: the factor of each fall.
        patience: evaluations without a better score that are borne.
    """

    def __init__(self, warmup: int, gamma: float, patience: int) -> None:
        self.warmup, self.gamma, self.patience = warmup, gamma, patience
        self.factor, self.stale = 1.0, 0
        self.best: float | None = None

    def __call__(self, step: int) -> float:
        """The factor of a step."""
        return min(1.0, step / self.warmup if self.warmup else 1.0) * self.factor

    def see(self, score: float) -> None:
        """Take notice of a dev score."""
        if self.best is None or score > self.best:
            self.best, self.stale = score, 0
            return
        self.stale += 1
        if self.stale > self.patience:
            self.factor, self.stale = self.factor * self.gamma, 0


def see_score(schedule: Any, score: float) -> None:
    """Tell a run's schedule a dev score, if it waits for one; the next step already has the new rate."""
    rates = getattr(schedule, "lr_lambdas", ())
    if not (rates and isinstance(rates[0], Plateau)):
        return
    rates[0].see(score)
    factor = rates[0](schedule.last_epoch)
    schedule._last_lr = [base * factor for base in schedule.base_lrs]  # from which a resumed run restores the rates
    for group, rate in zip(schedule.optimizer.param_groups, schedule._last_lr, strict=True):
        group["lr"] = rate
