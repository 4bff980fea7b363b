"""``biomtl reproduce``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from biomtl.report.console import table_console
from biomtl.reproduce.paper import papers
from biomtl.reproduce.plan import plan
from biomtl.reproduce.run import SUITE
from biomtl.reproduce.run import reproduce as run


def reproduce(
    name: Annotated[str | None, typer.Argument(help="What to reproduce; none lists all.", show_default=False)] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Recipe keys to set, above all `suite=FOLDER` and `encoder=FOLDER`."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder; default reproduced/NAME.", show_default=False)
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="biomedical, clinical or all tasks.", show_default=False)
    ] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="Only these tasks, separated by commas.", show_default=False)
    ] = None,
    corpora: Annotated[
        Path | None,
        typer.Option(
            "--corpora", help="Original corpora, prepared first (instead of suite=FOLDER).", show_default=False
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system", help="Published system that the encoder belongs to, such as 'BioBERT'.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Runs of pairs in parallel, each in its own process.", min=1)
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show plan, needs and cost; run nothing.")] = False,
) -> None:
    """Run a paper's experiments and compare the figures with the published ones.

    First shows what it needs and what it costs. Run it again to continue where it was stopped. Examples:

        biomtl reproduce mt-bluebert --group biomedical --dry-run

        biomtl reproduce blue-bert suite=prepared encoder=FOLDER --system "BioBERT"
    """
    console = table_console()
    if name is None:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for known, paper in papers().items():
            table.add_row(known, paper.title)
        console.print(table)
        return
    folder = out or Path("reproduced") / (name if group in (None, "all") else f"{name}-{group}")
    given = list(overrides or [])
    if corpora is not None:
        given.append(f"suite={folder / SUITE}")
    chosen = [task.strip() for task in (tasks or "").split(",") if task.strip()]
    planned = plan(name, folder, given, group=group, tasks=chosen, system=system)
    command = shlex.join(["biomtl", *sys.argv[1:]])
    run(planned, console, source=corpora, dry_run=dry_run, workers=workers, command=command)
