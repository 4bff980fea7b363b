"""What the stages of a recipe are made of: every run in order, each with its own recipe."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, nearest
from biomtl.model import model_folder, read_manifest
from biomtl.training.adapt import is_adapted
from biomtl.training.folder import is_finished
from biomtl.training.methods import METHODS
from biomtl.training.options import EVERY
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import canonical, make_recipe
from biomtl.training.recipe_tasks import OF_MIXTURES, OF_SHARES
from biomtl.training.stage import Stage

# A stage's key replaces what the recipe says in another key of the same kind.
ALTERNATIVES = (("num_train_epochs", "max_steps"), ("batch_tokens", "batch_size"), ("warmup_ratio", "warmup_steps"))
# What an adaptation, which has no heads for the tasks, has no use for and would look for.
OF_HEADS = ("mixing_weight", "dropout", "loss_scale", "rebalance")
# What changes the losses of tasks, which an adaptation doesn't have, or leaves it nothing to train.
NOT_OF_ADAPTATIONS = ("objective", "distill", "r_drop", "smart", "freeze_encoder")
FINAL = ("alone", "joint", "each")
"""The stages that score tasks."""


@dataclass(frozen=True)
class StageRun:
    """One run of a stage; ``scores`` if the stage's scores are made of it, as of all but further teachers."""

    stage: str
    task: str | None
    recipe: Recipe
    scores: bool = True

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.recipe.output)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.stage if self.task is None else f"{self.folder.parent.name}: {self.task}"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return is_adapted(self.folder) if self.stage == "adapt" else is_finished(self.folder)


def plan_stages(recipe: Recipe) -> Iterator[StageRun]:
    """The runs of all stages in order, each with its own recipe; every recipe is made before any run begins.

    Raises:
        InputError: stages out of order or twice, one that has nothing to start from, or keys that contradict others.
    """
    names = [stage.name for stage in recipe.stages]
    _check_order(names, recipe)
    folder = Path(recipe.output)
    start = str(folder / "adapt" / "model") if "adapt" in names else recipe.encoder
    runs = []
    for stage in recipe.stages:
        if stage.name == "adapt":
            runs.append(StageRun("adapt", None, _adapting(recipe, stage, folder)))
        elif stage.name == "joint":
            values = {"encoder": start, "output": str(folder / "joint")}
            runs.append(StageRun("joint", None, _recipe(recipe, stage, values)))
        else:
            for task in _single(recipe, stage):
                values = {"encoder": start}
                if stage.name == "each":
                    given = {**stage.keys, **stage.by_task.get(task, {})}
                    values = {"encoder": str(folder / "joint"), "heads": given.get("heads") or "trained"}
                place = {"output": str(folder / stage.name / task)}
                runs.append(StageRun(stage.name, task, _recipe(recipe, stage, values | place, task)))
                if stage.name == "alone":
                    further = _further_teachers(runs[-1].recipe, task, teacher_folders(recipe, task)[1:])
                    runs.extend(StageRun(stage.name, task, one, scores=False) for one in further)
    return iter(runs)


def teacher_folders(recipe: Recipe, task: str) -> list[str]:
    """The folders of a task's single-task models, one per seed; the stages' table has the scores of the first."""
    folder = Path(recipe.output)
    seeds = next((stage.seeds for stage in recipe.stages if stage.name == "alone"), 0)
    return [str(folder / (f"alone-{number + 1}" if number else "alone") / task) for number in range(seeds)]


def _further_teachers(first: Recipe, task: str, folders: Sequence[str]) -> Iterator[Recipe]:
    """The runs of a task with the next seeds, whose test scores nobody needs."""
    for number, folder in enumerate(folders, 1):
        changes = {"seed": first.seed + number, "output": folder, "predict_test": False}
        yield make_recipe({**given_keys(first), **changes})


def _check_order(names: Sequence[str], recipe: Recipe) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"stages: {', '.join(names)}", expected="each once", fix="leave the second out")
    order = ["adapt", "alone", "joint", "each"]
    if names != sorted(names, key=order.index):
        fix = ", ".join(sorted(names, key=order.index))
        raise InputError(f"stages: {', '.join(names)}", expected="the order in which they use each other", fix=fix)
    distilling = [plain(recipe.distill), *(stage.keys.get("distill") for stage in recipe.stages)]
    taught = any(taught_alone(options) for options in distilling)
    for stage in recipe.stages:
        if stage.seeds > 1 and not (stage.name == "alone" and taught):
            fix = "add distill: {teachers: alone} to joint" if stage.name == "alone" else "leave seeds out"
            raise InputError(f"stages: {stage.name}: seeds {stage.seeds}", expected="teachers in alone", fix=fix)
        if stage.by_task and stage.name in ("adapt", "joint"):
            problem = f"stages: {stage.name}: by_task, but it is one run of all tasks"
            raise InputError(problem, fix="leave it out, or move it to alone or each")
    if "each" in names and "joint" not in names:
        raise InputError("stages: each without joint", fix="add joint, whose model each task starts from")
    if recipe.adapt is not None and "adapt" not in names:
        raise InputError("adapt without a stage adapt", fix="add it to stages, or leave adapt out")
    if names == ["adapt"]:
        raise InputError("stages: adapt alone", expected="a stage that trains tasks", fix="add joint")
    if "adapt" in names and recipe.heads == "trained":
        fix = "leave one of the two out"
        raise InputError("stages: adapt with heads: trained, which it leaves without their encoder", fix=fix)
    if not recipe.tasks:
        raise InputError("stages without tasks", expected="the names of the tasks", fix="list them under tasks")


def _single(recipe: Recipe, stage: Stage) -> list[str]:
    for task in stage.by_task:
        if task not in recipe.tasks:
            problem = f"stages: {stage.name}: by_task names no task of the recipe ({task!r})"
            raise InputError(problem, fix=nearest(task, recipe.tasks))
    lengths = {"max_steps", "num_train_epochs"}
    for task in recipe.tasks:
        given = {*stage.keys, *stage.by_task.get(task, {})}
        if recipe.max_steps is not None and not lengths & given:
            problem = f"stages: {stage.name} would train {task} for the joint run's {recipe.max_steps:,} steps"
            raise InputError(problem, fix=f"give {stage.name} its own num_train_epochs or max_steps")
    return list(recipe.tasks)


def _recipe(recipe: Recipe, stage: Stage, fixed: Mapping[str, Any], task: str | None = None) -> Recipe:
    """A stage's recipe: what the user gave, what the stage changes, and what follows from the stages before it."""
    values = {key: value for key, value in given_keys(recipe).items() if key not in ("stages", "adapt")}
    changes = {**stage.keys, **(stage.by_task.get(task, {}) if task else {})}
    for key in ("output", "stages", "encoder", "heads", "suite"):
        if key in changes and (stage.name, key) != ("each", "heads"):
            raise InputError(f"stages: {stage.name}: {key} can't be changed by a stage", fix="leave it out")
    if changes.get("tasks") is None:  # those of the recipe
        changes.pop("tasks", None)
    for key in ("tasks", "group") if stage.name != "joint" else ():
        if key in changes:
            what = "all tasks" if stage.name == "adapt" else "every task by itself"
            raise InputError(f"stages: {stage.name}: {key}, but it is trained on {what}", fix="leave it out")
    if fixed.get("encoder", recipe.encoder) != recipe.encoder:  # that of a stage before has them already
        values.pop("num_hidden_layers", None)
        values.pop("init_from", None)
    for pair in ALTERNATIVES:
        if set(pair) & set(changes):
            values = {key: value for key, value in values.items() if key not in pair}
    if task is not None:
        options = recipe.tasks[task].model_dump(exclude_unset=True, exclude_none=True)
        kept = {key: value for key, value in options.items() if key not in OF_SHARES}
        values = {key: value for key, value in values.items() if key not in OF_MIXTURES} | {"tasks": {task: kept}}
    elif "tasks" in changes:
        changes["tasks"] = _chosen(recipe, stage.name, changes["tasks"])
    values |= changes
    distill = values.get("distill")
    if stage.name == "alone" and "distill" not in changes and taught_alone(distill):
        values = {key: value for key, value in values.items() if key != "distill"}
    elif isinstance(distill, Mapping) and taught_alone(distill):
        if "alone" not in [other.name for other in recipe.stages] or stage.name == "alone":
            problem = f"stages: {stage.name}: distill.teachers is alone, but no earlier stage is alone"
            raise InputError(problem, fix="add alone to stages")
        values["distill"] = {**distill, "teachers": {name: teacher_folders(recipe, name) for name in values["tasks"]}}
    elif isinstance(distill, Mapping) and _names_alone(distill.get("teachers")):
        fix = f"name folders for single tasks, such as {teacher_folders(recipe, next(iter(recipe.tasks)))[0]}"
        problem = f"stages: {stage.name}: distill.teachers: alone for some tasks"
        raise InputError(problem, expected="teachers: alone, for all", fix=fix)
    try:
        made = make_recipe({**values, **fixed})
        return with_own_teachers(made, recipe.tasks) if len(made.tasks) < len(recipe.tasks) else made
    except InputError as error:
        where = stage.name if task is None else f"{stage.name}: {task}"
        problem, path, line = f"stages: {where}: {error.found}", error.path, error.line
        raise InputError(problem, path=path, line=line, expected=error.expected, fix=error.fix) from error


def with_own_teachers(recipe: Recipe, known: Collection[str]) -> Recipe:
    """The recipe without the teachers and texts of those known tasks that it doesn't have.

    Raises:
        InputError: a teacher for all tasks is no model.
    """
    if recipe.distill is None:
        return recipe
    others = set(map(canonical, known)) - set(map(canonical, recipe.tasks))
    teachers = {}
    for name, runs in recipe.distill.teachers.items():
        own = tuple(run for run in runs if _teaches(run, recipe.tasks)) if name == EVERY else runs
        if own and canonical(name) not in others:
            teachers[name] = own
    texts = tuple(name for name in recipe.distill.unlabelled if canonical(name) not in others)
    update: dict[str, Any] = {"teachers": teachers, "unlabelled": texts}
    if len(recipe.tasks) == 1:
        update |= {"unlabelled": (), "pairs": 0}
    distill = recipe.distill.model_copy(update=update) if teachers else None
    return recipe.model_copy(update={"distill": distill})


def _teaches(run: str, tasks: Collection[str]) -> bool:
    return not {*tasks, *map(canonical, tasks)}.isdisjoint(read_manifest(model_folder(run))["tasks"])


def _chosen(recipe: Recipe, stage: str, names: Any) -> dict[str, Any]:
    """Some of the recipe's tasks, with their options."""
    listed = names if isinstance(names, list) else [names]
    expected = f"names out of {', '.join(recipe.tasks)}"
    if not listed:  # which would mean all tasks of the suite
        raise InputError(f"stages: {stage}: tasks is empty", expected=expected)
    for name in listed:
        if not isinstance(name, str) or name not in recipe.tasks:
            raise InputError(f"stages: {stage}: tasks holds {name!r}", expected=expected)
    return {name: plain(recipe.tasks[name]) for name in listed}


def taught_alone(distill: Any) -> bool:
    """Whether a distillation's teachers are the models of the stage `alone`."""
    teachers = distill.get("teachers") if isinstance(distill, Mapping) else None
    if isinstance(teachers, Mapping) and list(teachers) == [EVERY]:
        teachers = teachers[EVERY]
    return teachers in ("alone", ["alone"], ("alone",))


def _names_alone(teachers: Any) -> bool:
    """Whether the models of the stage `alone` are named beside others, or for single tasks."""
    given = teachers.values() if isinstance(teachers, Mapping) else [teachers]
    return any("alone" in ([runs] if isinstance(runs, str) else runs or ()) for runs in given)


def _adapting(recipe: Recipe, stage: Stage, folder: Path) -> Recipe:
    """The recipe of an adaptation, which has no heads, no dev and none of the methods."""
    off = dict.fromkeys([*METHODS, "frozen_layers", "freeze_encoder", *OF_MIXTURES, "early_stopping_patience"])
    off |= dict.fromkeys(["early_stopping_threshold", "early_stopping_on", "eval_steps", "head_learning_rate"])
    off |= {"calibrate": None}
    if recipe.lr_scheduler_type == "plateau":  # waits for scores on dev
        off |= dict.fromkeys(["lr_scheduler_type", "lr_gamma", "lr_patience"])
    kept = [key for key in recipe.model_fields_set if key not in off]
    plain = recipe.model_copy()
    object.__setattr__(plain, "__pydantic_fields_set__", set(kept))
    options = recipe.adapt.model_dump(exclude_none=True) if recipe.adapt else {}
    tasks = {name: _without_heads(options) for name, options in recipe.tasks.items()}
    fixed = {"output": str(folder / "adapt"), "eval_strategy": "no", "predict_test": False, "tasks": tasks}
    if "adapt" in stage.keys:
        raise InputError("stages: adapt: its options stand under the recipe's own key adapt", fix="move them there")
    if useless := [key for key in NOT_OF_ADAPTATIONS if stage.keys.get(key) not in (None, False)]:
        raise InputError(f"stages: adapt: {useless[0]}", expected="keys for guessing words", fix="leave it out")
    if recipe.max_steps is not None and not {"max_steps", "num_train_epochs"} & set(stage.keys):
        problem = f"stages: adapt would train for the joint run's {recipe.max_steps:,} steps"
        raise InputError(problem, fix="give adapt its own num_train_epochs or max_steps")
    return _recipe(plain, stage, {**fixed, "adapt": options})


def _without_heads(options: Any) -> dict[str, Any]:
    values = options.model_dump(exclude_unset=True, exclude_none=True)
    return {key: value for key, value in values.items() if key not in OF_HEADS}


def given_keys(recipe: Recipe) -> dict[str, Any]:
    """The keys that a recipe gives, as a file would."""
    return {key: plain(getattr(recipe, key)) for key in recipe.model_fields_set}


def plain(value: Any) -> Any:
    """A recipe's value as a file would give it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return value.model_dump(exclude_unset=True, exclude_none=True) if hasattr(value, "model_dump") else value
