"""The curves of a run from its ``log.jsonl``: losses, scores on dev, learning rate, and the mix of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.report.chart import Chart, line_chart
from biomtl.storage.files import read_jsonl

LARGEST = 1e100  # of a log: nothing larger can be drawn
SMOOTHING = 0.95  # of the loss curves: single batches are too noisy
PARTS = 20  # of a run, for the shares of tasks
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Mixed:
    """A task's part in the run.

    ``texts`` it got in all, its ``share`` of all texts, its ``planned`` share and the ``passes`` over its texts, as far
    as they are known.
    """

    task: str
    texts: int
    share: float
    planned: float | None
    passes: float | None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that can be drawn, up to a broken one; none if there is no log."""
    lines: list[dict[str, Any]] = []
    try:
        for _, line in read_jsonl(path) if path.is_file() else ():
            if _drawable(line.get("step")):
                lines.append(line)
    except InputError:  # a killed process may have left half a line
        pass
    return lines


def learning_charts(lines: Iterable[Mapping[str, Any]]) -> list[Chart]:
    """Losses, scores on dev and learning rate by step."""
    losses: dict[str, Points] = {}
    scores: dict[str, Points] = {}
    rates: Points = []
    for line in lines:
        step = line["step"]
        for task, loss in _numbers(line.get("losses")):
            curve = losses.setdefault(task, [])
            before = curve[-1][1] if curve else loss
            curve.append((step, SMOOTHING * before + (1 - SMOOTHING) * loss))
        for task, score in _items(line.get("scores")):
            if isinstance(score, dict) and _drawable(score.get("value")):
                scores.setdefault(task, []).append((step, score["value"]))
        if _drawable(line.get("lr")):
            rates.append((step, 1e6 * line["lr"]))
    charts = [
        line_chart("loss", "Loss per task, smoothed", _sorted(losses), x="step", y="loss"),
        line_chart("dev", "Main metric on dev", _sorted(scores), x="step", y="score", dots=True),
        line_chart("rate", "Learning rate", {"rate": rates}, x="step", y="rate × 10⁶"),
    ]
    return [chart for chart in charts if chart is not None]


def mixing_chart(lines: Sequence[Mapping[str, Any]], planned: Mapping[str, float]) -> Chart | None:
    """Each task's share of the texts over the run, and the planned one as a dashed line."""
    steps = [line for line in lines if isinstance(line.get("texts"), dict)]
    if not steps:
        return None
    size = max(1, -(-len(steps) // PARTS))
    curves: dict[str, Points] = {}
    names = sorted({task for line in steps for task, _ in _numbers(line["texts"])})
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        counts = _counted(part)
        total = sum(counts.values()) or 1.0
        for name in names:
            curves.setdefault(name, []).append((part[-1]["step"], 100 * counts.get(name, 0.0) / total))
    ends = (steps[0]["step"], steps[-1]["step"])
    plan = {name: [(end, 100 * planned[name]) for end in ends] for name in names if name in planned}
    return line_chart(
        "mixing", "Share of the texts: as it happened, and dashed as planned", curves, x="step", y="%", dashed=plan
    )


def mixing_table(lines: Iterable[Mapping[str, Any]], plan: Mapping[str, Mapping[str, Any]]) -> list[Mixed]:
    """Each task's texts and share in the whole run beside the plan."""
    counts = _counted(line for line in lines if isinstance(line.get("texts"), dict))
    total = sum(counts.values()) or 1.0
    return [
        Mixed(
            task,
            int(count),
            count / total,
            plan.get(task, {}).get("share"),
            count / plan[task]["entries"] if plan.get(task, {}).get("entries") else None,
        )
        for task, count in sorted(counts.items())
    ]


def _counted(lines: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for line in lines:
        for task, count in _numbers(line["texts"]):
            counts[task] = counts.get(task, 0.0) + count
    return counts


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _numbers(value: Any) -> Iterable[tuple[str, float]]:
    return ((name, number) for name, number in _items(value) if _drawable(number))


def _drawable(value: Any) -> bool:
    """Whether a value of a log, which anything may have written to, is a number that can be drawn."""
    return type(value) in (int, float) and abs(value) < LARGEST


def _sorted(curves: Mapping[str, Points]) -> dict[str, Points]:
    return dict(sorted(curves.items()))
