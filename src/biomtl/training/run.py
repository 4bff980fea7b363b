"""A run: the recipe's loop inside its folder, from plan to table."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import biomtl
from biomtl.batch import encode_examples
from biomtl.checkpoints.card import write_card
from biomtl.errors import InputError
from biomtl.inference.evaluate import Evaluation, evaluate
from biomtl.model import MultiTaskModel
from biomtl.packaged import hub_name
from biomtl.precision import slow_bf16
from biomtl.report.console import table_console
from biomtl.report.page import write_report
from biomtl.report.tables import plan_table, score_table
from biomtl.results import FILE, Results
from biomtl.suite import Suite
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.base import Record
from biomtl.training.accelerator import make_accelerator
from biomtl.training.data import TrainingData
from biomtl.training.folder import CHECKPOINTS, check_folder, open_folder
from biomtl.training.log import RunLog
from biomtl.training.loop import Hooks, Step, fit
from biomtl.training.optimiser import configure
from biomtl.training.overlap import look_for_overlap
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import load_recipe, make_recipe
from biomtl.training.state import Progress
from biomtl.training.words import learn_word_rules


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its results, which only the first of several processes has."""

    folder: Path
    metrics: Results | None


def train(
    model: MultiTaskModel,
    suite: Suite,
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    command: str | None = None,
    console: Console | None = None,
) -> Run:
    """Train ``model`` on ``suite``, choose by dev, score test once, and write the run folder.

    Args:
        model: changed in place; afterwards it holds the chosen weights.
        suite: the tasks to train; each needs a head in the model.
        recipe: everything else: a recipe, its keys, or its YAML file.
        resume: continue the folder's newest checkpoint.
        overwrite: replace an existing folder.
        command: the command line, for the provenance.
        console: where the tables go; default standard output.

    Returns:
        The folder and its results.

    Raises:
        InputError: the folder exists (or, resuming, doesn't), a split is missing, or the data don't fit the recipe.
    """
    console = console or table_console()
    if not isinstance(recipe, Recipe):
        recipe = make_recipe(recipe) if isinstance(recipe, Mapping) else load_recipe(recipe)
    folder = Path(recipe.output)
    check_folder(folder, recipe, resume=resume, overwrite=overwrite)
    check_splits(suite, recipe)
    suite, overlap = look_for_overlap(suite, recipe)
    word_notes = learn_word_rules(model, suite)
    accelerator = make_accelerator(recipe, folder)
    if recipe.num_threads:
        torch.set_num_threads(recipe.num_threads)
    configure(model, recipe)
    torch.manual_seed(recipe.seed + accelerator.process_index)
    data = TrainingData(model.processor, suite, recipe, accelerator.num_processes)
    if accelerator.is_main_process and not resume:
        console.print(plan_table(data.plan(), suite.tasks, recipe))
        slow = slow_bf16(accelerator.device) if recipe.bf16 else None
        for line in (
            *(note for entry in suite.data.values() for note in entry.notes),
            *word_notes,
            overlap.warning(),
            slow,
        ):
            if line:
                console.print(line, markup=False, highlight=False)
    model.to(accelerator.device)
    with accelerator.main_process_first():  # the others find its work done
        keep_activations(model, suite, recipe, data, console)
    accelerator.wait_for_everyone()  # all have looked at the folder: now it may change
    if accelerator.is_main_process:
        open_folder(folder, recipe, resume=resume)
    if recipe.report_to:
        accelerator.init_trackers("biomtl")
    model.provenance = {**provenance(model, suite, recipe, command), "overlap": overlap.facts()}
    started = time.monotonic()
    progress, dev = run_loop(model, suite, recipe, data, accelerator, folder, resume=resume)
    accelerator.wait_for_everyone()
    results = None
    if accelerator.is_main_process:
        results = finish(model, suite, recipe, folder, progress, dev, started, console)
    accelerator.end_training()
    return Run(folder, results)


def keep_activations(model: MultiTaskModel, suite: Suite, recipe: Recipe, data: TrainingData, console: Console) -> None:
    """Let an encoder whose outputs are constants compute them once for the whole run, also for what is scored."""
    if recipe.activations == "none":
        return
    folder = None if recipe.activations_folder is None else Path(recipe.activations_folder)
    if not model.encoder.keep_activations(folder, recipe.activations, int(recipe.activations_gb * 1e9)):
        return
    examples = list(data.examples)
    for split in scored_splits(recipe):
        records = {name: entry.records(split) for name, entry in suite.data.items() if split in entry}
        examples += encode_examples(model.processor, suite.tasks, records, targets=False)
    rows = [row for example in examples for row in example.rows]
    model.encoder.prepare(rows, lambda line: console.print(line, markup=False, highlight=False))


def named(recipe: Recipe, suite: Suite) -> Recipe:
    """The recipe with its tasks under their own names, where it used aliases; ``suite`` was loaded by its list.

    Raises:
        InputError: one task under two names.
    """
    if not recipe.tasks or list(recipe.tasks) == list(suite.tasks):
        return recipe
    if len(recipe.tasks) != len(suite.tasks):
        raise InputError(f"a task under two names ({', '.join(recipe.tasks)})", fix="list it once")
    names = dict(zip(recipe.tasks, suite.tasks, strict=True))
    best = recipe.metric_for_best_model
    tasks = {names[name]: options for name, options in recipe.tasks.items()}
    return recipe.model_copy(update={"tasks": tasks, "metric_for_best_model": names.get(str(best), best)})


def seeded(recipe: Recipe) -> None:
    """Seed torch before fresh heads are built, so that the recipe's seed decides them too."""
    torch.manual_seed(recipe.seed)


def refine(model: MultiTaskModel, task: Task, *, fresh_head: bool) -> None:
    """Make ``model`` a single-task model of ``task``, with its trained head unless a fresh one is wanted or needed."""
    old = model.tasks.get(task.name)
    if old is None or fresh_head:
        model.add_task(task)
    elif (old.type, old.labels, old.inputs, old.pairs) != (task.type, task.labels, task.inputs, task.pairs):
        raise InputError(
            f"the model's head for {task.name} was trained on other labels or inputs",
            expected=f"{old.type} over {len(old.labels)} labels",
            fix="add --fresh-head",
        )
    elif changed := [key for key, value in task.head_options.items() if old.head_options.get(key) != value]:
        found = f"head option {changed[0]} for {task.name}, whose trained head was built otherwise"
        raise InputError(found, fix="leave it out or add --fresh-head")
    model.keep_tasks([task.name])


def run_loop(
    model: MultiTaskModel,
    suite: Suite,
    recipe: Recipe,
    data: TrainingData,
    accelerator: Any,
    folder: Path,
    *,
    resume: bool,
) -> tuple[Progress, dict[str, list[Record]] | None]:
    """The loop with this run's log, dev scores and best model; also returns that model's dev predictions."""
    log: RunLog | None = None
    latest: dict[str, list[Record]] = {}
    best: dict[str, list[Record]] | None = None
    saved: Path | None = None

    def on_start(progress: Progress, total: int) -> None:
        nonlocal log
        log = RunLog(folder / "log.jsonl", accelerator, total, keep=progress.step)

    def on_step(step: Step) -> None:
        assert log is not None
        log.step(step)

    def score_dev(progress: Progress) -> float:
        nonlocal latest
        assert log is not None
        result = evaluate(model, suite, "dev", resamples=0, bf16=recipe.bf16)
        scores = {name: {"metric": s.main.id, "value": s.main.value} for name, s in result.scores.items()}
        log.evaluation(progress.step, progress.seconds, "dev", scores, result.mean)
        latest = dict(result.predictions)
        chosen = recipe.metric_for_best_model
        return result.mean if chosen in (None, "mean") else result.gain(str(chosen))

    def save_best() -> None:
        nonlocal best, saved
        best = latest or None
        if accelerator.is_main_process:
            same = saved if model.encoder.frozen else None  # a biLM of 370 MB need not be written at every gain
            model.save_pretrained(folder / "model", overwrite=True, encoder_from=same)
            saved = folder / "model"

    try:
        hooks = Hooks(on_start, on_step, score_dev, save_best)
        return fit(model, data, recipe, accelerator, hooks, folder / CHECKPOINTS, resume=resume), best
    finally:
        if log is not None:
            log.close()


def finish(
    model: MultiTaskModel,
    suite: Suite,
    recipe: Recipe,
    folder: Path,
    progress: Progress,
    dev: dict[str, list[Record]] | None,
    started: float,
    console: Console,
) -> Results:
    """Load the chosen weights, score dev and once the test split, write predictions and ``metrics.json``.

    ``dev`` are the chosen model's predictions where the run still has them: they need not be made again.
    """
    chosen = MultiTaskModel.from_pretrained(folder / "model")
    model.load_state_dict(chosen.state_dict())
    evaluations: list[Evaluation] = []
    for split in scored_splits(recipe):
        if any(split in entry for entry in suite.data.values()):
            known = dev if split == "dev" else None
            evaluations.append(evaluate(model, suite, split, seed=recipe.seed, bf16=recipe.bf16, predictions=known))
            evaluations[-1].write_predictions(folder / "predictions")
    facts = {
        **model.provenance,
        "steps": progress.step,
        "best_step": progress.best_step if recipe.eval_strategy != "no" else progress.step,
        "train_seconds": round(progress.seconds, 1),
        "seconds": round(time.monotonic() - started, 1),
    }
    results = Results.of(evaluations, facts)
    results.write(folder / FILE)
    tasks, length = list(suite.tasks.values()), model.processor.max_length
    write_card(folder / "model", "biomtl", tasks, facts, max_length=length, results=results)
    write_report(folder)
    for split in results.mean:
        console.print(score_table(results, split))
    return results


def scored_splits(recipe: Recipe) -> list[Split]:
    """The splits that a run scores, test last."""
    wanted: dict[Split, bool] = {"dev": recipe.eval_strategy != "no", "test": recipe.predict_test}
    return [split for split, scored in wanted.items() if scored]


def check_splits(suite: Suite, recipe: Recipe) -> None:
    """Refuse a run whose data can't do what the recipe says, before anything is written."""
    needed = [*recipe.train_on.split("+"), *(["dev"] if recipe.eval_strategy != "no" else [])]
    for entry in suite.data.values():
        for split in needed:
            entry.records(split)  # type: ignore[arg-type]
    unknown = [name for name in recipe.tasks if name not in suite.tasks]
    if unknown:
        raise InputError(f"no data for task {unknown[0]!r}", expected="one of: " + ", ".join(suite.tasks))
    best = recipe.metric_for_best_model
    if best not in (None, "mean", *suite.tasks):
        raise InputError(f"metric_for_best_model {best!r}", expected="mean or one of: " + ", ".join(suite.tasks))


def provenance(model: MultiTaskModel, suite: Suite, recipe: Recipe, command: str | None) -> dict[str, Any]:
    """Where the numbers come from: versions, seed, data checksums, machine."""
    packages = {}
    for name in ("torch", "transformers", "accelerate", "numpy", "safetensors"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "biomtl": biomtl.__version__,
        "python": sys.version.split()[0],
        "packages": packages,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "command": command,
        "encoder": recipe.encoder,
        "base_model": hub_name(recipe.encoder),
        "seed": recipe.seed,
        "data": suite.provenance(),
    }
