"""An invented run folder with a suite, for the tests of its page; no model is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biomtl.results import FILE, Results
from biomtl.scoring import score_records
from biomtl.suite import Suite, TaskData
from biomtl.tasks.task import Task

HOSTILE = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'><!-- {{ 7 * 7 }} \u2028 & \""
"""Markup that would run a script in a page that doesn't escape it."""
TASKS = (
    Task(
        name="names",
        type="tagging",
        inputs="tokens",
        metric="entity_f1_spans",
        labels=("O", f"B-{HOSTILE}", f"I-{HOSTILE}", "B-Drug", "I-Drug"),
    ),
    Task(name="kind", metric="micro_f1_positive", labels=("pain", HOSTILE, "none"), negative="none"),
    Task(name="topics", type="multilabel", metric="micro_f1", labels=("a", "b")),
    Task(name="alike", type="regression", inputs="pair", metric="pearson", score_range=(0, 5)),
)


def rows(number: int) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Gold and prediction of each task for one row; every fifth row is right."""
    right = number % 5 == 0
    other = f"B-{HOSTILE}" if number % 2 else "O"
    words = ["pola", f"teksa{number}", HOSTILE, "\U0001d54f", "vono"]
    tags = ["O", "B-Drug", "O", "O", "B-Drug"]
    text, label = " ".join(words), ("pain", HOSTILE, "none")[number % 3]
    wrong = ("pain", HOSTILE, "none")[(number + 1) % 3]
    sure = {"pain": 0.25, HOSTILE: 0.25, "none": 0.25, (label if right else wrong): 0.5}
    offsets = [[200 * i, 200 * i + len(word)] for i, word in enumerate(words)]
    topics = {"a": 0.9, "b": 0.2} if right else {"a": 0.2, "b": 0.9}
    said = tags if right else ["O", "B-Drug", "O", "B-Drug", other]
    return {
        "names": (
            {"tokens": words, "offsets": offsets, "tags": tags},
            {"tags": said, "probabilities": [0.9] * len(said)},
        ),
        "kind": ({"text": text, "label": label}, {"label": label if right else wrong, "probabilities": sure}),
        "topics": ({"text": text, "labels": ["a"]}, {"labels": ["a" if right else "b"], "probabilities": topics}),
        "alike": (
            {"text_a": text, "text_b": "other", "score": number % 5},
            {"score": number % 5 if right else (number + 2) % 5},
        ),
    }


def write(folder: Path, count: int = 10) -> Suite:
    """A run folder at ``folder / "first"`` and its suite beside it, both of ``count`` rows per task."""
    run, data = folder / "first", []
    for task in TASKS:
        both = [rows(number)[task.name] for number in range(count)]
        gold, predicted = (
            [{"id": f"{i}<b>", "doc_id": f"d{i // 3}", **side} for i, side in enumerate(sides)]
            for sides in zip(*both, strict=True)
        )
        for path, records in ((folder / "suite" / task.name, gold), (run / "predictions" / task.name, predicted)):
            path.mkdir(parents=True)
            (path / "test.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        data.append(TaskData(task, {"test": folder / "suite" / task.name / "test.jsonl"}))
    suite = Suite(data)
    scores = {t.name: score_records(t, suite[t.name].records("test"), _read(run, t.name), resamples=20) for t in TASKS}
    facts = {"encoder": HOSTILE, "seed": 1, "data": suite.provenance(), "plan": plan()}
    Results.of([Scored(scores)], facts).write(run / FILE)
    (run / "recipe.yaml").write_text(f"encoder: {json.dumps(HOSTILE)}\n")
    steps = [step(number) for number in range(1, 41)]
    dev = [{"step": n, "scores": {t.name: {"value": n / 50} for t in TASKS}} for n in (20, 40)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (*steps, *dev)))
    return suite


def step(number: int) -> dict[str, Any]:
    """A line of the log."""
    losses = {task.name: 2.0 / number + place for place, task in enumerate(TASKS)}
    return {"step": number, "lr": 1e-4, "losses": losses, "texts": {task.name: 3 for task in TASKS}}


def plan() -> dict[str, Any]:
    """What was planned."""
    tasks = {task.name: {"entries": 30, "share": 0.25, "passes": 4.0} for task in TASKS}
    return {"max_length": 64, "texts": 100, "windowed": 3, "windows": 8, "truncated": 0, "divided": {}, "tasks": tasks}


class Scored:
    """What a scored split looks like to ``Results``."""

    split = "test"

    def __init__(self, scores: Any) -> None:
        self.scores = scores
        self.mean = 0.5


def _read(run: Path, task: str) -> list[dict[str, Any]]:
    path = run / "predictions" / task / "test.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]
