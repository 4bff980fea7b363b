"""The packaged recipes with stages: what each of their runs is."""

from __future__ import annotations

import pytest
import yaml

from biomtl.errors import InputError
from biomtl.recipes import packaged_recipes
from biomtl.study.stage_plan import plan_stages
from biomtl.training.recipe_io import load_recipe
from biomtl.training.selection import selecting_tasks


def test_the_whole_protocol_of_mt_bluebert_is_one_recipe() -> None:
    path = packaged_recipes()["mt-bluebert"]
    recipe = load_recipe("mt-bluebert")
    assert "biosses" in recipe.tasks
    runs = {(run.stage, run.task): run.recipe for run in plan_stages(recipe)}
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [next(iter(s)) if isinstance(s, dict) else s for s in said["stages"]] == ["joint", "each"]
    each = {task: (run.learning_rate, run.num_train_epochs) for (stage, task), run in runs.items() if stage == "each"}
    assert each["ddi2013"] == (5e-5, 10)
    assert each["bc5cdr-disease"] == (6e-5, 20)
    assert len(each) == len(recipe.tasks) == 9
    assert set(runs["joint", None].tasks) == set(recipe.tasks) - {"biosses"}
    clinical = load_recipe(path, ["group=clinical"])
    assert list(clinical.tasks) == ["medsts", "mednli", "i2b2-2010", "shareclefe"]
    assert {run.task for run in plan_stages(clinical) if run.stage == "each"} == set(clinical.tasks)
    assert set(next(run for run in plan_stages(clinical) if run.stage == "joint").recipe.tasks) == set(clinical.tasks)
    with pytest.raises(InputError, match="group 'surgical', choose one of biomedical, clinical"):
        load_recipe(path, ["group=surgical"])
    # True to the original: its optimiser, the weight of its scores, its order of pairs, its fresh heads.
    for run in runs.values():
        assert (run.optim, run.adam_epsilon, run.batch_size) == ("bert_adam", 1e-6, 32)
    assert (
        runs["joint", None].tasks["medsts"].loss_scale == runs["each", "biosses"].tasks["biosses"].loss_scale == "score"
    )
    assert runs["joint", None].tasks["mednli"].order == "ba"
    assert {run.heads for (stage, _), run in runs.items() if stage == "each"} == {"fresh"}


def test_the_joint_recipe_of_the_public_tasks_distils_its_own_single_task_models() -> None:
    recipe = load_recipe("blue-public-minilm")
    runs = {(run.stage, run.task): run.recipe for run in plan_stages(recipe)}
    alone = {task: run for (stage, task), run in runs.items() if stage == "alone"}
    assert set(alone) == set(recipe.tasks)
    assert {alone[task].tasks[task].weight for task in recipe.tasks} == {1}
    assert {run.metric_for_best_model for run in alone.values()} == {"mean"}
    assert (alone["hoc"].num_train_epochs, alone["biosses"].learning_rate) == (6, 5e-5)
    joint = runs["joint", None]
    assert joint.distill is not None
    assert set(joint.distill.teachers) == set(recipe.tasks)
    assert {*selecting_tasks(joint.metric_for_best_model), "biosses"} == set(recipe.tasks)
    plain = load_recipe("blue-public-minilm", ["stages=null"])
    assert (plain.stages, plain.distill, plain.tasks) == ((), None, recipe.tasks)
