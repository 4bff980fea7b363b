"""Which stage's model serves each task best, chosen on dev."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from biomtl.results import FILE, Results, SplitScore
from biomtl.scoring.metrics import METRICS
from biomtl.study.stage_plan import FINAL, StageRun


@dataclass(frozen=True)
class Best:
    """The stage whose model of a task has the best score on dev.

    Attributes:
        stage: the stage's name.
        dev: the main metric on dev, by which it was chosen.
        test: the main metric on test, ``None`` if it wasn't scored there.
    """

    stage: str
    dev: float
    test: float | None


def best_on_dev(runs: Iterable[StageRun]) -> dict[str, Best]:
    """Each task's best model on dev; of equal ones the joint model, which serves other tasks, too.

    Args:
        runs: finished runs of stages. Tasks that fewer than two of them scored on dev are left out.
    """
    found: dict[str, list[tuple[float, bool, Best]]] = {}
    for run in runs:
        if run.stage not in FINAL or not run.scores:
            continue
        results = Results.read(run.folder / FILE)
        test = results.on("test")
        for task, score in results.on("dev").items():
            best = Best(run.stage, score.value, test[task].value if task in test else None)
            found.setdefault(task, []).append((_goodness(score), run.stage == "joint", best))
    return {task: max(own, key=lambda one: one[:2])[2] for task, own in found.items() if len(own) > 1}


def _goodness(score: SplitScore) -> float:
    return score.value if METRICS[score.main].higher_is_better else -score.value


def sentence(best: Mapping[str, Best]) -> str:
    """``Best on dev: TASK: STAGE (DEV, on test TEST), …``."""
    shown = []
    for task, one in best.items():
        test = "" if one.test is None else f", on test {one.test:.3f}"
        shown.append(f"{task}: {one.stage} ({one.dev:.3f}{test})")
    return f"Best on dev: {'; '.join(shown)}."
