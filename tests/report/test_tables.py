"""The tables for people: no name is cut short, however narrow the terminal; output to a pipe isn't wrapped."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from biomtl.formats.model import Document, Mention, Relation
from biomtl.report.console import PIPED, table_console
from biomtl.report.tables import annotation, plan_table, score_table
from biomtl.results import Results
from biomtl.scoring import MetricResult, Score
from biomtl.tasks import known_tasks
from biomtl.training.data import DataPlan
from biomtl.training.mixer import TaskPlan
from biomtl.training.recipe_io import make_recipe


def printed(table: object, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue().splitlines()


def plan(names: list[str]) -> DataPlan:
    rows = [TaskPlan(task=name, entries=19780, examples=19780.0, share=0.5, passes=1.0) for name in names]
    counts = dict.fromkeys(names, 19780)
    return DataPlan(rows, counts, {}, rows=1, texts=1, real_tokens=1, windowed=0, windows=0, truncated=0)


def results(names: list[str]) -> Results:
    metric = MetricResult("mse", "mean squared error", 8.729, 0.5, 0.5, 16943, 16.849, 20.827)
    scores = {name: Score(name, {"mse": metric}, 1, 1, "row", 0, 1000) for name in names}
    return Results.of([SimpleNamespace(split="test", scores=scores, mean=0.1)], {})


@pytest.mark.parametrize("table", ["plan", "scores"])
def test_all_names_and_numbers_are_whole_in_80_columns(table: str) -> None:
    names = list(known_tasks())
    recipe = make_recipe({"encoder": "e", "suite": "sample", "output": "o"})
    shown = plan_table(plan(names), known_tasks(), recipe) if table == "plan" else score_table(results(names), "test")
    lines = printed(shown)
    assert "…" not in "".join(lines)
    for name in names:
        assert any(line.split()[:1] == [name] for line in lines), name
    number = "19,780" if table == "plan" else "16.849-20.827"
    assert sum(number in line for line in lines) == len(names)


def test_a_long_name_is_folded_and_not_cut() -> None:
    name = "mentions-of-allergies-in-discharge-letters"
    lines = printed(score_table(results([name]), "test"))
    first = "".join(line.partition("┃")[0].partition("│")[0].strip() for line in lines)
    assert name in first
    assert "…" not in "".join(lines)


def test_a_pipe_is_wide_and_columns_narrows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert table_console().width == PIPED
    monkeypatch.setenv("COLUMNS", "90")
    assert table_console().width == 90


def test_an_annotated_document() -> None:
    mentions = (
        Mention("T0", "Drug", ((0, 3),), "ace", (), (("task", "one"), ("task", "two"), ("probability", "0.9012"))),
        Mention("T1", "Drug", ((9, 12),), "bud", (), (("task", "one"), ("probability", "0.8"))),
        Mention("T2", "Sentence", ((0, 13),), "ace slows bud", (), (("task", "topic"), ("label", "speed"))),
    )
    relations = (Relation("R0", "slows", (("Arg1", "T0"), ("Arg2", "T1")), (("task", "ddi"), ("probability", "0.5"))),)
    document = Document("1", "ace slow bud.", mentions=mentions, relations=relations)
    shown = printed(annotation(document, ["one", "two", "topic", "ddi", "idle"]))
    lines = [line.split(maxsplit=1) for line in shown]
    assert lines[0] == ["ace", "slow bud."]
    assert [[name, rest.strip()] for name, rest in lines[1:]] == [
        ["one", "ace (Drug, 0-3) 0.90; bud (Drug, 9-12) 0.80"],
        ["two", "ace (Drug, 0-3)"],
        ["topic", "speed"],
        ["ddi", "ace - bud (slows) 0.50"],
        ["idle", "-"],
    ]
