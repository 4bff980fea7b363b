"""Scores beside published ones and a baseline's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from biomtl.report.scores import Baseline, other_data, score_rows, source_link
from biomtl.results import Results
from biomtl.scoring import MetricResult, Score
from biomtl.tasks import known_tasks


def results(task: str, metric: str, value: float, support: int) -> Results:
    result = MetricResult(metric, metric, value, 0.5, 0.5, support, value - 0.1, value + 0.1)
    score = Score(task, {metric: result}, support, support, "row", 0, 1000)
    return Results.of([SimpleNamespace(split="test", scores={task: score}, mean=value)], {})


def test_published_scores_need_the_same_metric_and_a_test_set_of_that_size() -> None:
    [row] = score_rows(results("chemprot", "micro_f1_positive", 0.7, 3458), "test")
    systems = [entry.system for entry in row.published]
    assert systems[0] == "BioLinkBERT large"
    assert "ELMo (PubMed, frozen)" in systems
    assert [entry.value for entry in row.published] == sorted((e.value for e in row.published), reverse=True)
    for other in (results("chemprot", "micro_f1_positive", 0.7, 40), results("chemprot", "accuracy", 0.7, 3458)):
        rows = score_rows(other, "test")
        assert rows[0].published == ()
        assert other_data(rows) == ["chemprot"]
    assert score_rows(results("mine", "accuracy", 0.7, 100), "test")[0].published == ()


def test_every_published_source_has_an_address() -> None:
    catalogues = [task.catalogue for task in known_tasks().values() if task.catalogue]
    sources = {entry.source for catalogue in catalogues for entry in catalogue.published}
    assert sources
    assert [source for source in sources if source_link(source) is None] == []
    assert source_link("a thesis") is None


@pytest.mark.parametrize(("metric", "better"), [("accuracy", 0.2), ("mse", -0.2)])
def test_a_lower_error_is_better(metric: str, better: float) -> None:
    baseline = Baseline("before", results("mine", metric, 0.5, 10))
    [row] = score_rows(results("mine", metric, 0.7, 10), "test", baseline)
    assert (row.before, row.change) == (0.5, pytest.approx(better))
