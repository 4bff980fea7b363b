"""``biomtl score``: the benchmarks' scores for a gold and a prediction file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from biomtl.cli.gold import sides
from biomtl.cli.say import say_json
from biomtl.cli.score_suite import score_suite
from biomtl.cli.splits import SplitName
from biomtl.errors import InputError
from biomtl.report.console import table_console
from biomtl.scoring import MetricResult, Score
from biomtl.scoring import score as compute
from biomtl.scoring.result import MARK, few_units_note


def score(
    gold: Annotated[
        Path,
        typer.Argument(
            help="Gold file (prepared JSONL, a BLUE file); or a recipe, prepared suite or run, whose split is gold.",
            show_default=False,
        ),
    ],
    predicted: Annotated[
        Path | None,
        typer.Argument(
            help="Predictions, in the same or another format; `-` is standard input. A run has its own.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="Task name or alias, the path of a `task.yaml`, or `RECIPE.yaml:NAME`; not needed if GOLD has one.",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            help="Score all tasks of this suite (blurb) that GOLD has, and the suite; PREDICTED is a folder.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option("--split", help="Split of a recipe, suite or run.")] = SplitName.test,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples; 0 for no intervals.", min=0)] = 1000,
) -> None:
    """Score predictions by the rules of the benchmarks, with rows per label and 95 % intervals.

    Rows are matched by id; a missing, repeated or unknown id is an error. Examples:

        biomtl score --task ddi2013 prepared/ddi2013/test.jsonl predictions/ddi2013/test.jsonl

        biomtl score own.yaml predictions.jsonl --task effect

        biomtl score runs/joint --task hoc --split dev

        biomtl score prepared --suite blurb runs/joint-test
    """
    if suite is not None:
        if task is not None:
            raise InputError("both --task and --suite", expected="one of them", fix="leave one out")
        score_suite(gold, predicted, suite, split.value, seed=seed, resamples=resamples, as_json=as_json)
        return
    if {str(gold), str(predicted)} <= {"-", "/dev/stdin"}:
        raise InputError("standard input for both files", expected="one of them", fix="save the other to a file")
    record, gold_table, predicted_table = sides(gold, predicted, task, split.value)
    result = compute(record, gold_table, predicted_table, seed=seed, resamples=resamples)
    if as_json:
        say_json(json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=2))
        return
    console = table_console()
    for table in tables(result):
        console.print(table)
    for line in footer(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def tables(result: Score) -> Iterator[Table]:
    """The metrics, the labels of the main metric, and the confusion matrix for classification."""

    table = Table(title=f"{result.task}: {result.rows:,} rows", title_justify="left")
    table.add_column("metric", overflow="fold")
    for name in ("value", "95 % interval", "precision", "recall", "support"):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in result.metrics.values():
        table.add_row(metric.title, *_numbers(metric, MARK if result.few_units else ""))
    yield table
    if result.main.labels:
        table = Table(title=f"per label, as counted for the {result.main.title}", title_justify="left")
        table.add_column("label", overflow="fold")
        for name in ("precision", "recall", "F1 of the label", "gold", "predicted", "correct"):
            table.add_column(name, justify="right")
        for row in result.main.labels:
            shares = (f"{share:.4f}" for share in (row.precision, row.recall, row.f1))
            counts = (f"{count:,}" for count in (row.support, row.predicted, row.correct))
            table.add_row(row.label, *shares, *counts)
        yield table
    if result.confusion is not None:
        table = Table("gold \\ predicted", title="confusions", title_justify="left")
        for label in result.confusion.labels:
            table.add_column(label, justify="right", overflow="fold")
        for label, row_counts in zip(result.confusion.labels, result.confusion.counts, strict=True):
            table.add_row(label, *(f"{count:,}" for count in row_counts))
        yield table


def _numbers(metric: MetricResult, mark: str) -> list[str]:
    interval = "" if metric.low is None or metric.high is None else f"{metric.low:.4f} - {metric.high:.4f}{mark}"
    shares = ["" if share is None else f"{share:.4f}" for share in (metric.precision, metric.recall)]
    return [f"{metric.value:.4f}", interval, *shares, f"{metric.support:,}"]


def footer(result: Score) -> Iterator[str]:
    """How the intervals were computed, and further notes."""

    if result.resamples:
        drawn = f"{result.resamples:,} resamples of {result.units:,} {result.unit}s, seed {result.seed}"
        yield f"Intervals: percentile bootstrap, {drawn}."
    if result.few_units:
        yield f"{few_units_note(result.units, result.unit)}."
    for note in result.notes:
        yield f"Note: {note}."
    for metric in result.metrics.values():
        for note in metric.notes:
            yield f"Note on {metric.id}: {note}."
