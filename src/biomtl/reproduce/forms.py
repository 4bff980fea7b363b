"""What a reproduction shows: its plan before, its verdict after; for the terminal, Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from biomtl.reproduce.needs import GPU, Cost, Needs
from biomtl.reproduce.plan import PlannedRun, Reproduction
from biomtl.reproduce.verdict import Figure
from biomtl.tasks.registry import get_task
from biomtl.tasks.task import Split

NARROW: dict[str, Any] = {"box": None, "pad_edge": False, "title_justify": "left", "padding": (0, 2, 0, 0)}


def show_plan(
    console: Console,
    reproduction: Reproduction,
    needs: Needs,
    runs: Sequence[PlannedRun],
    rows: Mapping[str, Mapping[Split, int]],
    found: Cost,
) -> None:
    """Print what is run, what the user brings, and what it costs."""
    paper = reproduction.paper
    console.print(f"{paper.title}\n{paper.citation}")
    console.print(f"\nWhat it needs (data in {reproduction.recipe.suite})")
    console.print(_needs_table(reproduction, needs, rows))
    problem = f"missing: {needs.encoder}. Bring {paper.weights}." if needs.encoder else "there, or on the hub"
    console.print(f"encoder {reproduction.recipe.encoder}: {problem}")
    console.print(f"\n{_runs(len(runs))}, {sum(run.finished for run in runs)} finished")
    console.print(_runs_table(runs, rows))
    console.print()
    for line in [*_differences(reproduction), *cost_lines(found)]:
        console.print(line)


def _needs_table(reproduction: Reproduction, needs: Needs, rows: Mapping[str, Mapping[Split, int]]) -> Table:
    table = Table(**NARROW)
    table.add_column("", no_wrap=True)
    for name in ("train", "dev", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for task, counts in rows.items():
        cells = [f"{counts.get(split, 0):,}" for split in ("train", "dev", "test")]
        about = get_task(task).catalogue
        how = f"missing: biomtl {'download' if about and about.free else 'tasks'} {task}"
        ready = "there" if needs.suite is not None else "to be prepared"
        table.add_row(task, *cells, how if task in needs.without else ready)
    return table


def _runs_table(runs: Sequence[PlannedRun], rows: Mapping[str, Mapping[Split, int]]) -> Table:
    table = Table(**NARROW)
    table.add_column("run", overflow="fold")
    for name in ("epochs", "rows x epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for run in runs:
        passes = sum(rows[task].get("train", 0) for task in run.tasks) * run.epochs
        table.add_row(run.label, f"{run.epochs:,}", f"{passes:,}", "finished" if run.finished else "")
    return table


def cost_lines(found: Cost) -> list[str]:
    """The cost in words: rows, time and disk."""
    lines = [
        f"Cost of the {_runs(found.runs)} to go: {found.passes:,} rows trained on, {found.scored:,} rows scored, "
        f"about {found.disk / 1e9:.1f} GB on disk."
    ]
    if found.seconds is not None:
        lines.append(f"About {_time(found.seconds)} on this machine ({found.device}), by a timed step of each task.")
    rate = f"{GPU:.0e}".replace("e+", "e")
    return [*lines, f"At most {found.operations:.1e} operations: {_time(found.operations / GPU)} at {rate} per second."]


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    whole = max(1, round(seconds))
    return f"{whole} second{'s' * (whole != 1)}"


def _differences(reproduction: Reproduction) -> list[str]:
    """How this differs from the paper."""
    lines = [f"Differs from the paper: {line}." for line in reproduction.paper.differences]
    if reproduction.changed:
        lines.append(f"Changed by you: {' '.join(reproduction.changed)}.")
    if reproduction.left_out:
        lines.append(f"Without {', '.join(reproduction.left_out)}.")
    return lines


def console_table(found: Sequence[Figure]) -> Table:
    """The verdicts for the terminal."""
    table = Table(**NARROW)
    table.add_column("figure", overflow="fold")
    for title in ("expected", "ours"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for figure in found:
        table.add_row(figure.what, _expected(figure), _ours(figure), figure.verdict)
    return table


def markdown(reproduction: Reproduction, found: Sequence[Figure], tables: Sequence[str]) -> str:
    """The verdict as a page: what was run, the figures with sources, and the study's own tables."""
    paper, recipe = reproduction.paper, reproduction.recipe
    head = [f"# {paper.title}", "", paper.citation, ""]
    head += [f"- command: `{reproduction.command}`", f"- encoder: `{recipe.encoder}`", f"- data: `{recipe.suite}`"]
    head += [f"- {line}" for line in _differences(reproduction)]
    titles = ("figure", "metric", "expected", "ours", "verdict", "source", "remarks")
    lines = [_line(titles), _line(["---"] * len(titles))]
    for f in found:
        lines.append(_line([f.what, f.metric, _expected(f), _ours(f), f.verdict, f.source, f.remarks]))
    return "\n".join([*head, "", *lines, "", *tables])


def as_values(reproduction: Reproduction, found: Sequence[Figure]) -> dict[str, Any]:
    """The verdict for JSON."""
    return {
        "name": reproduction.name,
        "group": reproduction.group,
        "encoder": reproduction.recipe.encoder,
        "suite": reproduction.recipe.suite,
        "changed": list(reproduction.changed),
        "left_out": list(reproduction.left_out),
        "figures": [figure.to_dict() for figure in found],
    }


def csv_table(found: Sequence[Figure]) -> str:
    """One row per figure."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(Figure.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(figure.to_dict() for figure in found)
    return stream.getvalue()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _expected(figure: Figure) -> str:
    return f"{figure.expected:g} ± {figure.tolerance:g}"


def _ours(figure: Figure) -> str:
    return "" if figure.ours is None else f"{figure.ours:.1f}"
