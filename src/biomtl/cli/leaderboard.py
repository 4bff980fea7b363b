"""``biomtl leaderboard``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from biomtl.cli.compare import Form
from biomtl.cli.say import say, say_json
from biomtl.report.console import table_console
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
    if to is Form.table:
        table_console().print(console_table(found))
    elif to is Form.json:
        say_json(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
    else:
        write = {Form.md: markdown, Form.latex: latex, Form.csv: csv_table}[to]
        say(write(found).rstrip("\n"))
