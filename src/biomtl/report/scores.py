"""The main scores of a run, each beside published ones and a baseline run's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from biomtl.results import Results
from biomtl.scoring.metrics import METRICS
from biomtl.scoring.result import MetricResult
from biomtl.scoring.suite import SuiteScore
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Published, Split

NEAR = 0.2  # of a published test set's size: a set of a size further off is another one
_ARXIV = re.compile(r"arXiv[: ]?(\d{4}\.\d{4,5})", re.IGNORECASE)
_REPOSITORIES = {
    "blue_benchmark_with_transformers": "sy-wada/blue_benchmark_with_transformers",
    "BLUE benchmark": "ncbi-nlp/BLUE_Benchmark",
    "BioT5X": "justinphan3110/SciFive",
    "OpenCodePapers": "DanBmh/OpenCodePapers",
}
_COUNTED = ("positives", "mentions", "pairs", "sentences", "documents", "rows")


@dataclass(frozen=True)
class Tested:
    """The difference from the baseline, positive where the run is better, with its 95 % interval and p-value."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Baseline:
    """Another run of the same tasks.

    Attributes:
        name: what it is called.
        results: its scores.
        tests: paired tests of main metrics by split and task, if the predictions are at hand.
        note: how they were tested, or why not.
    """

    name: str
    results: Results
    tests: Mapping[tuple[Split, str], Tested] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """A metric of a task on a split, in a table of scores.

    Attributes:
        task: the task.
        main: whether it is the task's main metric.
        metric: the result.
        few: whether the interval comes from few units.
        published: published scores by the same metric on a test set of this size, best first.
        before: the baseline's value.
        change: what the run is better by.
        tested: the paired test.
    """

    task: str
    main: bool
    metric: MetricResult
    few: bool
    published: tuple[Published, ...] = ()
    before: float | None = None
    change: float | None = None
    tested: Tested | None = None

    @property
    def on_scale(self) -> bool:
        """Whether the values lie between 0 and 1, as all but errors do."""
        return self.metric.id != "mse" and 0 <= self.metric.value <= 1


def score_rows(results: Results, split: Split, baseline: Baseline | None = None) -> list[ScoreRow]:
    """A row for every metric of every task that was scored on a split."""
    rows: list[ScoreRow] = []
    for task, score in results.on(split).items():
        other = baseline.results.on(split).get(task) if baseline else None
        for number, metric in enumerate(score.metrics.values()):
            before = other.metrics[metric.id].value if other and metric.id in other.metrics else None
            better = metric.id not in METRICS or METRICS[metric.id].higher_is_better
            change = None if before is None else (metric.value - before) * (1 if better else -1) + 0.0
            tested = baseline.tests.get((split, task)) if baseline and number == 0 else None
            published = _published(task, metric, score.rows, score.units) if split == "test" else ()
            rows.append(ScoreRow(task, number == 0, metric, score.few_units, published, before, change, tested))
    return rows


@dataclass(frozen=True)
class SuiteTable:
    """The score of a suite in parts: each part's name, scored tasks, all tasks, mean, and the baseline's mean."""

    whole: SuiteScore
    parts: tuple[tuple[str, int, int, float | None, float | None], ...]
    before: float | None


def suite_tables(results: Results, split: Split, baseline: Baseline | None = None) -> list[SuiteTable]:
    """The scores of suites in parts on a split, beside the baseline's."""
    others = {whole.suite: whole for whole in baseline.results.suite_scores(split)} if baseline else {}
    tables = []
    for whole in results.suite_scores(split):
        other = others.get(whole.suite)
        before = other.parts if other else {}
        parts = tuple((part, *n, whole.parts.get(part), before.get(part)) for part, n in whole.scored.items())
        tables.append(SuiteTable(whole, parts, other.value if other else None))
    return tables


def other_data(rows: Sequence[ScoreRow]) -> list[str]:
    """Benchmark tasks whose test set here is not the one of the published scores, which are therefore left out."""
    known = known_tasks()
    seen = {row.task for row in rows if row.published}
    names = dict.fromkeys(row.task for row in rows if row.task not in seen and row.task in known)
    return [name for name in names if (catalogue := known[name].catalogue) and catalogue.published]


def source_link(source: str) -> str | None:
    """The address of a source, if its words name one."""
    for words, repository in _REPOSITORIES.items():
        if words in source and "README" in source:
            return f"https://github.com/{repository}"
    if found := _ARXIV.search(source):
        return f"https://arxiv.org/abs/{found[1]}"
    return next((f"https://github.com/{name}" for words, name in _REPOSITORIES.items() if words in source), None)


def _published(task: str, metric: MetricResult, rows: int, units: int) -> tuple[Published, ...]:
    known = known_tasks().get(task)
    if known is None or known.catalogue is None:
        return ()
    expected = [count for key, count in known.catalogue.expected.get("test", {}).items() if key in _COUNTED]
    sizes = (metric.support, rows, units)
    if not any(abs(size - count) <= NEAR * count for size in sizes for count in expected):
        return ()
    same = [entry for entry in known.catalogue.published if entry.metric == metric.id]
    return tuple(sorted(same, key=lambda entry: -entry.value))
