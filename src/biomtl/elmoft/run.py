"""The ordinary run of a plan, and the old program's tables in its folder."""

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

from biomtl.elmoft.data import folds, load_data, task_of
from biomtl.elmoft.flags import Flags
from biomtl.elmoft.plan import Plan, check, make_plan, pretrained
from biomtl.elmoft.reference import NAME
from biomtl.elmoft.tables import PERF, Row, can_write_xlsx, write_table, write_tables
from biomtl.encoders.elmo.encoder import ElmoEncoder
from biomtl.encoders.elmo.weights import load_elmo
from biomtl.errors import InputError
from biomtl.inference.evaluate import evaluate, shared_tasks
from biomtl.model import MultiTaskModel
from biomtl.report.tables import score_table
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_folder, read_jsonl, recover, refuse_existing
from biomtl.storage.ownership import refuse_foreign
from biomtl.suite import Suite
from biomtl.text.elmo import ElmoProcessor
from biomtl.training.folder import locked
from biomtl.training.recipe_io import dump_recipe
from biomtl.training.run import train

MIXES, MIX_DROPOUT = 2, 0.5  # two learned mixes of the biLM's layers side by side, each with this dropout
FOLDS = "folds.csv"


def run(flags: Flags, command: str, console: Console, say: Any) -> Path:
    """Do what the flags say; returns the folder that was written.

    Args:
        flags: the call.
        command: how it was typed, for the provenance.
        console: where tables go.
        say: takes lines for the user that are no result.

    Raises:
        InputError: bad flags, data, weights, or an output that exists.
    """
    check(flags)
    suite = load_data(task_of(flags.task), flags.data_dir, flags.input)
    if flags.resume:
        return score_again(flags, suite, command, console)
    plan = make_plan(flags, suite)
    for note in plan.notes:
        say(note)
    if not can_write_xlsx():
        say("openpyxl is not installed: tables are written as csv only (pip install 'biomtl[elmo]')")
    if flags.verbose:
        console.print(dump_recipe(plan.recipe), markup=False, highlight=False)
    return cross_validate(flags, plan, command, console) if flags.kfold else train_once(flags, plan, command, console)


def train_once(flags: Flags, plan: Plan, command: str, console: Console) -> Path:
    """Train, choose by dev, score dev and test, write run folder and tables."""
    refuse_existing(Path(plan.recipe.output), flags.overwrite, output="run", inputs=(flags.data_dir,))
    model = build_model(flags, plan)
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
    """The frozen biLM with a fresh head; the recipe's seed decides its weights."""
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
    """A run for each part of train held out (it is that run's test split), and the table of their scores."""
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
    """Keep an earlier run or cross-validation beside ``out``; it comes back unless the block ends well.

    Where the process is killed, the next call brings it back.

    Raises:
        InputError: ``out`` exists and may not be replaced, or is something else.
    """
    if os.environ.get("RANK", "0") != "0":
        yield  # the first of several processes does it
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
    """Delete the older of two folders if the newer one stands, else the newer one."""
    if not stands:
        if out.exists():
            recover(out)
            for lock in out.glob(".fold-*.lock"):  # of a killed process
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
    """Write the tables of every scored split; show those by the old rules."""
    for name, task in suite.tasks.items():
        for split, score in results.tasks[name].items():
            predicted = [row for _, row in read_jsonl(folder / "predictions" / name / f"{split}.jsonl")]
            gold = suite[name].records(split)
            rows = write_tables(folder, split, task, gold, predicted, score, reference=flags.protocol == "reference")
            if rows:
                console.print(reference_table(split, rows))


def reference_table(split: str, rows: list[Row]) -> Table:
    """The scores by the old program's rules, as they are shown."""
    table = Table(title=f"{split}, protocol: {NAME}", title_justify="left")
    columns = [column for column in PERF[:6] if any(row.get(column) is not None for row in rows)]
    for column in columns:
        table.add_column(column, justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    return table


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
