"""Finished runs with invented scores on data of the benchmark's size, for whatever only reads ``metrics.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biomtl.results import Results, SplitScore
from biomtl.scoring.metrics import METRICS
from biomtl.scoring.result import MetricResult
from biomtl.tasks import get_task


def score(task: str, value: float, **changes: Any) -> SplitScore:
    """A score on the benchmark's test split: all metrics of the task have the value (a fraction of 1)."""
    record = get_task(task)
    assert record.catalogue is not None
    sizes = record.catalogue.expected["test"]
    rows = next((sizes[key] for key in ("rows", "pairs", "sentences") if key in sizes), 4000)
    support = next((sizes[key] for key in ("positives", "mentions") if key in sizes), rows)
    metrics = {
        name: MetricResult(name, METRICS[name].title, value, None, None, support, None, None)
        for name in (record.metric, *record.metrics)
    }
    fields: dict[str, Any] = {
        **{"metric": METRICS[record.metric].title, "value": value, "task": task, "main": record.metric},
        **{"metrics": metrics, "rows": rows, "units": sizes.get("documents", 100), "unit": "document"},
        **{"seed": 42, "resamples": 0},
    }
    return SplitScore(**{**fields, **changes})


def write_run(folder: Path, scores: dict[str, SplitScore], seed: int = 42, **data: str) -> Path:
    """A run folder with these scores on test; ``data`` gives a task's checksum."""
    facts = {"seed": seed, "data": {task: {"test": data.get(task, "benchmark")} for task in scores}}
    results = Results(tasks={task: {"test": s} for task, s in scores.items()}, mean={"test": 0.5}, provenance=facts)
    folder.mkdir(parents=True)
    results.write(folder / "metrics.json")
    return folder
