"""Studies: the runs, none trained twice, and the reports."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

import tiny
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.signals import Ended
from biomtl.study import studies
from biomtl.study import workers as workers_module
from biomtl.study.changes import change_of, methods_of
from biomtl.study.jobs import Job, job
from biomtl.study.stage_plan import plan_stages
from biomtl.study.tune import tune
from biomtl.study.workers import Workers, repeatable, run_jobs
from biomtl.training.folder import in_use
from biomtl.training.log import RunLog
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
    original = workers_module.train

    def train(recipe: Recipe, **options: Any) -> Any:
        found.append(recipe)
        return original(recipe, **options)

    monkeypatch.setattr(workers_module, "train", train)
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
    assert len(studies.ablate(loaded, tmp_path / "s", QUIET, keys=["ema_decay", "ema_decay"]).arms) == 2
    assert len(found) == 3
    balanced = load_recipe(recipe, ["layer_decay=0.9", "tasks.cls-text.rebalance=undersample"])
    comparison = studies.ablate(balanced, tmp_path / "s", QUIET, keys=["rebalance"])
    assert comparison.arms == ("as it is", "without rebalance")
    assert [one.tasks["cls-text"].rebalance for one in found[3:]] == ["undersample"]  # the other run is there already
    with pytest.raises(InputError, match="--key emadecay: no key of a recipe, did you mean 'ema_decay'"):
        studies.ablate(loaded, tmp_path / "s", QUIET, keys=["emadecay"])
    with pytest.raises(InputError, match="--key r_drop: the recipe doesn't give it"):
        studies.ablate(loaded, tmp_path / "s", QUIET, keys=["r_drop"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_fails_does_not_stop_the_others(recipe: Path, tmp_path: Path, workers: int) -> None:
    loaded = load_recipe(recipe, ["max_grad_norm=0", "warmup_steps=0", "num_train_epochs=2"])
    keys = ["learning_rate=1e30", "weight_decay=0.1"]
    said = r"1 of 3 runs failed, first with learning_rate=1e30, seed 42 \(.*training diverged.* are kept$"
    with pytest.raises(InputError, match=said):
        studies.ablate(loaded, tmp_path / "s", QUIET, keys=keys, workers=workers)
    assert len(list((tmp_path / "s" / "runs").glob("*/metrics.json"))) == 2
    assert studies.ablate(loaded, tmp_path / "s", QUIET, keys=keys[1:]).arms == ("as it is", "with weight_decay=0.1")


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


def test_what_a_study_decides_itself(recipe: Path, tmp_path: Path) -> None:
    staged = load_recipe(recipe, ["stages=[{joint: {seed: 7}}]"])
    with pytest.raises(InputError, match="stages: joint: seed, which the study itself decides, leave it out"):
        studies.seeds(staged, tmp_path / "s", 2, QUIET)
    with pytest.raises(InputError, match="--key seed: the study itself decides it"):
        studies.ablate(load_recipe(recipe), tmp_path / "s", QUIET, keys=["seed=3"])
    suite = tiny.write_suite(tmp_path / "suite", ("cls-text", "tag-drug"), other=7)
    for key, problem in (
        (f"suite={suite}", "other dev data of cls-text, expected the same, to compare scores"),
        ("tasks=[reg-pair]", "no task of the recipe, expected cls-text, tag-drug"),
        ("stages=[joint]", "no stage that the recipe scores"),
    ):
        with pytest.raises(InputError, match=problem):
            studies.ablate(load_recipe(recipe), tmp_path / "s", QUIET, keys=[key])
    (suite / "tag-drug" / "test.jsonl").unlink()
    lacking = load_recipe(recipe, [f"suite={suite}"])
    with pytest.raises(InputError, match="no test split: tag-drug, leave these tasks out"):
        studies.pairwise(lacking, tmp_path / "s", QUIET, split="test")
    (suite / "cls-text" / "test.jsonl").unlink()
    with pytest.raises(InputError, match="a study on test, but no task has a test split"):
        studies.seeds(lacking, tmp_path / "s", 2, QUIET, split="test")
    assert not (tmp_path / "s").exists()


def planned_pairs(recipe: Path, changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The runs of two tasks alone and together, none of them trained."""
    seen: list[Job] = []

    def stop(jobs: list[Job], *_: Any, **__: Any) -> None:
        seen.extend(jobs)
        raise ArithmeticError

    monkeypatch.setattr(studies, "run_jobs", stop)
    with pytest.raises(ArithmeticError):
        studies.pairwise(load_recipe(recipe, changes), tmp_path / "s", QUIET)
    return seen


def test_pairs_mix_as_the_recipe_says(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but their shares, as those of all tasks are no shares of two."""
    shares = [f"tasks.{name}.mixing_weight=2" for name in ("cls-text", "tag-drug")]
    changes = ["policy=fixed", "loss_balance=equal", "mixing=batch", *shares]
    *alone, pair = (one.recipe for one in planned_pairs(recipe, changes, tmp_path, monkeypatch))
    assert (pair.policy, pair.loss_balance, pair.mixing) == ("proportional", "equal", "batch")
    assert {(one.policy, one.loss_balance, one.mixing) for one in alone} == {("proportional", None, "instance")}


def test_pairs_have_the_teachers_of_their_tasks(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distill = '{"teachers": {"cls-text": "a", "tag-drug": "b"}}'
    seen = planned_pairs(recipe, [f"distill={distill}"], tmp_path, monkeypatch)
    found = [list(one.recipe.distill.teachers) for one in seen if one.recipe.distill]
    assert found == [["cls-text"], ["tag-drug"], ["cls-text", "tag-drug"]]


def test_one_seed_has_no_interval(recipe: Path, tmp_path: Path) -> None:
    found = studies.seeds(load_recipe(recipe), tmp_path / "s", 1, QUIET)
    own = found["cls-text"]
    assert own["values"] == [own["mean"]]
    assert own["sd"] is own["low"] is own["high"] is None
    assert f"| cls-text | {own['mean']:.4f} |  |  |" in (tmp_path / "s" / "study.md").read_text()


def test_the_gains_of_many_tasks_can_be_more_than_chance() -> None:
    for tasks in range(2, 40):
        tests = tasks * (tasks - 1)
        assert 2 / (studies.resamples_for(tests) + 1) * tests < 0.05


def test_a_run_stopped_before_its_first_checkpoint_and_again_later_goes_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt is written beside the first, and is what the third continues."""
    one = job("a", load_recipe(recipe, ["num_train_epochs=3"]), tmp_path / "s", {}, split="dev")
    original = RunLog.step

    def stopped_at(number: int) -> None:
        def step(self: RunLog, done: Any) -> None:
            original(self, done)
            if done.step == number:
                raise ArithmeticError

        with monkeypatch.context() as patched:
            patched.setattr(RunLog, "step", step)
            with pytest.raises(ArithmeticError):
                run_jobs([one], QUIET)

    stopped_at(1)
    assert not one.begun
    stopped_at(8)
    assert one.begun
    with monkeypatch.context() as patched:
        taken: list[int] = []
        patched.setattr(RunLog, "step", lambda self, done: (taken.append(done.step), original(self, done)))
        run_jobs([one], QUIET)
    assert one.finished
    assert taken[0] > 1


@pytest.mark.slow
def test_stages_side_by_side(recipe: Path, tmp_path: Path) -> None:
    """What a process of its own reads is the same recipe: a shorter stage doesn't contradict a default."""
    stages = "stages=[joint, {each: {max_length: 12, eval_steps: 2}}]"
    found = studies.seeds(load_recipe(recipe, [stages]), tmp_path / "s", 2, QUIET, workers=2)
    assert [len(found[stage]["mean"]["values"]) for stage in ("joint", "each")] == [2, 2]


def test_every_worker_has_a_gpu_of_its_own(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when one run takes longer than the two that come after it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    jobs = [job("a", load_recipe(recipe), tmp_path, {"seed": i}, split="dev") for i in range(3)]
    processes, used, wait = Workers(2), [], threading.Event()

    def train(one: Job, device: str | None, watch: Any) -> None:
        used.append((one.recipe.seed, device))
        assert one.recipe.seed > 0 or wait.wait(20)
        if one.recipe.seed == 2:
            wait.set()

    monkeypatch.setattr(processes, "_train", train)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(processes.train, jobs))
    assert dict(used) == {0: "3", 1: "5", 2: "5"}


@pytest.mark.slow
def test_a_signal_ends_all_processes(recipe: Path, tmp_path: Path) -> None:
    """What they have done so far is kept."""
    long = load_recipe(recipe, ["num_train_epochs=1000"])
    jobs = [job("a", long, tmp_path, {"seed": i}, split="dev") for i in (1, 2)]

    def ended() -> None:
        with repeatable(), ThreadPoolExecutor(2) as pool, Workers(2) as processes:
            list(map(partial(pool.submit, processes.train), jobs))
            while not all(one.begun for one in jobs):
                time.sleep(0.1)
            raise Ended(signal.SIGTERM)

    with pytest.raises(Ended, match="terminated, run the same command again to continue"):
        ended()
    assert not any(one.finished or in_use(one.folder) for one in jobs)


def test_what_a_watcher_raises_stops_the_run(recipe: Path, tmp_path: Path) -> None:
    one = job("a", make_recipe({**_keys(recipe), "num_train_epochs": 1000}), tmp_path, {}, split="dev")

    def watch(line: Mapping[str, Any]) -> None:
        assert line["split"] == "dev"
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        Workers(1).train(one, watch)
    assert not one.finished
    assert one.begun


def _keys(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text())


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
    assert change_of(recipe, "adapt")[1]["adapt"] is None
    for said, stages in (
        ("adapt", [("alone", {}), ("joint", {"layer_decay": 0.9})]),
        ("joint.layer_decay", [("adapt", {}), ("alone", {}), ("joint", {})]),
        ("joint.r_drop=2", [("adapt", {}), ("alone", {}), ("joint", {"layer_decay": 0.9, "r_drop": 2})]),
    ):
        changed = make_recipe({"tasks": ["bc5cdr-chem"], **change_of(recipe, said)[1]})
        assert [(stage.name, stage.keys) for stage in changed.stages] == stages
    of_tasks = make_recipe({"tasks": {"hoc": {"lora": 4, "adapter": 32, "dropout": 0.2}}, "dropout": 0.1})
    assert methods_of(of_tasks) == ["adapter", "tasks.lora"]
    for said, left in (("tasks.lora", {"adapter", "dropout"}), ("tasks.dropout", {"adapter", "lora"})):
        changed = make_recipe({"dropout": 0.1, **change_of(of_tasks, said)[1]})
        assert (changed.dropout, changed.tasks["hoc"].model_fields_set) == (0.1, left)
    taught = [{"alone": {"seeds": 3, "layer_decay": 0.9}}, {"joint": {"distill": {"teachers": "alone"}}}]
    recipe = make_recipe({"stages": taught, "tasks": ["bc5cdr-chem"]})
    for said, seeds, keys in (
        ("alone.seeds", 1, {"layer_decay": 0.9}),
        ("alone.seeds=2", 2, {"layer_decay": 0.9}),
        ("alone.layer_decay", 3, {}),
    ):
        alone = make_recipe({"tasks": ["bc5cdr-chem"], **change_of(recipe, said)[1]}).stages[0]
        assert (alone.seeds, alone.keys) == (seeds, keys)
    for said in ("joint.distill", "joint.distill={teachers: other}"):  # further models would teach nobody
        alone = make_recipe({"tasks": ["bc5cdr-chem"], **change_of(recipe, said)[1]}).stages[0]
        assert (alone.seeds, alone.keys) == (1, {"layer_decay": 0.9})
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
