from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.training.recipe_io import load_recipe, make_recipe
from biomtl.training.selection import few_rows_note, selecting_score, selecting_tasks


def test_which_score_selects() -> None:
    gains = {"a": 0.5, "b": 0.7, "error": -0.2}
    assert selecting_score(None, gains, 0.4) == selecting_score("mean", gains, 0.4) == 0.4
    assert selecting_score("error", gains, 0.4) == -0.2
    assert selecting_score(("a", "b"), gains, 0.4) == pytest.approx(0.6)


def test_recipes_name_one_task_or_several(tmp_path: Path) -> None:
    tasks = {"a": {}, "b": {}, "c": {}}
    assert make_recipe({"tasks": tasks, "metric_for_best_model": ["a", "c"]}).metric_for_best_model == ("a", "c")
    assert selecting_tasks(make_recipe({"tasks": tasks, "metric_for_best_model": "b"}).metric_for_best_model) == ("b",)
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: [a, b]\nmetric_for_best_model: [a, d]\n")
    with pytest.raises(InputError, match=r"mine.yaml:2: metric_for_best_model is 'd', choose mean or one of the tasks"):
        load_recipe(path)
    path.write_text("tasks: [a, b]\nmetric_for_best_model: []\n")
    with pytest.raises(InputError, match="metric_for_best_model"):
        load_recipe(path)


def test_small_dev_splits_beside_large_ones_are_named() -> None:
    rows = {"biosses": 16, "hoc": 1496, "ddi2013": 7244}
    note = few_rows_note(rows, "mean")
    assert note is not None
    assert "biosses (16 dev rows); `metric_for_best_model: [hoc, ddi2013]` leaves it out" in note
    assert few_rows_note(rows, ("hoc", "ddi2013")) is None
    assert few_rows_note(rows, "biosses") is None
    assert few_rows_note({"biosses": 16, "other": 20}, None) is None
