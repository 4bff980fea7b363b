"""``biomtl evaluate``."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from biomtl.cli.calibration import Uncalibrated
from biomtl.cli.precision import chosen
from biomtl.cli.progress import texts
from biomtl.cli.say import say
from biomtl.cli.splits import SplitName
from biomtl.cli.verify import NoVerify
from biomtl.errors import InputError
from biomtl.inference.evaluate import evaluate as score_split
from biomtl.inference.evaluate import left_out, shared_tasks
from biomtl.model import MultiTaskModel
from biomtl.mtdnn.scores import check_writable
from biomtl.report.console import table_console
from biomtl.report.tables import divided_note, score_table
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_folder, refuse_existing
from biomtl.suite import load_suite
from biomtl.tasks.types.base import type_of
from biomtl.training.origin import date


class PredictionFormat(StrEnum):
    """Formats of predictions."""

    jsonl = "jsonl"
    mtdnn = "mtdnn"
    squad = "squad"


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model or run folder.", show_default=False)],
    data: Annotated[
        str,
        typer.Option("--data", help="Prepared suite, `sample`, or a recipe with your own tasks.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: predictions and metrics.", show_default=False)],
    split: Annotated[SplitName, typer.Option("--split", help="Split to score.")] = SplitName.test,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=1, help="Word pieces per row; default the model's.")
    ] = None,
    with_gold: Annotated[
        bool, typer.Option("--with-gold", help="Include each row's input and gold values in the predictions.")
    ] = False,
    format: Annotated[
        PredictionFormat,
        typer.Option(
            "--format",
            help="Format of the predictions: JSON lines, MT-DNN's score files, or SQuAD's answers by question.",
        ),
    ] = PredictionFormat.jsonl,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")] = 0,
    uncalibrated: Uncalibrated = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Predict a split and score it by the benchmark's rules, with 95 % intervals.

    Example: `biomtl evaluate runs/joint --data prepared --split test --out runs/joint-test`
    """
    if with_gold and format != PredictionFormat.jsonl:
        raise InputError(f"--with-gold and --format {format}", expected="one of them", fix="leave one out")
    refuse_existing(out, overwrite, output="evaluate", inputs=(model, data))
    loaded = MultiTaskModel.from_pretrained(model, max_length=max_length)
    if uncalibrated:
        loaded.drop_calibration()
    whole = load_suite(data, task, known=loaded.tasks)
    suite = shared_tasks(loaded, whole, asked=bool(task), split=split.value)
    for name in suite.tasks:
        if format == PredictionFormat.mtdnn:
            check_writable(loaded.tasks[name])
        if format == PredictionFormat.squad and "answers" not in type_of(loaded.tasks[name]).further_cells:
            problem = f"task {name}: SQuAD's answers for type {loaded.tasks[name].type}"
            raise InputError(problem, expected="type span", fix="leave out --format, or the task")
    for line in [] if task else left_out(loaded, whole, split.value):
        say(line)
    with texts("evaluate") as advance:
        result = score_split(loaded, suite, split.value, bf16=chosen(bf16), seed=seed, advance=advance)
    for name, count in result.divided.items():
        say(divided_note(name, count))
    facts: dict[str, Any] = {
        **{key: loaded.provenance[key] for key in ("biomtl", "encoder", "packages") if key in loaded.provenance},
        "model": str(model),
        "command": shlex.join(["biomtl", *sys.argv[1:]]),
        "seed": seed,
        "model_seed": loaded.provenance.get("seed", seed),
        "suite": data,
        "data": suite.provenance(),
        "date": date(),
    }
    results = Results.of([result], facts)
    with atomic_folder(out, "evaluate", overwrite=overwrite) as work:
        if format == PredictionFormat.mtdnn:
            result.write_mtdnn(work, loaded.tasks)
        elif format == PredictionFormat.squad:
            result.write_squad(work)
        else:
            result.write_predictions(work / "predictions", suite if with_gold else None)
        results.write(work / FILE)
    table_console().print(score_table(results, split.value))
