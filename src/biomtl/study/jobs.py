"""The runs of a study: each in a folder named after what decides it, so that none is trained twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.model import model_folder
from biomtl.storage.checksums import sha256, take
from biomtl.storage.files import atomic_file, write_json
from biomtl.study.arms import Arm, ScoredRun, scored_runs
from biomtl.study.stage_plan import FINAL, given_keys, plan_stages
from biomtl.study.stages import stages_finished
from biomtl.suite import Suite, load_suite
from biomtl.tasks.head import DEFAULT_HEAD
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Split
from biomtl.training.folder import INCIDENTAL, RECIPE, interrupted, is_finished
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, make_recipe
from biomtl.training.splits import scored_splits

RUNS, INDEX = "runs", "study.json"
ASIDE = {"aliases", "licence", "files", "catalogue"}
"""Fields of a task's record that decide nothing."""
DECIDED = ("seed", "predict_test")
"""Keys that a study gives every run."""


@dataclass(frozen=True)
class Job:
    """A run of a study: which arm it belongs to, and its recipe, whose output follows from the rest."""

    arm: str
    recipe: Recipe

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.recipe.output)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return stages_finished(self.recipe) if self.recipe.stages else is_finished(self.folder)

    @property
    def begun(self) -> bool:
        """Whether an earlier call left something to go on with."""
        return (self.folder / RECIPE).is_file() if self.recipe.stages else interrupted(self.folder) is not None

    @property
    def stages(self) -> list[str]:
        """The stages that score tasks; an empty name for a recipe without stages."""
        return [stage.name for stage in self.recipe.stages if stage.name in FINAL] or [""]


def job(arm: str, recipe: Recipe, out: Path, changes: Mapping[str, Any], *, split: Split) -> Job:
    """A run of the recipe with some keys changed; ``None`` takes a key out.

    Test is not looked at unless it is what the study compares.

    Raises:
        InputError: the run wouldn't score that split.
    """
    if split == "train":
        raise InputError("a study on train", expected="dev or test")
    values = {key: value for key, value in given_keys(recipe).items() if key not in ("output", "tune")}
    values |= {"predict_test": split == "test", **changes}
    values = {key: value for key, value in values.items() if value is not None}
    made = make_recipe({**values, "output": "run"})
    for stage in made.stages:
        for key in {key for keys in (stage.keys, *stage.by_task.values()) for key in keys if key in DECIDED}:
            problem = f"stages: {stage.name}: {key}, which the study itself decides"
            raise InputError(problem, fix="leave it out of the stage")
    runs = [run.recipe for run in plan_stages(made) if run.stage in FINAL and run.scores] if made.stages else [made]
    if not all(split in scored_splits(run) for run in runs):
        fix = "set eval_strategy: epoch or eval_steps, or compare on test with --split test"
        raise InputError(f"a study on {split}, but eval_strategy is no, so that nothing is scored on {split}", fix=fix)
    suite = load_suite(made.suite, list(made.tasks) or None, made.own_tasks)
    if not any(split in entry for entry in suite.data.values()):
        raise InputError(f"a study on {split}, but no task has a {split} split", path=made.suite)
    return Job(arm, made.model_copy(update={"output": str(out / RUNS / content_name(made, suite))}))


def seeds_of(recipe: Recipe, count: int) -> range:
    """A study's seeds, from the recipe's own on.

    They are consecutive, unless a stage trains several teachers of successive seeds: no two runs share a teacher.
    """
    step = max((stage.seeds for stage in recipe.stages), default=1)
    return range(recipe.seed, recipe.seed + step * count, step)


def content_name(recipe: Recipe, suite: Suite) -> str:
    """A name from all that decides a run: its keys, its data and tasks, and an encoder or teachers in folders."""
    decisive = recipe.model_copy(update={key: Recipe.model_fields[key].default for key in INCIDENTAL})
    runs = [run.recipe for run in plan_stages(recipe)] if recipe.stages else [recipe]
    # Of a run only its model counts: its report may be written anew.
    folders = [take(model_folder(name)) for name in dict.fromkeys(_read_by(runs)) if Path(name).is_dir()]
    said = f"{dump_recipe(decisive)}\n{suite.provenance()}\n{folders}"
    said += "".join(f"\n{record}" for record in _records(recipe, suite))
    files = {run.adapt.corpus for run in runs if run.adapt is not None and run.adapt.corpus is not None}
    files |= {run.init_from for run in runs if run.init_from is not None and Path(run.init_from).is_file()}
    for name in sorted(files):
        if not Path(name).is_file():
            raise InputError("no such file", path=name, expected="the corpus of the stage adapt")
        said += f"\n{sha256(name)}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _records(recipe: Recipe, suite: Suite) -> Iterator[Any]:
    """What says how a task's files are read and scored, if it is neither the recipe nor a benchmark's own record."""
    known = known_tasks()
    for name, entry in suite.data.items():
        if name in recipe.own_tasks:
            continue
        record = entry.task.model_dump(mode="json", exclude=ASIDE)
        benchmark = known[name].model_dump(mode="json", exclude=ASIDE) if name in known else None
        if record != benchmark or entry.head != DEFAULT_HEAD:
            own = entry.definition
            yield record, entry.head.model_dump(mode="json"), own and own.model_dump(mode="json", exclude={"files"})


def _read_by(runs: Iterable[Recipe]) -> Iterator[str]:
    """Encoders and teachers; those that a stage trains aren't there yet."""
    for run in runs:
        yield run.encoder
        yield from filter(None, [run.init_from])
        if run.distill is not None:
            yield from (name for names in run.distill.teachers.values() for name in names)


def study_folder(out: Path) -> Path:
    """A folder for a study: a new or an empty one, or that of a study to go on with.

    Raises:
        InputError: a folder that holds something else.
    """
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if there - {RUNS} and not there & {INDEX, "trials.log"}:
        raise InputError("a folder that doesn't belong to a study", path=out, fix="choose another --out")
    if out.exists() and not out.is_dir():
        raise InputError("a file", path=out, expected="a folder", fix="choose another --out")
    return out


def arms_of(jobs: Sequence[Job], split: Split, stage: str = "") -> list[Arm]:
    """The finished runs, by arm; of recipes with stages those of one stage, of arms that have it."""
    arms: dict[str, dict[str, list[ScoredRun]]] = {}
    for one in jobs:
        for run in scored_runs(one.folder / stage) if stage in one.stages else ():
            for task in run.results.on(split):
                arms.setdefault(one.arm, {}).setdefault(task, []).append(run)
    return [Arm(name, runs) for name, runs in arms.items()]


def refuse_stages(recipe: Recipe, study: str) -> None:
    """Refuse a recipe with stages where a study needs single runs.

    Raises:
        InputError: it has stages.
    """
    if recipe.stages:
        raise InputError(f"study {study} with stages, which are several runs", fix="add stages=[]")


def write_study(out: Path, jobs: Iterable[Job], found: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write ``study.json`` with the runs of each arm, and files such as tables and plots beside it."""
    runs: dict[str, list[str]] = {}
    for one in jobs:
        runs.setdefault(one.arm, []).append(f"{RUNS}/{one.folder.name}")
    write_json(out / INDEX, {"arms": runs, **found})
    for name, text in texts.items():
        with atomic_file(out / name) as stream:
            stream.write(text)
