"""Published scores as columns: which metric on which data, and whether a run's score belongs in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from biomtl.results import SplitScore
from biomtl.scoring.metrics import METRICS
from biomtl.study.arms import ScoredRun
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Published, Split, Task
from biomtl.training.folder import RECIPE
from biomtl.training.recipe_io import load_recipe

SPLIT: Split = "test"
"""Published scores are those of the test split."""
NEAR: Mapping[str, float] = {
    "pairs": 0.01,
    "positives": 0.01,
    "documents": 0.01,
    # Negative pairs and sentences depend on the sentence splitter, disjoint mentions on who counts them.
    "rows": 0.05,
    "sentences": 0.05,
    "mentions": 0.1,
}
"""How far a count may be from the benchmark's, as a fraction of it, for the data to count as the same."""


@dataclass(frozen=True)
class Column:
    """A metric of a task on the benchmark's test split, with the scores published for it."""

    task: Task
    metric: str
    published: tuple[Published, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Task and metric."""
        return self.task.name, self.metric

    @property
    def title(self) -> str:
        """The metric's full name."""
        return METRICS[self.metric].title

    def value(self, score: SplitScore) -> float | None:
        """A run's score by the column's metric, x100; None if it wasn't scored by it."""
        found = score.metrics.get(self.metric)
        return None if found is None else 100 * found.value


def columns(task: str) -> list[Column]:
    """A column for each metric that scores of the task were published in, the benchmark's own first."""
    record = known_tasks().get(task)
    published = record.catalogue.published if record is not None and record.catalogue is not None else ()
    if record is None:
        return []
    metrics = dict.fromkeys(entry.metric for entry in published)
    return [Column(record, metric, tuple(e for e in published if e.metric == metric)) for metric in metrics]


def published_score(task: str, system: str) -> tuple[Column, Published] | None:
    """A system's published score of a task, with its column."""
    for column in columns(task):
        for entry in column.published:
            if entry.system == system:
                return column, entry
    return None


def systems(tasks: Iterable[str]) -> list[str]:
    """The systems with a published score of any of the tasks, in the records' order."""
    return list(dict.fromkeys(entry.system for task in tasks for column in columns(task) for entry in column.published))


def counted(score: SplitScore) -> dict[str, int]:
    """A scored split's sizes by the names that a task's catalogue counts them under."""
    main = score.metrics[score.main].support
    units = {"documents": score.units} if score.unit == "document" else {}
    rows = dict.fromkeys(("rows", "pairs", "sentences"), score.rows)
    return {**rows, "positives": main, "mentions": main, **units}


def deviations(task: Task, score: SplitScore) -> tuple[list[str], list[str]]:
    """Counts that differ from the benchmark's: those that make it other data, and those that are only to be stated."""
    expected = task.catalogue.expected.get(SPLIT, {}) if task.catalogue else {}
    found = counted(score)
    other: list[str] = []
    near: list[str] = []
    for unit, limit in NEAR.items():
        if unit not in expected or unit not in found or found[unit] == expected[unit]:
            continue
        said = f"{found[unit]:,} {unit} where the benchmark has {expected[unit]:,}"
        (other if abs(found[unit] - expected[unit]) > limit * expected[unit] else near).append(said)
    return other, near


def protocol(run: ScoredRun, task: str) -> list[str]:
    """How a run's training differs from one on all rows of train, as far as its recipe says."""
    path = run.folder / RECIPE
    if not path.is_file():
        return []
    recipe = load_recipe(path)
    options = recipe.tasks.get(task)
    notes = ["trained on train + dev"] if recipe.train_on == "train+dev" else []
    if options is not None and options.max_rows is not None:
        notes.append(f"trained on {options.max_rows:,} rows at most")
    return notes
