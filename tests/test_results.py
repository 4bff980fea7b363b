"""``metrics.json``: one definition; files are read completely or refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from biomtl.errors import InputError
from biomtl.results import FORMAT, Results
from biomtl.scoring import score_records
from biomtl.tasks import SUITES, get_task
from biomtl.tasks.task import Task

TASK = Task(name="mood", labels=("good", "bad", "none"), negative="none", metric="micro_f1_positive")
GOLD = [
    {"id": str(i), "doc_id": str(i % 4), "text": "x", "label": label} for i, label in enumerate(["good", "bad"] * 6)
]


def made() -> Results:
    score = score_records(TASK, GOLD, [{**row, "label": "good"} for row in GOLD], resamples=20)
    scored = SimpleNamespace(split="test", scores={"mood": score}, mean=score.main.value)
    return Results.of([scored], {"seed": 1, "data": {"mood": {"test": "ab"}}})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    results = made()
    results.write(tmp_path / "metrics.json")
    assert Results.read(tmp_path / "metrics.json") == results
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert list(content) == ["format", "tasks", "mean", "provenance"]
    entry = content["tasks"]["mood"]["test"]
    assert list(entry)[:2] == ["metric", "value"]
    assert entry["value"] == entry["metrics"][entry["main"]]["value"]
    assert math.isclose(
        entry["metrics"]["micro_f1_positive"]["low"], results.on("test")["mood"].metrics[entry["main"]].low
    )
    assert results.on("dev") == {}


def test_a_file_of_the_first_release_is_read(tmp_path: Path) -> None:
    content = made().model_dump(mode="json")
    del content["format"]
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    assert Results.read(tmp_path / "metrics.json") == made()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{", "not JSON"),
        ("[]", "a JSON list, expected the scores of a finished run"),
        ("[" * 100_000, "not JSON (nested too deep)"),
        (
            json.dumps({"format": FORMAT + 1}),
            f"scores of format {FORMAT + 1}, expected {FORMAT} or older, update biomtl",
        ),
        (json.dumps({"tasks": {"mood": {"test": {"value": "x"}}}, "mean": {}, "provenance": {}}), "tasks.mood.test"),
        (json.dumps({"tasks": {}, "mean": {"tset": 1}, "provenance": {}}), "mean.tset"),
    ],
)
def test_invalid_results_are_refused_in_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "metrics.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as refused:
        Results.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_a_task_scored_by_another_metric_than_its_suites_is_missing() -> None:
    score = score_records(TASK, GOLD, [{**row, "label": "good"} for row in GOLD], resamples=0)
    scores = {name: replace(score, task=name) for name in SUITES["blurb"]}
    results = Results.of([SimpleNamespace(split="test", scores=scores, mean=0.5)], {})
    assert results.suites == {}
    (whole,) = results.suite_scores("test")
    by_it = [name for name in SUITES["blurb"] if get_task(name).metric == TASK.metric]
    assert by_it == ["blurb-chemprot", "blurb-ddi", "gad"]
    assert set(whole.missing) == set(SUITES["blurb"]) - set(by_it)


def test_a_models_results_are_those_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "run/model").mkdir(parents=True)
    made().write(tmp_path / "run/metrics.json")
    assert Results.of_model(tmp_path / "run") == Results.of_model(tmp_path / "run/model") == made()
    (tmp_path / "run/copy").mkdir()
    assert Results.of_model(tmp_path / "run/copy") is None
