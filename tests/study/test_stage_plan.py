"""What the stages of a recipe are made of, and recipes that make none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import biomtl
import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.study.stage_plan import plan_stages
from biomtl.study.stages import train_stages
from biomtl.suite import load_suite
from biomtl.training.masked_words import TASK, MaskedWordsHead
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import dump_recipe, load_recipe, make_recipe
from biomtl.training.teaching import teachers_of
from stage_recipes import FOUR, TASKS, StoppedError, keys_of

QUIET = Console(quiet=True)


def test_what_each_stage_starts_from(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    tasks = {"cls-text": {"mixing_weight": 1, "weight": 3}, "tag-drug": {"mixing_weight": 2}}
    keys = keys_of(bert, small_suite, tmp_path / "run", stages=FOUR, tasks=tasks, policy="fixed", ema_decay=0.9)
    recipe = make_recipe(keys)
    runs = {(run.stage, run.task): run.recipe for run in plan_stages(recipe)}
    assert list(runs) == [
        ("adapt", None),
        *(("alone", task) for task in TASKS),
        ("joint", None),
        *(("each", task) for task in TASKS),
    ]
    adapted = str(tmp_path / "run" / "adapt" / "model")
    adapting = runs["adapt", None]
    assert (adapting.encoder, adapting.num_train_epochs, adapting.ema_decay) == (str(bert), 2, None)
    alone = runs["alone", "cls-text"]
    assert (alone.encoder, alone.heads, alone.policy, alone.ema_decay) == (adapted, "fresh", "proportional", 0.9)
    assert list(alone.tasks) == ["cls-text"]
    assert alone.tasks["cls-text"].weight == 1
    joint = runs["joint", None]
    assert (joint.policy, joint.max_steps, joint.num_train_epochs) == ("fixed", 4, None)
    assert joint.distill is not None
    assert joint.distill.teachers == {task: (str(tmp_path / "run" / "alone" / task),) for task in TASKS}
    each = runs["each", "tag-drug"]
    assert (each.encoder, each.heads) == (str(tmp_path / "run" / "joint"), "trained")
    assert (each.learning_rate, each.num_train_epochs) == (5e-4, 2)
    assert runs["each", "cls-text"].num_train_epochs == 1
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(("given", "own"), [({}, "fresh"), ({"heads": "fresh"}, "trained"), ({"heads": None}, "fresh")])
def test_heads_of_single_tasks(bert: Path, small_suite: Path, tmp_path: Path, given: dict[str, Any], own: str) -> None:
    """Of the joint model unless the stage says otherwise, or what it says of the task."""
    each = {**given, "by_task": {"tag-drug": {"heads": own}}}
    recipe = make_recipe(keys_of(bert, small_suite, tmp_path / "run", stages=["joint", {"each": each}]))
    heads = {run.task: run.recipe.heads for run in plan_stages(recipe)}
    assert (heads["cls-text"], heads["tag-drug"]) == (given.get("heads") or "trained", own)


@pytest.mark.parametrize("teachers", ["alone", ["alone"], {"*": "alone"}, {"*": ["alone"]}])
def test_the_ways_to_name_the_single_task_models(bert: Path, small_suite: Path, tmp_path: Path, teachers: Any) -> None:
    stages = ["alone", {"joint": {"distill": {"teachers": teachers}}}]
    *_, joint = plan_stages(make_recipe(keys_of(bert, small_suite, tmp_path / "run", stages=stages)))
    assert joint.recipe.distill is not None
    assert list(joint.recipe.distill.teachers) == TASKS


def test_several_teachers_of_each_task(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    stages = [{"alone": {"seeds": 3}}, {"joint": {"distill": {"teachers": "alone"}}}]
    recipe = make_recipe(keys_of(bert, small_suite, tmp_path / "run", stages=stages, seed=7, predict_test=True))
    runs = list(plan_stages(recipe))
    assert [run.label for run in runs if run.task == "cls-text"] == [
        "alone: cls-text",
        "alone-2: cls-text",
        "alone-3: cls-text",
    ]
    alone = [run.recipe for run in runs if run.task == "cls-text"]
    assert [(run.seed, run.predict_test) for run in alone] == [(7, True), (8, False), (9, False)]
    same = [run.model_dump(exclude={"seed", "output", "predict_test"}) for run in alone]
    assert same[0] == same[1] == same[2]
    joint = runs[-1].recipe
    assert joint.distill is not None
    assert joint.distill.teachers["tag-drug"] == tuple(
        str(tmp_path / "run" / name / "tag-drug") for name in ("alone", "alone-2", "alone-3")
    )
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"stages": ["joint", "alone"]},
            "stages: joint, alone, expected the order in which they use each other, alone, joint",
        ),
        ({"stages": ["joint", "joint"]}, "stages: joint, joint, expected each once"),
        ({"stages": ["each"]}, "each without joint"),
        ({"stages": ["adapt"]}, "adapt alone"),
        ({"stages": ["joint"], "tasks": None}, "stages without tasks"),
        ({"stages": [{"joint": {"output": "x"}}]}, "stages: joint: output can't be changed by a stage"),
        (
            {"stages": ["alone", {"joint": {"distill": {"teachers": {"cls-text": "alone"}}}}]},
            "distill.teachers: alone for some tasks, expected teachers: alone, for all",
        ),
        ({"stages": [{"joint": {"lr": 1}}]}, "stages: joint: unknown key 'lr', did you mean 'learning_rate'"),
        ({"stages": [{"alone": {"by_task": {"hoc": {}}}}]}, "by_task names no task of the recipe .'hoc'."),
        (
            {"stages": ["alone"], "max_steps": 9, "num_train_epochs": None},
            "alone would train cls-text for the joint run's 9",
        ),
        ({"stages": ["joint"], "distill": {"teachers": "alone"}}, "teachers is alone, but no earlier stage is alone"),
        (
            {"stages": [{"joint": {"tasks": ["hoc"]}}]},
            "stages: joint: tasks holds 'hoc', expected names out of cls-text",
        ),
        (
            {"stages": [{"joint": {"tasks": [{"name": "cls-text", "weight": 2}]}}]},
            "stages: joint: tasks holds {'name': 'cls-text', 'weight': 2}, expected names out of cls-text",
        ),
        ({"stages": [{"joint": {"group": ["clinical"]}}]}, "group .'clinical'., choose one of biomedical, clinical"),
        (
            {"stages": [{"adapt": {"smart": {}}}, "joint"]},
            "stages: adapt: smart, expected keys for guessing words, leave it out",
        ),
        ({"stages": [{"adapt": {"freeze_encoder": True}}, "joint"]}, "stages: adapt: freeze_encoder, expected keys"),
        ({"stages": [{"adapt": {"group": "clinical"}}, "joint"]}, "stages: adapt: group, but it is trained on all"),
        ({"stages": [{"joint": {"tasks": {"cls-text": {}}}}]}, "stages: joint: tasks holds {'cls-text': {}}"),
        ({"stages": [{"joint": {"tasks": []}}]}, "stages: joint: tasks is empty, expected names out of cls-text"),
        (
            {"stages": [{"joint": {"by_task": {"cls-text": {"learning_rate": 1}}}}]},
            "stages: joint: by_task, but it is one run of all tasks, leave it out, or move it to alone or each",
        ),
        ({"stages": [{"joint": {}, "each": {}}]}, "stages: joint, each in one entry, begin a new one"),
        ({"stages": 3}, "stages: 3, give a list of names, or of names with keys"),
        ({"stages": ["joint"], "adapt": {"mask_share": 0.2}}, "adapt without a stage adapt, add it to stages"),
        ({"adapt": {"mask_share": 0.2}}, "adapt without a stage adapt, add it to stages"),
        ({"stages": ["jointly"]}, "stages.0.name: 'jointly'"),
        (
            {"stages": [{"alone": {"seeds": 2}}, "joint"]},
            "alone: seeds 2, expected teachers in alone, add distill: {teachers: alone} to joint",
        ),
        ({"stages": [{"joint": {"seeds": 2}}]}, "joint: seeds 2, expected teachers in alone, leave seeds out"),
        ({"stages": [{"alone": {"seeds": 0}}, "joint"]}, "stages.0.seeds: 0"),
        (
            {"stages": ["joint", {"each": {"tasks": ["cls-text"]}}]},
            "stages: each: tasks, but it is trained on every task by itself, leave it out",
        ),
        ({"stages": [{"alone": {"by_task": {"cls-text": {"tasks": TASKS}}}}]}, "alone: tasks, but it is trained on"),
        (
            {"stages": ["alone", "joint"], "distill": {"teachers": "no-such-run"}},
            "^no-such-run.*stages: alone: cls-text: ",
        ),
        (
            {"stages": [{"adapt": {"tasks": ["cls-text"]}}, "joint"]},
            "stages: adapt: tasks, but it is trained on all tasks",
        ),
    ],
)
def test_stages_that_do_not_fit(
    bert: Path, small_suite: Path, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    values = {key: v for key, v in keys_of(bert, small_suite, tmp_path / "run", **keys).items() if v is not None}
    with pytest.raises(InputError, match=message):
        biomtl.train(values, console=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_joint_run_of_some_tasks_has_their_teachers(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    distill = {"teachers": {"cls-text": "a", "tag-drug": "b", "reg-text": "c"}, "unlabelled": [*TASKS, "reg-text"]}
    keys = keys_of(bert, small_suite, tmp_path / "run", distill=distill, stages=[{"joint": {"tasks": TASKS}}])
    (run,) = plan_stages(make_recipe({**keys, "tasks": [*TASKS, "reg-text"]}))
    assert run.recipe.distill is not None
    assert (list(run.recipe.distill.teachers), list(run.recipe.distill.unlabelled)) == (TASKS, TASKS)


@pytest.mark.parametrize(
    "stages",
    [
        [{"alone": {"max_length": 12}}, "joint"],
        ["joint", {"each": {"eval_steps": 2, "save_steps": 2}}],
        ["joint", {"each": {"train_on": "train+dev", "early_stopping_patience": None}}],
    ],
)
def test_what_is_written_of_stages_is_read_as_the_same_plan(
    bert: Path, small_suite: Path, tmp_path: Path, stages: list[Any]
) -> None:
    """A default that follows from another key would contradict a stage that changes this one."""
    keys = keys_of(bert, small_suite, tmp_path / "run", stages=stages, early_stopping_patience=3, save_steps=None)
    recipe = make_recipe(keys)
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    again = load_recipe(tmp_path / "again.yaml")
    assert again == recipe
    assert [run.recipe for run in plan_stages(again)] == [run.recipe for run in plan_stages(recipe)]


@pytest.mark.parametrize("by_name", ["alone", "mapping", "list"])
def test_single_tasks_are_distilled_from_their_own_teachers(
    bert: Path, small_suite: Path, tmp_path: Path, by_name: str
) -> None:
    """A run of one task refuses teachers of others, and texts of tasks that it doesn't have."""
    folders = {task: str(tmp_path / task) for task in TASKS}
    for task, folder in folders.items():
        tiny.model(bert, [task], max_length=24).save_pretrained(folder)
    teachers: Any = {"alone": "alone", "mapping": folders, "list": list(folders.values())}[by_name]
    keys = keys_of(bert, small_suite, tmp_path / "run", stages=["alone", "joint", "each"])
    recipe = make_recipe({**keys, "distill": {"teachers": teachers, "unlabelled": TASKS, "pairs": 3}})
    runs = list(plan_stages(recipe))
    suite = load_suite(small_suite)
    for run in runs:
        options = run.recipe.distill
        if by_name == "alone" and run.stage == "alone":
            assert options is None
            continue
        assert options is not None
        if run.task is None:
            assert (options.unlabelled, options.pairs) == (tuple(TASKS), 3)
        else:
            own = folders[run.task] if by_name != "alone" else str(tmp_path / "run" / "alone" / run.task)
            assert list(options.teachers.values()) == [(own,)]
        if by_name != "alone":
            assert list(teachers_of(options, suite.only(run.recipe.tasks).tasks)) == list(run.recipe.tasks)
    only = make_recipe({**keys, "distill": {"teachers": {"cls-text": folders["cls-text"]}}})
    taught = {run.label: run.recipe.distill is not None for run in plan_stages(only)}
    assert taught == {
        "alone: cls-text": True,
        "alone: tag-drug": False,
        "joint": True,
        "each: cls-text": True,
        "each: tag-drug": False,
    }


def test_teachers_that_an_earlier_stage_will_make_are_not_looked_for(
    bert: Path, small_suite: Path, tmp_path: Path
) -> None:
    stages = ["alone", {"joint": {"distill": {"teachers": "alone"}}}]
    trained: list[str] = []

    def fake(recipe: Any, **_: Any) -> None:
        trained.append(Path(recipe.output).name)
        if len(trained) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_stages(
            make_recipe(keys_of(bert, small_suite, tmp_path / "run", stages=stages)), console=QUIET, train=fake
        )
    assert trained == TASKS


def test_an_adaptation_has_no_use_for_what_is_said_of_heads(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    tasks = {"cls-text": {"rebalance": "class_weights", "dropout": 0.2}, "reg-pair": {"loss_scale": "score"}}
    keys = {"stages": ["adapt", "joint"], "lr_scheduler_type": "plateau", "lr_gamma": 0.5}
    recipe = make_recipe(keys_of(bert, small_suite, tmp_path / "run", **keys, tasks=tasks))
    adapting, joint = (run.recipe for run in plan_stages(recipe))
    assert (adapting.lr_scheduler_type, joint.lr_scheduler_type) == ("linear", "plateau")
    model = MultiTaskModel.from_encoder(bert, (), max_length=24)
    model.put_head(TASK, MaskedWordsHead(model.encoder))
    configure(model, adapting)
    assert joint.tasks == recipe.tasks
    with pytest.raises(InputError, match="stages: adapt with heads: trained"):
        list(plan_stages(recipe.model_copy(update={"heads": "trained"})))
