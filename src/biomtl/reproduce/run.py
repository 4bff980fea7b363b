"""A reproduction from plan to verdict; started again, it goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from biomtl.errors import InputError
from biomtl.prepare import prepare
from biomtl.reproduce.forms import as_values, console_table, csv_table, markdown, show_plan
from biomtl.reproduce.needs import (
    Needs,
    cost,
    encoder_parameters,
    look,
    measured_pace,
    read_all,
    refuse_missing,
    rows_of,
)
from biomtl.reproduce.plan import PlannedRun, Reproduction, planned_runs
from biomtl.reproduce.verdict import Figure, figures
from biomtl.signals import SAID, Ended
from biomtl.storage.files import atomic_file, write_json
from biomtl.storage.structured import read_json
from biomtl.study.published import SPLIT
from biomtl.study.stages import COMPARISON, train_stages
from biomtl.study.studies import pairwise
from biomtl.training.folder import RECIPE

MARK = "reproduction.json"
"""Says whose folder it is."""
VERDICT = "verdict"
SUITE = "suite"
"""Where originals are prepared to."""


def reproduce(
    reproduction: Reproduction,
    console: Console,
    *,
    source: Path | None = None,
    dry_run: bool = False,
    workers: int = 1,
    command: str | None = None,
) -> list[Figure]:
    """Show the plan and its cost; unless it is a dry run, train whatever isn't finished, and judge the figures.

    Args:
        reproduction: what is run.
        console: for plan, progress and verdict.
        source: original corpora, prepared first.
        dry_run: show the plan alone, with what is missing.
        workers: runs of pairs side by side.
        command: the command line, for the provenance.

    Returns:
        The figures, which also stand in ``verdict.md``, ``verdict.json`` and ``verdict.csv``; none for a dry run.

    Raises:
        InputError: data or weights are missing, another reproduction's folder, or another recipe than before.
    """
    refuse_other(reproduction)
    runs = list(planned_runs(reproduction))
    needs = look(reproduction)
    if source is not None and needs.suite is None:
        needs = Needs(None, (), needs.encoder)
        _preview(console, reproduction, needs, runs)
        if dry_run:
            return []
        refuse_missing(reproduction, needs)
        claim(reproduction)
        prepare(source, Path(reproduction.recipe.suite), list(reproduction.recipe.tasks))
        needs = look(reproduction)
    elif needs.missing:
        _preview(console, reproduction, needs, runs)
    if needs.missing and dry_run:
        return []
    refuse_missing(reproduction, needs)
    suite, model = read_all(reproduction)
    rows = rows_of(suite, reproduction.recipe)
    pace, device = measured_pace(model, suite, reproduction.recipe)
    found_cost = cost(reproduction, runs, rows, pace, device, encoder_parameters(model))
    del model
    show_plan(console, reproduction, needs, runs, rows, found_cost)
    if dry_run:
        return []
    claim(reproduction)
    tables = train(reproduction, console, workers, command)
    found = figures(reproduction)
    write_verdict(reproduction, found, tables)
    console.print(console_table(found))
    console.print(f"{reproduction.out / VERDICT}.md, .json, .csv")
    return found


def _preview(console: Console, reproduction: Reproduction, needs: Needs, runs: Sequence[PlannedRun]) -> None:
    """The plan by what can be known without reading everything."""
    rows = rows_of(needs.suite, reproduction.recipe)
    show_plan(console, reproduction, needs, runs, rows, cost(reproduction, runs, rows))


def train(reproduction: Reproduction, console: Console, workers: int, command: str | None) -> list[str]:
    """Train whatever isn't finished; the study's own tables, in Markdown."""
    place = reproduction.place
    tables = [place / "study.md", place / f"{COMPARISON}.md"]
    try:
        if reproduction.paper.study == "pairs":
            pairwise(reproduction.recipe, place, console, split=SPLIT, workers=workers)
        else:
            begun = (place / RECIPE).is_file()
            train_stages(reproduction.recipe, resume=begun, console=console, command=command)
    except Ended as end:
        raise Ended(end.number, f"{SAID[end.number]}, run the same command again to continue") from end
    return [path.read_text(encoding="utf-8") for path in tables if path.is_file()]


def write_verdict(reproduction: Reproduction, found: Sequence[Figure], tables: Sequence[str]) -> None:
    """Write the verdict in its three forms."""
    write_json(reproduction.out / f"{VERDICT}.json", as_values(reproduction, found))
    for suffix, text in ((".md", markdown(reproduction, found, tables)), (".csv", csv_table(found))):
        with atomic_file(reproduction.out / f"{VERDICT}{suffix}") as stream:
            stream.write(text)


def refuse_other(reproduction: Reproduction) -> None:
    """Refuse a folder that isn't free for this reproduction.

    Raises:
        InputError: it holds something else.
    """
    out, fix = reproduction.out, "choose another --out"
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MARK).is_file():
        raise InputError("a folder that doesn't belong to a reproduction", path=out, fix=fix)
    said = read_json(out / MARK, "the name of a reproduction")
    if said != identity(reproduction):
        raise InputError(f"another reproduction: {json.dumps(said)}", path=out, fix=fix)


def claim(reproduction: Reproduction) -> None:
    """Mark the folder as this reproduction's."""
    reproduction.out.mkdir(parents=True, exist_ok=True)
    write_json(reproduction.out / MARK, identity(reproduction))


def identity(reproduction: Reproduction) -> dict[str, str]:
    """Whose folder it is."""
    return {"name": reproduction.name, "group": reproduction.group}
