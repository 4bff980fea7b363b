"""Searches: what a space may hold, which trials count, and going on with them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

import tiny
from biomtl.errors import InputError
from biomtl.signals import Ended
from biomtl.study.tune import nested, tune
from biomtl.training.log import RunLog
from biomtl.training.recipe_io import make_recipe

QUIET = Console(quiet=True)


@pytest.fixture
def recipe(bert: Path, small_suite: Path, tmp_path: Path) -> Path:
    tasks = ["cls-text", "tag-drug"]
    return tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, tasks=tasks, ema_decay=0.5)


def _keys(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_search(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "policy": ["sqrt", "uniform"]}
    loaded = make_recipe({**_keys(recipe), "tune": space})
    found = tune(loaded, tmp_path / "s", 2, QUIET)
    assert len(found["trials"]) == 2
    assert set(found["best"]["keys"]) == {"learning_rate", "policy"}
    again = tune(loaded, tmp_path / "s", 3, QUIET)
    assert again["trials"][:2] == found["trials"]
    assert len(again["trials"]) == 3
    assert (tmp_path / "s" / "runs" / again["best"]["run"] / "model").is_dir()


def test_a_search_counts_its_own_trials_only(recipe: Path, tmp_path: Path) -> None:
    """Not those of another recipe or space in the same folder, whose scores mean something else."""
    pytest.importorskip("optuna")
    keys = {**_keys(recipe), "tune": {"learning_rate": {"low": 1e-5, "high": 1e-2}}}
    first = tune(make_recipe(keys), tmp_path / "s", 1, QUIET)
    other = tune(make_recipe({**keys, "ema_decay": 0.9}), tmp_path / "s", 1, QUIET)
    assert first["best"]["run"] != other["best"]["run"]
    listed = tune(make_recipe({**keys, "tune": {"learning_rate": [1e-4, 1e-3]}}), tmp_path / "s", 1, QUIET)
    assert len(listed["trials"]) == 1
    again = tune(make_recipe(keys), tmp_path / "s", 1, QUIET)
    assert again["trials"] == first["trials"]


def test_a_search_takes_up_the_trial_that_was_stopped(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    keys = {**_keys(recipe), "num_train_epochs": 2, "tune": {"learning_rate": {"low": 1e-5, "high": 1e-2}}}
    original = RunLog.step

    def step(self: RunLog, done: Any) -> None:
        original(self, done)
        if done.step == 5:
            raise Ended(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "step", step)
        with pytest.raises(Ended, match="run the same command again"):
            tune(make_recipe(keys), tmp_path / "s", 2, QUIET)
    (begun,) = (path.parent.name for path in (tmp_path / "s" / "runs").glob("*/recipe.yaml"))
    found = tune(make_recipe(keys), tmp_path / "s", 2, QUIET)
    assert [trial["state"] for trial in found["trials"]] == ["COMPLETE", "COMPLETE"]
    runs = [trial["run"] for trial in found["trials"]]
    assert runs[0] == begun
    assert len(set(runs)) == 2


def test_lists_and_mappings_are_values_too(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    schedules = [[1, 2], [2, 3]]
    keys = {**_keys(recipe), "lr_scheduler_type": "multi_step", "lr_milestones": [1], "num_train_epochs": 4}
    space = {"lr_milestones": schedules, "objective": [None, {"label_smoothing": 0.5}]}
    found = tune(make_recipe({**keys, "tune": space}), tmp_path / "s", 3, QUIET)
    assert all(trial["keys"]["lr_milestones"] in schedules for trial in found["trials"])
    assert json.loads((tmp_path / "s" / "best.json").read_text())["keys"] == found["best"]["keys"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"policy": ["sqrt", "temperature"]}, "a trial with {'policy': 'temperature'}: policy: temperature and a"),
        ({"learning_rate": ["fast", "slow"]}, "a trial with {'learning_rate': 'fast'}: learning_rate: 'fast'"),
    ],
)
def test_values_that_no_run_takes_are_refused_before_the_first_trial(
    recipe: Path, tmp_path: Path, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"tune: {message}"):
        tune(make_recipe({**_keys(recipe), "tune": space}), tmp_path / "s", 2, QUIET)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_goes_on_after_a_trial_that_diverged(recipe: Path, tmp_path: Path, workers: int) -> None:
    pytest.importorskip("optuna")
    keys = {**_keys(recipe), "max_grad_norm": 0, "warmup_steps": 0, "num_train_epochs": 2}
    loaded = make_recipe({**keys, "tune": {"learning_rate": [1e-3, 1e30]}})
    found = tune(loaded, tmp_path / "s", 6, QUIET, workers=workers)
    states = {trial["keys"]["learning_rate"]: trial["state"] for trial in found["trials"]}
    assert states == {1e-3: "COMPLETE", 1e30: "PRUNED"}
    assert found["best"]["keys"] == {"learning_rate": 1e-3}


def test_search_side_by_side(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    loaded = make_recipe({**_keys(recipe), "tune": space})
    found = tune(loaded, tmp_path / "s", 2, QUIET, workers=2)
    assert [trial["state"] for trial in found["trials"]] == ["COMPLETE", "COMPLETE"]
    log = [json.loads(line) for line in (tmp_path / "s" / "trials.log").read_text().splitlines()]
    reported = {line["trial_id"] for line in log if "intermediate_value" in line}
    assert reported == {0, 1}  # while they ran, so that hopeless ones can be given up


def test_trials_with_the_same_values_do_not_meet(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    loaded = make_recipe({**_keys(recipe), "tune": {"policy": ["sqrt", "uniform"]}})
    found = tune(loaded, tmp_path / "s", 3, QUIET, workers=3)
    assert {trial["state"] for trial in found["trials"]} == {"COMPLETE"}
    assert len(list((tmp_path / "s" / "runs").glob("*/metrics.json"))) <= 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1, 2]}, "tune names 'learning_rat', which is not a recipe key"),
        ({"smart.wait": [1, 2]}, r"tune names 'smart\.wait'"),
        ({"smart": [{}, None], "smart.weight": [1, 2]}, r"tune names both smart and smart\.weight, leave one out"),
        ({"tune_": [1, 2]}, r"tune names 'tune_', which is not a recipe key that can be searched, known: encoder"),
        ({"learning_rate": {"low": 1, "high": 0.1}}, "low 1 is not below high 0.1"),
        ({"learning_rate": {"low": 0, "high": 0.1, "log": True}}, "log needs a low above 0"),
        ({"policy": ["sqrt"]}, "1 value, give two or more"),
        ({"learning_rate": {"low": 1}}, r"tune\.learning_rate: no high, give \{low, high\} or a list"),
        ({"learning_rate": {"low": 1, "hihg": 2}}, "unknown key 'hihg', did you mean 'high'"),
        ({"learning_rate": 3}, r"tune\.learning_rate: 3, give \{low, high\} or a list of values"),
        ({"num_train_epochs": {"low": 1, "high": 5}}, "takes whole numbers, add whole: true"),
        ({"num_train_epochs": {"low": 1.5, "high": 5, "whole": True}}, "whole needs whole numbers for low and high"),
        ({"metric_for_best_model": ["mean", "hoc"]}, "which is not a recipe key that can be searched, leave it out"),
    ],
)
def test_spaces_that_do_not_fit(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_recipe({"tune": space})


def test_dotted_keys_keep_their_siblings() -> None:
    recipe = make_recipe({"smart": {"steps": 2}})
    assert nested(recipe, {"smart.weight": 3.0, "seed": 1}) == {"smart": {"steps": 2, "weight": 3.0}, "seed": 1}
