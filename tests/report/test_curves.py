"""The curves of a log, whatever it contains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biomtl.report.curves import learning_charts, mixing_chart, mixing_table, read_log

PLAN = {"a": {"share": 0.75, "entries": 10}, "b": {"share": 0.25, "entries": 5}}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_planned_and_actual_mixing(tmp_path: Path) -> None:
    steps = [{"step": i, "texts": {"a": 3} | ({"b": 1} if i % 2 else {})} for i in range(1, 201)]
    log = read_log(written(tmp_path / "log.jsonl", *steps))
    first, second = mixing_table(log, PLAN)
    assert (first.task, first.texts, first.planned, first.passes) == ("a", 600, 0.75, 60)
    assert (second.share, second.passes) == (pytest.approx(100 / 700), 20)
    chart = mixing_chart(log, {task: facts["share"] for task, facts in PLAN.items()})
    assert chart is not None
    solid = {line.task: line.points for line in chart.lines if not line.dashed}
    assert [line.points[0][1] for line in chart.lines if line.dashed] == [75, 25]
    assert len(solid["b"]) == 20
    for (_, one), (_, other) in zip(solid["a"], solid["b"], strict=True):
        assert one + other == pytest.approx(100)


def test_a_log_of_an_older_version_has_no_mix(tmp_path: Path) -> None:
    log = read_log(written(tmp_path / "log.jsonl", {"step": 1, "losses": {"a": 1.0}}))
    assert mixing_chart(log, {}) is None
    assert mixing_table(log, {}) == []
    assert [chart.id for chart in learning_charts(log)] == ["loss"]


def test_values_that_cannot_be_drawn_are_skipped(tmp_path: Path) -> None:
    lines = [
        {"step": "one", "losses": {"a": 1.0}},
        {"step": 1, "losses": {"a": "high", "b": 1e300, "c": 2.0}, "lr": float("inf")},
        {
            "step": 2,
            "losses": ["a"],
            "scores": {"c": 1, "d": {"value": None}, "e": {"value": 0.5}},
            "texts": {"c": None},
        },
    ]
    log = read_log(written(tmp_path / "log.jsonl", *lines, '{"step": 3, "loss'))
    assert [line["step"] for line in log] == [1, 2], "the rest of a killed process's line is left out"
    charts = {chart.id: list(chart.tasks) for chart in learning_charts(log)}
    assert charts == {"loss": ["c"], "dev": ["e"]}
    assert read_log(tmp_path / "missing.jsonl") == []
