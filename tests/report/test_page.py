"""The run's page, from a small invented run folder."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from biomtl.report.page import write_report

METRIC = {
    "id": "accuracy",
    "title": "accuracy",
    "value": 0.5,
    "low": 0.25,
    "high": 0.75,
    "precision": 0.5,
    "recall": None,
    "support": 8,
}
SCORE = {"metric": "accuracy", "value": 0.5, "task": "mood<b>", "main": "accuracy", "rows": 8, "units": 8}
SCORE |= {"unit": "row", "seed": 0, "resamples": 1000}
METRICS = {
    "tasks": {"mood<b>": {"dev": {**SCORE, "metrics": {"accuracy": METRIC}}}},
    "mean": {"dev": 0.5},
    "provenance": {"encoder": "tiny", "biomtl": "0", "steps": 2, "seed": 1, "command": "biomtl train a.yaml"},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    (folder / "model").mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "recipe.yaml").write_text("encoder: <tiny>\n")
    lines = [{"step": i, "loss": 1.0 / i, "losses": {"mood<b>": 1.0 / i, "other": 2.0}} for i in (1, 2)]
    lines += [{"step": i, "scores": {"mood<b>": {"value": i / 4}}} for i in (1, 2)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_page_shows_scores_curves_and_provenance(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert "accuracy" in page
    assert "0.250 to 0.750" in page
    assert "&lt;tiny&gt;" in page
    assert "mood<b>" not in page, "names from data are escaped"
    assert "<script" not in page
    assert "http" not in page
    charts = [part.split("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    trees = [ElementTree.fromstring(f"<svg{chart}") for chart in charts]
    assert [len(tree.findall("polyline")) for tree in trees] == [2, 1], "one line per task: losses, then dev scores"
    first = trees[0].find("polyline")
    assert first is not None
    points = [tuple(map(float, point.split(","))) for point in first.get("points", "").split()]
    assert points[0][0] < points[1][0], "steps run to the right"
    assert points[0][1] < points[1][1], "a falling loss falls (SVG's y grows downwards)"
