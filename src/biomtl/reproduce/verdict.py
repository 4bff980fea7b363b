"""Expected figures beside ours, each with a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from biomtl.reproduce.paper import Expected
from biomtl.reproduce.plan import Reproduction
from biomtl.results import FILE, Results, SplitScore
from biomtl.storage.structured import read_json
from biomtl.study.arms import ScoredRun, read_arm
from biomtl.study.jobs import INDEX
from biomtl.study.published import SPLIT, Column, columns, deviations, published_score
from biomtl.tasks.task import Published

WITHIN, BELOW, ABOVE, NOT = "as expected", "below", "above", "not judged"


@dataclass(frozen=True)
class Figure:
    """A published figure and ours.

    Attributes:
        what: the figure's name.
        metric: its metric, or what is counted.
        expected: the published one, x100 for scores and points for gains.
        tolerance: how far from it ours counts as expected.
        ours: our figure in the same units; None if there is none.
        verdict: ``as expected``, ``below``, ``above`` or ``not judged``.
        source: where the expected one was read.
        remarks: how the protocols differ, and why a figure isn't judged.
    """

    what: str
    metric: str
    expected: float
    tolerance: float
    ours: float | None
    verdict: str
    source: str
    remarks: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and CSV."""
        return asdict(self)


def judged(ours: float | None, expected: float, tolerance: float, why_not: str) -> str:
    """The verdict on a figure; a reason not to judge it comes first."""
    if why_not or ours is None:
        return NOT
    difference = round(ours - expected, 6)
    return WITHIN if abs(difference) <= tolerance else BELOW if difference < 0 else ABOVE


def figures(reproduction: Reproduction) -> list[Figure]:
    """All expected figures of a finished reproduction.

    Raises:
        InputError: runs that aren't finished.
    """
    if reproduction.paper.study == "pairs":
        return list(_of_pairs(reproduction))
    return [*_of_scores(reproduction), *_of_gain(reproduction)]


def _of_scores(reproduction: Reproduction) -> Iterator[Figure]:
    """The single-task runs beside the published scores of their encoder."""
    scores = _scores(reproduction.place / "alone")
    systems, why_not = reproduction.systems, ""
    if not systems:
        systems, why_not = next(iter(reproduction.variant.systems.values())), "of another encoder (--system says which)"
    for task in reproduction.recipe.tasks:
        for system in systems:
            found = published_score(task, system)
            if found is not None:
                yield _of_score(reproduction, *found, scores[task], why_not)


def _of_score(
    reproduction: Reproduction, column: Column, published: Published, score: SplitScore, why_not: str
) -> Figure:
    other, near = deviations(column.task, score)
    ours = column.value(score)
    reasons = [f"other data: {', '.join(other)}"] * bool(other) + [why_not] * bool(why_not)
    reasons += [f"not scored by {column.metric}"] * (ours is None) + [published.data] * bool(published.data)
    tolerance = reproduction.paper.tolerance[column.task.name]
    return Figure(
        f"{column.task.name} alone, {published.system}",
        column.metric,
        published.value,
        tolerance,
        ours,
        judged(ours, published.value, tolerance, "; ".join(reasons)),
        published.source,
        "; ".join(filter(None, [*reasons, *near, published.protocol])),
    )


def _of_gain(reproduction: Reproduction) -> Iterator[Figure]:
    gain = reproduction.variant.gain
    if gain is None:
        return
    sides = [_scores(reproduction.place / stage) for stage in (gain.stage, gain.over)]
    tasks = list(reproduction.recipe.tasks)
    found = [[columns(task)[0].value(side[task]) for task in tasks] for side in sides]
    points = [a - b for a, b in zip(*found, strict=True) if a is not None and b is not None]
    reasons = other_data({task: sides[0][task] for task in tasks}) + [
        f"without {', '.join(reproduction.left_out)}"
    ] * bool(reproduction.left_out)
    what = f"mean gain of {gain.stage} over {gain.over}, {len(tasks)} tasks"
    yield _figure(what, "points of the tasks' own metrics", gain, sum(points) / len(points), reasons)


def _of_pairs(reproduction: Reproduction) -> Iterator[Figure]:
    expected = reproduction.variant.pairs_that_gain
    if expected is None:
        return
    study = read_json(reproduction.place / INDEX, "the finished pairs")
    gains = [pair["gain"] for pair in study["gains"].values()]
    alone = {task: _scores(reproduction.place / study["arms"][task][0])[task] for task in reproduction.recipe.tasks}
    reasons = other_data(alone) + [f"without {', '.join(reproduction.left_out)}"] * bool(reproduction.left_out)
    what = f"ordered pairs, of {len(gains)}, in which the first task gains"
    yield _figure(what, "count", expected, float(sum(gain > 0 for gain in gains)), reasons)


def _figure(what: str, metric: str, expected: Expected, ours: float, reasons: Sequence[str]) -> Figure:
    why_not = "; ".join(reasons)
    verdict = judged(ours, expected.value, expected.tolerance, why_not)
    return Figure(what, metric, expected.value, expected.tolerance, ours, verdict, expected.source, why_not)


def other_data(scores: Mapping[str, SplitScore]) -> list[str]:
    """Why scores don't belong beside published ones: tasks whose data have other sizes than the benchmark's."""
    other = [task for task, score in scores.items() if deviations(columns(task)[0].task, score)[0]]
    return [f"other data: {', '.join(other)}"] * bool(other)


def _scores(folder: Path) -> dict[str, SplitScore]:
    """Each task's test score of the runs in a folder."""
    if (folder / FILE).is_file():
        return ScoredRun(folder, Results.read(folder / FILE)).results.on(SPLIT)
    arm = read_arm(str(folder), SPLIT)
    return {task: arm.scores(task, SPLIT)[0] for task in arm.runs}
