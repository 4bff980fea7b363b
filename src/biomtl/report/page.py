"""``report.html``: a run on one page, without scripts or network access."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from biomtl.report.chart import Chart, Curve, line_chart
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_file, read_jsonl

LARGEST = 1e100  # of a log: nothing larger can be drawn
SMOOTHING = 0.95  # of the loss curves: single batches are too noisy


def write_report(folder: Path) -> Path:
    """Write ``report.html`` of a finished run from the files in its folder.

    Returns:
        The page's path.
    """
    results = Results.read(folder / FILE)
    lines = [line for _, line in read_jsonl(folder / "log.jsonl") if _drawable(line.get("step"))]
    evaluations = [line for line in lines if isinstance(line.get("scores"), dict)]
    steps = [line for line in lines if isinstance(line.get("losses"), dict)]
    charts: list[tuple[str, Chart | None]] = [("Loss per task", line_chart(_losses(steps), "smoothed loss"))]
    if len(evaluations) > 1:
        charts.append(("Scores on dev during training", line_chart(_dev(evaluations), "main metric")))
    page = (
        _templates()
        .get_template("page.html")
        .render(
            name=folder.name,
            results=results,
            charts=charts,
            recipe=(folder / "recipe.yaml").read_text(encoding="utf-8"),
            provenance=json.dumps(results.provenance, indent=2, ensure_ascii=False),
        )
    )
    with atomic_file(folder / "report.html") as stream:
        stream.write(page)
    return folder / "report.html"


def _drawable(value: Any) -> bool:
    """Whether a value of a log, which anything may have written to, is a number that can be drawn."""
    return type(value) in (int, float) and abs(value) < LARGEST


def _templates() -> Environment:
    """The package's templates; every value is escaped, and an undefined name is an error."""
    return Environment(
        loader=PackageLoader("biomtl.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _losses(steps: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in steps:
        for task, loss in line["losses"].items():
            if not _drawable(loss):
                continue
            curve = curves.setdefault(task, [])
            before = curve[-1][1] if curve else loss
            curve.append((line["step"], SMOOTHING * before + (1 - SMOOTHING) * loss))
    return dict(curves)


def _dev(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in evaluations:
        for task, score in line["scores"].items():
            if not isinstance(score, dict) or not _drawable(score.get("value")):
                continue
            curves.setdefault(task, []).append((line["step"], score["value"]))
    return dict(curves)
