"""The results of scoring: values with full names, intervals, rows per label and how they were obtained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from biomtl.notebook import html_table

FEWEST_UNITS = 10
"""With fewer units than this a bootstrap interval says little and is usually too narrow, so it is marked."""
MARK = "*"
"""The mark of such an interval in tables."""


@dataclass(frozen=True)
class LabelRow:
    """One label's counts: ``support`` in gold, ``predicted`` in the prediction."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    correct: int


@dataclass(frozen=True)
class MetricResult:
    """One metric of one task, as a fraction of 1 (``mse`` in squared score units).

    ``precision`` and ``recall`` are None if the metric has none (correlations). ``support`` is the number of counted
    items in gold (rows, mentions, positive pairs, documents). ``low`` and ``high`` are the 95 % percentile
    bootstrap interval, None without resamples.
    """

    id: str
    title: str
    value: float
    precision: float | None
    recall: float | None
    support: int
    low: float | None
    high: float | None
    labels: tuple[LabelRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """``counts[i][j]``: rows whose gold label is ``labels[i]`` and whose predicted label is ``labels[j]``."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Score:
    """The scores of one task's predictions; ``metrics`` holds the main metric first."""

    task: str
    metrics: dict[str, MetricResult]
    rows: int
    units: int
    """Number of units for the bootstrap."""
    unit: str
    """The kind of unit: ``document``, or ``row`` if the records name no document."""
    seed: int
    resamples: int
    confusion: Confusion | None = None
    notes: tuple[str, ...] = ()

    @property
    def few_units(self) -> bool:
        """Whether the intervals come from so few units that they say little."""
        return bool(self.resamples) and self.units < FEWEST_UNITS

    @property
    def main(self) -> MetricResult:
        """The task's main metric."""
        return next(iter(self.metrics.values()))

    def __repr__(self) -> str:
        metrics = ", ".join(f"{metric.id} {metric.value:.3f}{_interval(metric)}" for metric in self.metrics.values())
        return f"Score({self.task!r}, {metrics}, {self.rows:,} rows)"

    def _repr_html_(self) -> str:
        """A table of the metrics, and one of the main metric's labels."""
        rows = [
            (m.title, m.value, _interval(m).strip(), *_blank(m.precision, m.recall), m.support)
            for m in self.metrics.values()
        ]
        headers = ("metric", "score", "95 % interval", "precision", "recall", "support")
        shown = html_table(headers, rows, caption=f"{self.task}: {self.rows:,} rows")
        if labels := self.main.labels:
            lines = [(row.label, row.f1, row.precision, row.recall, row.support, row.predicted) for row in labels]
            shown += html_table(("label", "F1", "precision", "recall", "support", "predicted"), lines)
        return shown

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``main`` names the main metric."""
        return {"task": self.task, "main": self.main.id, **asdict(self), "few_units": self.few_units}


def _interval(metric: MetricResult) -> str:
    return "" if metric.low is None or metric.high is None else f" [{metric.low:.3f}, {metric.high:.3f}]"


def _blank(*values: float | None) -> tuple[object, ...]:
    return tuple("" if value is None else value for value in values)


def few_units_note(units: int, unit: str) -> str:
    """The note below a table with a marked interval."""
    return f"{MARK} interval from {units} {unit}{'s' * (units != 1)} only: it says little and is usually too narrow"
