"""``biomtl leaderboard``."""

from __future__ import annotations

from typing import Annotated

import typer

from biomtl.cli.forms import Form, show
from biomtl.study.board_tables import console_table, csv_table, latex, markdown
from biomtl.study.leaderboard import leaderboard as find


def leaderboard(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="Run folders; also a folder of runs (one per task or per seed), or NAME=FOLDER.",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="Only these tasks, separated by commas.", show_default=False)
    ] = None,
    to: Annotated[Form, typer.Option("--to", help="Output: a table for the terminal, or a format.")] = Form.table,
) -> None:
    """Show runs beside published scores: test split, with the sources and where the protocols differ.

    A run that was scored by another metric or on other data than the published scores is refused. Examples:

        biomtl leaderboard runs/joint

        biomtl leaderboard alone=results/alone joint=results/joint --to latex

        biomtl leaderboard --tasks ddi2013,chemprot
    """
    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    found = find(runs or [], names)
    show(found, to, console_table, {Form.md: markdown, Form.latex: latex, Form.csv: csv_table})
