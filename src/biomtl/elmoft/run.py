"""Runs a plan like any training run, and adds the old program's tables to the run folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from biomtl.elmoft.checks import check
from biomtl.elmoft.data import folds, load_data, task_of
from biomtl.elmoft.flags import Flags
from biomtl.elmoft.plan import Plan, make_plan, pretrained
from biomtl.elmoft.reference import NAME
from biomtl.elmoft.tables import PERF, Row, can_write_xlsx, write_table, write_tables
from biomtl.encoders.elmo.encoder import ElmoEncoder
from biomtl.encoders.elmo.weights import load_elmo
from biomtl.errors import InputError
from biomtl.inference.evaluate import evaluate, shared_tasks
from biomtl.model import MultiTaskModel
from biomtl.report.tables import score_table
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_folder, read_jsonl, refuse_existing
from biomtl.storage.litter import recover
from biomtl.storage.ownership import refuse_foreign
from biomtl.suite import Suite
from biomtl.text.elmo import ElmoProcessor
from biomtl.training.folder import locked
from biomtl.training.recipe_io import dump_recipe
from biomtl.training.run import train

MIXES, MIX_DROPOUT = 2, 0.5  # two learned mixes of the biLM's layers side by side, each with this dropout
FOLDS = "folds.csv"


def run(flags: Flags, command: str, console: Console, say: Any) -> Path:
    """Run what the flags ask for and return the folder that was written.

    Args:
        flags: the parsed flags.
        command: the command line, for the provenance.
        console: the console for tables.
        say: called with each note for the user.

    Raises:
        InputError: bad flags, data or weights, or an output that exists.
    """
    check(flags)
    suite = load_data(task_of(flags.task), flags.data_dir, flags.input)
    if flags.resume:
        return score_again(flags, suite, command, console)
    plan = make_plan(flags, suite)
    model = None  # whatever is wrong with its files is reported before anything else
    if not flags.kfold:
        refuse_existing(Path(plan.recipe.output), flags.overwrite, output="run", inputs=(flags.data_dir,))
        model = build_model(flags, plan)
    for note in plan.notes:
        say(note)
    if not can_write_xlsx():
        say("openpyxl is not installed: tables are written as csv only (pip install 'biomtl[elmo]')")
    if flags.verbose:
        console.print(dump_recipe(plan.recipe), markup=False, highlight=False)
    if model is None:
        return cross_validate(flags, plan, command, console)
    return train_once(flags, plan, model, command, console)


def train_once(flags: Flags, plan: Plan, model: MultiTaskModel, command: str, console: Console) -> Path:
    """Train, select on dev, score dev and test, and write the run folder and the tables."""
    also = partial(tables, flags, plan.suite, console)
    done = train(
        plan.recipe,
        model=model,
        suite=plan.suite,
        overwrite=flags.overwrite,
        command=command,
        console=console,
        also=also,
    )
    if done.metrics:  # empty in all processes but the first
        console.print(f"run folder: {done.folder}", markup=False, highlight=False)
    return done.folder


def build_model(flags: Flags, plan: Plan) -> MultiTaskModel:
    """The frozen biLM with a fresh head, initialised from the recipe's seed."""
    folder = pretrained(flags)
    if folder is not None:
        network = load_elmo(folder)
    else:
        assert flags.options_path is not None
        network = load_elmo(flags.options_path, flags.weights_path)
    size = network.options.char_cnn.max_characters_per_token
    processor = ElmoProcessor(plan.recipe.max_length, plan.recipe.stride, size)
    torch.manual_seed(plan.recipe.seed)
    encoder = ElmoEncoder(network, mixes=MIXES, dropout=MIX_DROPOUT)
    return MultiTaskModel(encoder, processor, plan.suite.tasks, plan.suite.heads)


def cross_validate(flags: Flags, plan: Plan, command: str, console: Console) -> Path:
    """One run per fold, with the held-out part of train as its test split, and a table of their scores."""
    assert flags.kfold is not None
    out = Path(plan.recipe.output)
    parts = folds(plan.suite[plan.task.name], flags.kfold, flags.seed)
    rows: list[Row] = []
    with replacing(out, flags.overwrite):
        for number, fold in enumerate(parts, start=1):
            recipe = plan.recipe.model_copy(update={"output": str(out / f"fold-{number}")})
            fold_plan = Plan(Suite([fold]), recipe, ())
            model = build_model(flags, fold_plan)
            also = partial(tables, flags, fold_plan.suite, console)
            done = train(recipe, model=model, suite=fold_plan.suite, command=command, console=console, also=also)
            if done.metrics:
                score = done.metrics.tasks[plan.task.name]["test"]
                rows.append({"fold": number, "metric": score.metric, "value": score.value})
        if rows:
            write_table(out / "folds", [*rows, *summary(rows)])
    if rows:
        console.print(f"run folders: {out}/fold-*, scores of the held-out parts: {out}/folds.csv", highlight=False)
    return out


@contextlib.contextmanager
def replacing(out: Path, overwrite: bool) -> Iterator[None]:
    """Keep an earlier run or cross-validation beside ``out`` and restore it unless the block succeeds.

    If the process is killed, the next call restores it.

    Raises:
        InputError: ``out`` exists and may not be replaced, or is something else.
    """
    if os.environ.get("RANK", "0") != "0":
        yield  # only the first process does this
        return
    old = out.with_name(f".{out.name}.old")
    with locked(out):
        if old.is_dir():
            _settle(out, old, stands=(out / FOLDS).is_file())
        refuse_existing(out, overwrite, output="run")
        if out.exists():
            os.rename(out, old)
        stands = False
        try:
            yield
            stands = True
        finally:
            if old.is_dir():
                _settle(out, old, stands=stands)


def _settle(out: Path, old: Path, *, stands: bool) -> None:
    """Delete the older of two folders if the newer one is complete, otherwise the newer one."""
    if not stands:
        if out.exists():
            recover(out)
            for lock in out.glob(".fold-*.lock"):  # left by a killed process
                lock.unlink()
            refuse_foreign(out, "run")
            shutil.rmtree(out)
        os.rename(old, out)
    shutil.rmtree(old, ignore_errors=True)


def summary(rows: list[Row]) -> list[Row]:
    """Mean and standard deviation over the folds."""
    values = [row["value"] for row in rows]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    metric = rows[0]["metric"]
    return [
        {"fold": "mean", "metric": metric, "value": mean},
        {"fold": "standard deviation", "metric": metric, "value": deviation},
    ]


def score_again(flags: Flags, suite: Suite, command: str, console: Console) -> Path:
    """Score dev and test with a trained model; nothing is trained."""
    assert flags.resume is not None
    out = flags.out or Path(f"runs/elmoft-{flags.task}-resumed")
    refuse_existing(out, flags.overwrite, output="evaluate", inputs=(flags.resume, flags.data_dir))
    if flags.resume.is_file():
        fix = "give the run folder; pickled models are never opened, train them again"
        raise InputError("a file", path=flags.resume, expected="a run or model folder", fix=fix)
    model = MultiTaskModel.from_pretrained(flags.resume)
    suite = shared_tasks(model, suite, asked=True, split="test")
    if isinstance(model.encoder, ElmoEncoder) and flags.activations != "none":
        model.encoder.keep_activations(flags.cache / "elmo", flags.activations)
    results = [evaluate(model, suite, split, seed=flags.seed) for split in ("dev", "test")]
    facts = {"model": str(flags.resume), "command": command, "seed": flags.seed, "data": suite.provenance()}
    scores = Results.of(results, facts)
    with atomic_folder(out, "evaluate", overwrite=flags.overwrite) as work:
        for result in results:
            result.write_predictions(work / "predictions")
            console.print(score_table(scores, result.split))
        scores.write(work / FILE)
        tables(flags, suite, console, work, scores)
    return out


def tables(flags: Flags, suite: Suite, console: Console, folder: Path, results: Results) -> None:
    """Write the tables of every scored split, and print those scored by the old rules."""
    for name, task in suite.tasks.items():
        for split, score in results.tasks[name].items():
            predicted = [row for _, row in read_jsonl(folder / "predictions" / name / f"{split}.jsonl")]
            gold = suite[name].records(split)
            rows = write_tables(folder, split, task, gold, predicted, score, reference=flags.protocol == "reference")
            if rows:
                console.print(reference_table(split, rows))


def reference_table(split: str, rows: list[Row]) -> Table:
    """The scores by the old program's rules, as a table for the console."""
    table = Table(title=f"{split}, protocol: {NAME}", title_justify="left")
    columns = [column for column in PERF[:6] if any(row.get(column) is not None for row in rows)]
    for column in columns:
        table.add_column(column, justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    return table


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
