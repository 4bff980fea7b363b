"""``biomtl compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from biomtl.cli.forms import Form, show
from biomtl.cli.splits import SplitName
from biomtl.errors import InputError
from biomtl.study.compare import compare_runs
from biomtl.study.tables import console_table, csv_table, latex, markdown


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run folders, the baseline first; also a folder of runs (one per task or per seed), or NAME=FOLDER.",
            show_default=False,
        ),
    ],
    split: Annotated[SplitName, typer.Option("--split", help="Split to compare on.")] = SplitName.test,
    to: Annotated[Form, typer.Option("--to", help="Output: a table for the terminal, or a format.")] = Form.table,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Suite with the gold records; default that of the runs or evaluations.", show_default=False
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of each test.", min=100)] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the tests.", min=0)] = 0,
    level: Annotated[float, typer.Option(help="p-value below which a difference counts.", min=0, max=1)] = 0.05,
) -> None:
    """Compare runs task by task with the first: differences, paired tests, wins and ranks.

    Runs that were scored on other data or by another metric are refused. Examples:

        biomtl compare runs/alone runs/joint

        biomtl compare alone=results/alone joint=results/joint --to latex
    """
    if len(runs) < 2:
        raise InputError("one run", expected="two or more", fix="give the baseline first")
    found = compare_runs(runs, split.value, data=data, resamples=resamples, seed=seed, level=level)
    show(found, to, console_table, {Form.md: markdown, Form.latex: latex, Form.csv: csv_table})
