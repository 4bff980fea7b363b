"""The best stage of each task is chosen on dev, and test only looked up."""

from __future__ import annotations

from pathlib import Path

from biomtl.results import Results, SplitScore
from biomtl.study.best import Best, best_on_dev, sentence
from biomtl.study.stage_plan import StageRun
from biomtl.tasks.task import Split
from biomtl.training.recipe_io import make_recipe

Values = dict[str, dict[Split, float]]
METRIC = {"a": "accuracy", "b": "accuracy", "score": "mse"}


def write_run(folder: Path, stage: str, values: Values, *, scores: bool = True) -> StageRun:
    def score(task: str, value: float) -> SplitScore:
        known = {"metric": METRIC[task], "main": METRIC[task], "task": task, "value": value, "metrics": {}}
        return SplitScore.model_validate(known | {"rows": 9, "units": 9, "unit": "row", "seed": 0, "resamples": 0})

    tasks = {task: {split: score(task, v) for split, v in splits.items()} for task, splits in values.items()}
    place = folder / stage / "-".join(values)
    place.mkdir(parents=True)
    Results(tasks=tasks, mean={}, provenance={}).write(place / "metrics.json")
    return StageRun(stage, None, make_recipe({"output": str(place)}), scores=scores)


def test_dev_decides_whatever_test_says(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "1", "alone", {"a": {"dev": 0.8, "test": 0.5}}),
        write_run(tmp_path / "2", "alone", {"b": {"dev": 0.7, "test": 0.7}}),
        write_run(tmp_path / "3", "alone", {"b": {"dev": 1.0, "test": 1.0}}, scores=False),  # a further teacher
        write_run(tmp_path / "4", "alone", {"score": {"dev": 0.3}}),
        write_run(
            tmp_path / "5",
            "joint",
            {"a": {"dev": 0.7, "test": 0.9}, "b": {"dev": 0.7, "test": 0.6}, "score": {"dev": 0.2}},
        ),
        write_run(tmp_path / "6", "each", {"a": {"test": 1.0}}),
    ]
    best = best_on_dev(runs)
    assert best == {
        "a": Best("alone", 0.8, 0.5),
        "b": Best("joint", 0.7, 0.6),  # no worse than alone, and one model for all
        "score": Best("joint", 0.2, None),  # the smaller error
    }
    assert sentence(best) == (
        "Best on dev: a: alone (0.800, on test 0.500); b: joint (0.700, on test 0.600); score: joint (0.200)."
    )


def test_without_a_choice_there_is_no_best(tmp_path: Path) -> None:
    """Such as stages that train on dev, too, and a task that only one stage has."""
    alone = write_run(tmp_path, "alone", {"a": {"dev": 0.8, "test": 0.5}})
    assert best_on_dev([alone, write_run(tmp_path, "joint", {"a": {"test": 0.9}, "b": {"dev": 0.9}})]) == {}
