"""Studies: the runs, none trained twice, and the reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

import tiny
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.study import jobs as jobs_module
from biomtl.study import studies
from biomtl.study.changes import change_of, methods_of
from biomtl.study.jobs import job, run_in_process, study_folder
from biomtl.study.stage_plan import plan_stages
from biomtl.study.tune import nested, tune
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import load_recipe, make_recipe

QUIET = Console(quiet=True)


@pytest.fixture
def recipe(bert: Path, small_suite: Path, tmp_path: Path) -> Path:
    tasks = ["cls-text", "tag-drug"]
    return tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, tasks=tasks, ema_decay=0.5)


def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Records every run that is trained from now on."""
    found: list[Recipe] = []
    original = jobs_module.train

    def train(recipe: Recipe, **options: Any) -> Any:
        found.append(recipe)
        return original(recipe, **options)

    monkeypatch.setattr(jobs_module, "train", train)
    return found


def test_seeds(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    result = CliRunner().invoke(app, ["study", "seeds", str(recipe), "--out", str(tmp_path / "s"), "--seeds", "2"])
    assert result.exit_code == 0, result.output
    assert [one.seed for one in found] == [42, 43]
    assert not any(one.predict_test for one in found)
    study = json.loads((tmp_path / "s" / "study.json").read_text())
    assert list(study["tasks"]) == ["cls-text", "tag-drug", "mean"]
    own = study["tasks"]["cls-text"]
    assert own["mean"] == pytest.approx(sum(own["values"]) / 2)
    assert own["low"] <= own["mean"] <= own["high"]
    assert "cls-text" in result.output
    studies.seeds(load_recipe(recipe), tmp_path / "s", 3, QUIET)
    assert [one.seed for one in found] == [42, 43, 44]


def test_without_each_method(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    loaded = load_recipe(recipe, ["layer_decay=0.9"])
    comparison = studies.ablate(loaded, tmp_path / "s", QUIET)
    assert comparison.arms == ("as it is", "without layer_decay", "without ema_decay")
    assert [(one.layer_decay, one.ema_decay) for one in found] == [(0.9, 0.5), (None, 0.5), (0.9, None)]
    studies.ablate(loaded, tmp_path / "s", QUIET, keys=["ema_decay"])
    assert len(found) == 3
    balanced = load_recipe(recipe, ["layer_decay=0.9", "tasks.cls-text.rebalance=undersample"])
    comparison = studies.ablate(balanced, tmp_path / "s", QUIET, keys=["rebalance"])
    assert comparison.arms == ("as it is", "without rebalance")
    assert [one.tasks["cls-text"].rebalance for one in found[3:]] == ["undersample"]  # the other run is there already
    with pytest.raises(InputError, match="--key emadecay: no key of a recipe, did you mean 'ema_decay'"):
        studies.ablate(loaded, tmp_path / "s", QUIET, keys=["emadecay"])
    with pytest.raises(InputError, match="--key r_drop: the recipe doesn't give it"):
        studies.ablate(loaded, tmp_path / "s", QUIET, keys=["r_drop"])


@pytest.mark.parametrize("study", ["seeds", "ablate", "pairwise"])
def test_what_is_not_scored_is_refused_before_anything_is_trained(recipe: Path, tmp_path: Path, study: str) -> None:
    words = ["study", study, str(recipe), "--out", str(tmp_path / "s"), "eval_strategy=no"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert "a study on dev, but eval_strategy is no, so that nothing is scored on dev" in str(result.exception)
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_pairs_in_parallel(recipe: Path, tmp_path: Path) -> None:
    words = ["study", "pairwise", str(recipe), "--out", str(tmp_path / "s"), "--workers", "2"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "s" / "study.json").read_text())
    assert list(study["arms"]) == ["cls-text", "tag-drug", "cls-text+tag-drug"]
    assert set(study["gains"]) == {"cls-text with tag-drug", "tag-drug with cls-text"}
    scores = {
        arm: json.loads((tmp_path / "s" / runs[0] / "metrics.json").read_text())["tasks"]
        for arm, runs in study["arms"].items()
    }
    gain = scores["cls-text+tag-drug"]["cls-text"]["dev"]["value"] - scores["cls-text"]["cls-text"]["dev"]["value"]
    assert study["gains"]["cls-text with tag-drug"]["gain"] == pytest.approx(gain)
    ElementTree.parse(tmp_path / "s" / "transfer.svg")


def test_names_are_derived_from_what_determines_a_run(recipe: Path, small_suite: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)

    def name(**changes: Any) -> str:
        return job("a", loaded, tmp_path, changes, split="dev").folder.name

    assert name() == name() == name(num_threads=2) == name(save_steps=3)
    assert len({name(), name(seed=1), name(learning_rate=1e-2), name(ema_decay=None)}) == 4


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


def test_what_a_watcher_raises_stops_the_run(recipe: Path, tmp_path: Path) -> None:
    one = job("a", make_recipe({**_keys(recipe), "num_train_epochs": 1000}), tmp_path, {}, split="dev")

    def watch(line: Mapping[str, Any]) -> None:
        assert line["split"] == "dev"
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        run_in_process(one, 0, 1, watch)
    assert not one.finished
    assert one.begun


def _keys(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1, 2]}, "tune names 'learning_rat', which is not a recipe key"),
        ({"smart.wait": [1, 2]}, r"tune names 'smart\.wait'"),
        ({"learning_rate": {"low": 1, "high": 0.1}}, "low 1 is not below high 0.1"),
        ({"learning_rate": {"low": 0, "high": 0.1, "log": True}}, "log needs a low above 0"),
        ({"policy": ["sqrt"]}, "1 value, give two or more"),
    ],
)
def test_spaces_that_do_not_fit(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_recipe({"tune": space})


def test_dotted_keys_keep_their_siblings() -> None:
    recipe = make_recipe({"smart": {"steps": 2}})
    assert nested(recipe, {"smart.weight": 3.0, "seed": 1}) == {"smart": {"steps": 2, "weight": 3.0}, "seed": 1}


STAGES = ["alone", {"joint": {"layer_decay": 0.9}}]


@pytest.mark.slow
def test_stages(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage has its own table; what is finished isn't trained again."""
    staged = load_recipe(recipe, [f"stages={json.dumps(STAGES)}"])
    found = trained(monkeypatch)
    study = studies.seeds(staged, tmp_path / "s", 2, QUIET)
    assert list(study) == ["alone", "joint"]
    assert list(study["alone"]) == ["cls-text", "tag-drug", "mean"]
    run = tmp_path / "s" / "runs" / Path(found[0].output).name
    alone = [json.loads((run / "alone" / t / "metrics.json").read_text())["mean"]["dev"] for t in staged.tasks]
    assert study["alone"]["mean"]["values"][0] == pytest.approx(sum(alone) / 2)
    joint = json.loads((run / "joint" / "metrics.json").read_text())["mean"]["dev"]
    assert study["joint"]["mean"]["values"][0] == pytest.approx(joint)
    studies.seeds(staged, tmp_path / "s", 2, QUIET)
    assert [one.seed for one in found] == [42, 43]
    (run / "comparison.md").unlink()  # as if it had been stopped before its end
    comparison = studies.ablate(staged, tmp_path / "s", QUIET, keys=["joint.layer_decay"])
    assert comparison.arms == ("as it is", "without joint.layer_decay")
    assert [one.seed for one in found] == [42, 43, 42, 42]
    assert (run / "comparison.md").is_file()


def test_what_an_ablation_changes() -> None:
    recipe = make_recipe({"stages": ["adapt", *STAGES], "tasks": ["bc5cdr-chem"], "ema_decay": 0.9, "adapt": {}})
    assert methods_of(recipe) == ["adapt", "ema_decay", "joint.layer_decay"]
    assert change_of(recipe, "ema_decay") == ("without ema_decay", {"ema_decay": None})
    assert change_of(recipe, "r_drop=1.0") == ("with r_drop=1.0", {"r_drop": 1.0})
    for said, stages in (
        ("adapt", [("alone", {}), ("joint", {"layer_decay": 0.9})]),
        ("joint.layer_decay", [("adapt", {}), ("alone", {}), ("joint", {})]),
        ("joint.r_drop=2", [("adapt", {}), ("alone", {}), ("joint", {"layer_decay": 0.9, "r_drop": 2})]),
    ):
        changed = make_recipe({"tasks": ["bc5cdr-chem"], **change_of(recipe, said)[1]})
        assert [(stage.name, stage.keys) for stage in changed.stages] == stages
    taught = [{"alone": {"seeds": 3, "layer_decay": 0.9}}, {"joint": {"distill": {"teachers": "alone"}}}]
    recipe = make_recipe({"stages": taught, "tasks": ["bc5cdr-chem"]})
    for said, seeds, keys in (
        ("alone.seeds", 1, {"layer_decay": 0.9}),
        ("alone.seeds=2", 2, {"layer_decay": 0.9}),
        ("alone.layer_decay", 3, {}),
    ):
        alone = make_recipe({"tasks": ["bc5cdr-chem"], **change_of(recipe, said)[1]}).stages[0]
        assert (alone.seeds, alone.keys) == (seeds, keys)
    for said, problem in (("alone.r_drop", "the stage doesn't give it"), ("smort=1", "no key of a recipe, did you")):
        with pytest.raises(InputError, match=problem):
            change_of(recipe, said)


def test_a_study_on_test_of_several_teachers(recipe: Path, tmp_path: Path) -> None:
    """Further teachers score no test split, and none is wanted of them."""
    teachers = "stages=[{alone: {seeds: 2}}, {joint: {distill: {teachers: alone}}}]"
    made = job("plain", load_recipe(recipe, [teachers]), tmp_path / "s", {}, split="test")
    assert [run.recipe.predict_test for run in plan_stages(made.recipe)] == [True, False, True, False, True]


def test_stages_are_not_a_single_run(recipe: Path, tmp_path: Path) -> None:
    staged = load_recipe(recipe, ["stages=[joint]"])
    with pytest.raises(InputError, match="study pairwise with stages, which are several runs, add stages="):
        studies.pairwise(staged, tmp_path / "s", QUIET)
    with pytest.raises(InputError, match="study tune with stages, which are several runs"):
        tune(staged, tmp_path / "s", 1, QUIET)


def test_a_study_refuses_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="a folder that doesn't belong to a study"):
        study_folder(tmp_path)
    with pytest.raises(InputError, match="a file, expected a folder"):
        study_folder(tmp_path / "thesis.txt")
