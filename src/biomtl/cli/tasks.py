"""``biomtl tasks``: the tasks, how they are scored, and where to get their data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from biomtl.cli.say import say_json
from biomtl.errors import InputError
from biomtl.report.console import table_console
from biomtl.scoring import METRICS
from biomtl.tasks import SUITES, Task, get_task, known_tasks, suite_tasks

UNITS = ("mentions", "positives", "documents", "pairs", "rows", "labelled words")
"""Units of the benchmarks' own tables; the overview shows the first one in a task's record."""


def tasks(
    task: Annotated[
        str | None, typer.Argument(help="Show everything about this task (name or alias).", show_default=False)
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Only the tasks of a suite: blue, blurb, blue-public, sample.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every field of every record.")] = False,
) -> None:
    """List the tasks: type, counts, metric, licence, and where or from whom to get the data.

    Example: `biomtl tasks --suite blue-public`, or `biomtl tasks chemprot` for the details of one.
    """

    if task is not None and suite is not None:
        raise InputError("both a task and a suite", expected="one of them", fix=f"try `biomtl tasks {task}`")
    chosen = [get_task(task)] if task else suite_tasks(suite) if suite else list(known_tasks().values())
    if as_json:
        say_json(json.dumps(as_values(chosen), ensure_ascii=False, indent=2))
        return
    console = table_console()
    for shown in detail(chosen[0]) if task else overview(chosen):
        console.print(shown, markup=False, highlight=False)


def as_values(tasks: Sequence[Task]) -> dict[str, Any]:
    """Everything about the tasks, the metrics' full names, and the suites."""

    used = dict.fromkeys(name for task in tasks for name in (task.metric, *task.metrics))
    return {
        "tasks": [task.model_dump(mode="json") for task in tasks],
        "metrics": {name: METRICS[name].title for name in used},
        "suites": {name: list(members) for name, members in SUITES.items()},
    }


def overview(tasks: Sequence[Task]) -> Iterator[Table | str]:
    """A summary, one row per task, then the suites; the table fits 80 columns."""
    free = sum(task.catalogue is not None and task.catalogue.free for task in tasks)
    asked = " (* ask for it)" if free < len(tasks) else ""
    yield f"{len(tasks)} task{'s' * (len(tasks) != 1)}, {free} with free data{asked}; `biomtl tasks NAME` says where."
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("task", "type", "train / dev / test"):
        table.add_column(name, no_wrap=True)
    table.add_column("main metric")
    for task in tasks:
        about = task.catalogue
        unit = next((name for name in UNITS if about and name in about.expected.get("test", {})), None)
        counts = " / ".join(f"{column[unit]:,}" for column in about.expected.values()) if about and unit else ""
        mark = "" if about is None or about.free else " *"
        table.add_row(task.name + mark, task.type, counts, METRICS[task.metric].title.partition(" (")[0])
    yield table
    for name, members in SUITES.items():
        yield f"suite {name}: {', '.join(members)}"


def detail(task: Task) -> Iterator[Table | str]:
    """One task's record: facts, counts, published scores, notes."""

    about = task.catalogue
    facts = Table(show_header=False, title=task.name, title_justify="left")
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    rows = {
        "title": about.title if about else "",
        "aliases": ", ".join(task.aliases),
        "type": f"{task.type}, {task.inputs}",
        "labels": ", ".join(task.labels),
        "negative class": task.negative or "",
        "score range": " to ".join(f"{end:g}" for end in task.score_range or ()),
        "main metric": f"{METRICS[task.metric].title} ({task.metric})",
        "also printed": "; ".join(f"{METRICS[name].title} ({name})" for name in task.metrics),
        "licence": about.licence if about else task.licence,
        "where to get it": about.obtain if about else "",
        "citation": about.citation if about else "",
        "counts": about.unit if about else "",
    }
    for name, value in rows.items():
        if value:
            facts.add_row(name, value)
    yield facts
    if about is None:
        return
    counts = Table("expected", *about.expected, title="expected counts", title_justify="left")
    for key in dict.fromkeys(key for column in about.expected.values() for key in column):
        counts.add_row(key, *(f"{column[key]:,}" if key in column else "" for column in about.expected.values()))
    yield counts
    published = Table("system", "x 100", "metric", "source", title="published scores (test)", title_justify="left")
    for entry in about.published:
        source = "; ".join(filter(None, (entry.source, entry.remarks)))
        published.add_row(entry.system, f"{entry.value:.2f}".removesuffix("0"), entry.metric, source)
    yield published
    for note in about.notes:
        yield f"Note: {note}"
