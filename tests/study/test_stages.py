"""Stages of one recipe: resuming between and inside them, and the table at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import biomtl
import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel, model_folder
from biomtl.study.stages import stages_finished, train_stages
from biomtl.training.log import RunLog
from biomtl.training.recipe_io import load_recipe, make_recipe
from stage_recipes import FOUR, TASKS, StoppedError, keys_of

QUIET = Console(quiet=True)


@pytest.mark.slow
def test_the_student_of_several_teachers(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOMTL_CACHE", str(tmp_path / "cache"))
    stages = [{"alone": {"seeds": 2}}, {"joint": {"distill": {"teachers": "alone"}}}]
    run = biomtl.train(keys_of(bert, small_suite, tmp_path / "run", stages=stages), console=QUIET)
    teachers = json.loads((run.folder / "joint" / "metrics.json").read_text())["provenance"]["teachers"]
    assert [len(paths) for paths in teachers.values()] == [2, 2]
    assert json.loads((tmp_path / "run" / "comparison.json").read_text())["arms"] == ["alone", "joint"]
    for folder in ("alone", "alone-2"):
        assert (tmp_path / "run" / folder / "cls-text" / "metrics.json").is_file()
    first, second = (model_folder(tmp_path / "run" / name / "cls-text") for name in ("alone", "alone-2"))
    assert (first / "model.safetensors").read_bytes() != (second / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_all_stages_stopped_and_resumed(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOMTL_CACHE", str(tmp_path / "cache"))
    whole = biomtl.train(keys_of(bert, small_suite, tmp_path / "whole", stages=FOUR), console=QUIET)
    assert whole.folder == tmp_path / "whole"
    assert list(whole.model.tasks) == TASKS
    assert model_folder(tmp_path / "whole") == tmp_path / "whole" / "joint" / "model"
    (tmp_path / "whole").rename(tmp_path / "joint")
    assert model_folder(tmp_path) == tmp_path  # a folder of runs is none of them
    (tmp_path / "joint").rename(tmp_path / "whole")
    table = json.loads((tmp_path / "whole" / "comparison.json").read_text())
    assert (table["arms"], table["tasks"], table["split"]) == (["alone", "joint", "each"], TASKS, "test")
    assert list(table["best_on_dev"]) == TASKS
    for task, best in table["best_on_dev"].items():
        run = "joint" if best["stage"] == "joint" else f"{best['stage']}/{task}"
        scores = json.loads((tmp_path / "whole" / run / "metrics.json").read_text())["tasks"][task]
        assert (best["dev"], best["test"]) == (scores["dev"]["value"], scores["test"]["value"])
    page = (tmp_path / "whole" / "comparison.md").read_text()
    assert "| mean |" in page
    assert f"- Best on dev: {TASKS[0]}: " in page

    recipe = make_recipe(keys_of(bert, small_suite, tmp_path / "broken", stages=FOUR))
    original, steps = RunLog.step, iter(range(1, 1000))

    def stopping(self: RunLog, done: Any) -> None:
        original(self, done)
        if next(steps) in (3, 10, 16, 20):  # in the adaptation, in single-task runs, in the joint run
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "step", stopping)
        for attempt in range(4):
            with pytest.raises(StoppedError):
                train_stages(recipe, resume=attempt > 0, console=QUIET)
            assert not (tmp_path / "broken" / "comparison.json").exists()
    train_stages(recipe, resume=True, console=QUIET)
    for path in sorted((tmp_path / "whole").rglob("*.safetensors")):
        if "checkpoints" not in path.parts:
            other = tmp_path / "broken" / path.relative_to(tmp_path / "whole")
            assert path.read_bytes() == other.read_bytes(), path
    assert json.loads((tmp_path / "broken" / "comparison.json").read_text()) == table
    with pytest.raises(InputError, match="the output already exists"):
        train_stages(recipe, console=QUIET)
    with pytest.raises(InputError, match=r"another recipe \(seed\), resume with the recipe as it was"):
        train_stages(recipe.model_copy(update={"seed": 7}), resume=True, console=QUIET)
    monkeypatch.chdir(tmp_path)
    train_stages(recipe.model_copy(update={"output": "broken"}), resume=True, console=QUIET)  # the same folder


def test_data_of_a_late_stage_are_checked_before_the_first_trains(bert: Path, tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": f"@DRUG$ lowers @DRUG$ {i}.", "label": "no"} for i in range(4)]
    masked = tiny.write_rows(tmp_path / "masked.jsonl", rows)
    files = {split: str(masked) for split in ("train", "dev", "test")}
    other = {"type": "classification", "labels": ["no", "yes"], "files": files}
    relation = {"type": "relation", "negative": "no", "relation": {"first": "drug", "second": "drug"}, "view": "spans"}
    tasks = {"plain": other, "masked": {**other, **relation}}
    keys = keys_of(bert, tmp_path, tmp_path / "run", tasks=tasks, stages=["alone", "joint"])
    del keys["suite"]
    with pytest.raises(InputError, match="task masked: record '0' has no entities, expected two mentions for view"):
        biomtl.train(keys, console=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_corpus_is_checked_before_the_first_stage(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """The run's folder was there already, so that the corrected call was refused."""
    keys = keys_of(
        bert, small_suite, tmp_path / "run", stages=["adapt", "joint"], adapt={"corpus": str(tmp_path / "x")}
    )
    with pytest.raises(InputError, match="x: stage adapt: no such file"):
        biomtl.train(keys, console=QUIET)
    (tmp_path / "x").write_text("\n")
    with pytest.raises(InputError, match=r"x: stage adapt: no text, expected a passage per line"):
        biomtl.train(keys, console=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_task_without_dev_is_found_before_the_first_stage_trains(bert: Path, tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "suite", ("cls-text", "tag-drug"))
    (suite / "tag-drug" / "dev.jsonl").unlink()  # the joint run can choose its model without it
    with pytest.raises(InputError, match=r"stage each: tag-drug: no dev split for model selection \(tag-drug\)"):
        biomtl.train(keys_of(bert, suite, tmp_path / "run", stages=["joint", "each"]), console=QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_stages_that_train_on_dev_name_no_best_one(
    bert: Path, small_suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = keys_of(bert, small_suite, tmp_path / "run", stages=["alone", "joint"], train_on="train+dev")
    keys = {key: value for key, value in keys.items() if not key.startswith(("eval", "metric"))}
    folder = train_stages(make_recipe(keys))
    assert json.loads((folder / "comparison.json").read_text())["best_on_dev"] == {}
    assert "Best on dev" not in (folder / "comparison.md").read_text() + capsys.readouterr().out


@pytest.mark.slow
def test_stages_trained_anew_and_stopped(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run of the older recipe is taken for one of the newer; a stage that doesn't score test is not in the table."""
    keys = keys_of(bert, small_suite, tmp_path / "run", stages=["alone", {"joint": {"predict_test": False}}])
    folder = train_stages(make_recipe(keys), console=QUIET)
    assert json.loads((folder / "comparison.json").read_text())["split"] == "dev"
    newer = make_recipe({**keys, "learning_rate": 5e-4, "stages": ["alone", "joint"]})
    original, steps = RunLog.step, iter(range(1, 1000))

    def stopping(self: RunLog, done: Any) -> None:
        original(self, done)
        if next(steps) in (1, 6):  # in both runs of the first stage
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "step", stopping)
        for attempt in range(2):
            with pytest.raises(StoppedError):
                train_stages(newer, resume=attempt > 0, overwrite=attempt == 0, console=QUIET)
    assert not stages_finished(newer)
    train_stages(newer, resume=True, console=QUIET)
    assert stages_finished(newer)
    for path in ("alone/cls-text", "alone/tag-drug", "joint"):
        assert load_recipe(folder / path / "recipe.yaml").learning_rate == 5e-4
    assert json.loads((folder / "comparison.json").read_text())["split"] == "test"
    train_stages(make_recipe({**keys, "stages": ["joint"]}), overwrite=True, console=QUIET)
    assert not list(folder.glob("comparison.*"))  # the table of the older runs


def test_an_unsuitable_teacher_is_refused_before_the_first_stage(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    other = tiny.task("cls-text").model_copy(update={"labels": ("drug", "none")})
    MultiTaskModel.from_encoder(bert, [other], max_length=24).save_pretrained(tmp_path / "teacher")
    stages = ["adapt", {"joint": {"distill": {"teachers": {"cls-text": str(tmp_path / "teacher")}}}}]
    with pytest.raises(InputError, match="the teacher's labels of cls-text: drug, none, expected none, drug"):
        biomtl.train(keys_of(bert, small_suite, tmp_path / "run", stages=stages), console=QUIET)
    assert not (tmp_path / "run").exists()


def test_methods_of_a_late_stage_are_checked_before_the_first_trains(
    bert: Path, small_suite: Path, tmp_path: Path
) -> None:
    """The single-task models were trained before the head that can't learn from them was refused."""
    tasks = {"cls-text": {}, "tag-drug": {"head": "mlp", "head_options": {"crf": True}}}
    keys = keys_of(bert, small_suite, tmp_path / "run", tasks=tasks)
    with pytest.raises(InputError, match="stage joint: distill: tag-drug can't be distilled"):
        biomtl.train({**keys, "stages": ["alone", {"joint": {"distill": {"teachers": "alone"}}}]}, console=QUIET)
    with pytest.raises(InputError, match="stage joint: objective: the head of tag-drug has its own loss"):
        biomtl.train({**keys, "stages": ["alone", {"joint": {"objective": {"focal_gamma": 1}}}]}, console=QUIET)
    assert not (tmp_path / "run").exists()
