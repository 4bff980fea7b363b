"""``biomtl recipes``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from biomtl.cli.say import say
from biomtl.errors import InputError, nearest
from biomtl.recipes import about, packaged_recipes
from biomtl.report.console import table_console


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe.", show_default=False)] = None,
) -> None:
    """List the recipes that come with biomtl, or print one to start your own from.

    Example: `biomtl train sample`, or `biomtl recipes sample > mine.yaml` and then `biomtl train mine.yaml`.
    """
    known = packaged_recipes()
    if name is not None:
        if name not in known:
            raise InputError(f"no recipe {name!r}", expected=f"one of: {', '.join(known)}", fix=nearest(name, known))
        say(known[name].read_text(encoding="utf-8").rstrip("\n"))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for recipe, path in known.items():
        table.add_row(recipe, about(path))
    table_console().print(table)
