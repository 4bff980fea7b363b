"""The input of ``biomtl score``: a task, its gold rows and predictions, from files, a recipe, a suite or a run."""

from __future__ import annotations

import re
from pathlib import Path

from biomtl.corpora.reader import Record
from biomtl.custom import read_definitions
from biomtl.errors import InputError
from biomtl.results import run_folder
from biomtl.storage.files import read_lines
from biomtl.suite import Suite, load_suite
from biomtl.tasks import Task, get_task
from biomtl.tasks.registry import pick, suite_tasks
from biomtl.tasks.task import Split
from biomtl.training.recipe_io import load_recipe

YAML = (".yaml", ".yml")
Rows = Path | list[Record]


def sides(gold: Path, predicted: Path | None, task: str | None, split: Split) -> tuple[Task, Rows, Path]:
    """The task, its gold and its predictions.

    Args:
        gold: a gold file; or a recipe, prepared suite or run folder, whose ``split`` is gold.
        predicted: predictions; omitted for a run folder, which has its own.
        task: the task; may be omitted if ``gold`` has only one.
        split: the split of the recipe, suite or run.

    Raises:
        InputError: no such task, file or split, or the choice is ambiguous.
    """
    gold = run_folder(gold)
    suite = _suite(gold)
    if suite is None:
        if task is None or predicted is None:
            if str(gold) != "-" and not gold.exists():
                raise InputError("no such file or folder", path=gold, fix="check the path")
            what = "--task, the task's name" if task is None else "a file of predictions after it"
            raise InputError("only a gold file", path=gold, expected=what, fix="see `biomtl score --help`")
        return named_task(task), gold, predicted
    if task is None and len(suite.tasks) > 1:
        raise InputError(
            f"{len(suite.tasks)} tasks", path=gold, fix=f"add --task with one of: {', '.join(suite.tasks)}"
        )
    name = next(iter(suite.tasks)) if task is None else pick(task, suite.tasks, gold)
    if predicted is None:
        predicted = gold / "predictions" / name / f"{split}.jsonl"
        if not (gold / "recipe.yaml").is_file():
            raise InputError("no predictions", path=gold, expected="a file of predictions after it, or a run folder")
    return suite.tasks[name], suite[name].records(split), predicted


def suite_sides(gold: Path, predicted: Path | None, suite: str, split: Split) -> list[tuple[Task, Rows, Path]]:
    """`sides` of every task of a named suite that ``gold`` has.

    Args:
        gold: a recipe, prepared suite or run folder.
        predicted: the folder of the predictions, ``TASK/SPLIT.jsonl``, or one that has them under ``predictions``.
        suite: the suite's name.
        split: the split that is scored.

    Raises:
        InputError: no such suite, none of its tasks, or no folder of predictions.
    """
    gold, predicted = run_folder(gold), predicted and run_folder(predicted)
    names = [task.name for task in suite_tasks(suite)]
    there = _suite(gold)
    known = [name for name in names if there is not None and name in there.tasks and split in there[name]]
    if there is None or not known:
        expected = f"a prepared suite, recipe or run with the {split} split of tasks of {suite}"
        raise InputError("no gold rows", path=gold, expected=expected)
    folder = gold if predicted is None else predicted
    folder = folder / "predictions" if (folder / "predictions").is_dir() else folder
    if predicted is None and not (gold / "recipe.yaml").is_file():
        raise InputError("no predictions", path=gold, expected="a folder of predictions after it, or a run folder")
    return [(there.tasks[name], there[name].records(split), folder / name / f"{split}.jsonl") for name in known]


def named_task(name: str) -> Task:
    """A task by its name or alias, its ``task.yaml``, or ``RECIPE.yaml:NAME`` (NAME may be omitted for one task).

    Raises:
        InputError: no such task.
    """
    file, colon, own = name.rpartition(":")
    if not (colon and file.lower().endswith(YAML)):
        file, own = name, ""
    if not file.lower().endswith(YAML):
        return get_task(name)
    path = Path(file)
    if not own and not _is_recipe(path):
        return Task.read(path)
    names = list(read_definitions(path))
    if not own and len(names) > 1:
        raise InputError(f"{len(names)} tasks", path=path, fix=f"name one, as in {path.name}:{names[0]}")
    return next(iter(load_suite(path, [own or names[0]]).tasks.values()))


def _is_recipe(path: Path) -> bool:
    return any(re.match(r"tasks\s*:", line) for _, line in read_lines(path))


def _suite(gold: Path) -> Suite | None:
    """The suite of a run folder, a recipe or a prepared folder; None for a file of gold rows."""
    if (gold / "recipe.yaml").is_file():
        recipe = load_recipe(gold / "recipe.yaml")
        return load_suite(recipe.suite, list(recipe.tasks) or None, recipe.own_tasks)
    if gold.is_dir() or (gold.suffix.lower() in YAML and gold.is_file()):
        return load_suite(gold)
    return None
