"""``biomtl prepare``: from downloaded corpora to a prepared suite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from biomtl.corpora import ReadOptions
from biomtl.prepare import PrepareReport
from biomtl.prepare import prepare as run
from biomtl.prepare.counts import Line
from biomtl.prepare.write import TaskReport
from biomtl.report.console import table_console

PLAIN: dict[str, Any] = {"markup": False, "highlight": False}  # file names may contain brackets


def prepare(
    source: Annotated[Path, typer.Argument(help="Folder, zip or file with one or more corpora.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; it appears only when complete.", show_default=False)],
    tasks: Annotated[
        str | None,
        typer.Option(help="Only these tasks or suites (blue, blurb), separated by commas; default all found."),
    ] = None,
    keep_list_sentences: Annotated[
        bool, typer.Option("--keep-list-sentences", help="DDI: keep the drug lists of DDI-DrugBank.d64; BLUE has none.")
    ] = False,
    sentence_spans: Annotated[
        Path | None,
        typer.Option(help="ChemProt: table (docid, start, end) of sentences, used instead of sentence splitting."),
    ] = None,
    mentions: Annotated[
        str, typer.Option(help="Discontinuous, nested and overlapping mentions: keep (as in BLUE), flatten or refuse.")
    ] = "keep",
    blue: Annotated[
        bool,
        typer.Option("--blue", help="Also write train.tsv, dev.tsv and test.tsv in BLUE's own formats."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed for splits that are sampled because none was published.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a prepared suite at the output.")] = False,
) -> None:
    """Turn original corpora, or files in BLUE's or BLURB's format, into a prepared suite, and check its counts.

    Original distributions are preferred to files made from them. Where BLUE and BLURB split a corpus in different
    ways, BLUE's task is taken unless `--tasks` names the other. Examples:

        biomtl prepare corpora/ --out prepared/ --tasks bc5cdr-chem,ddi2013

        biomtl prepare corpora/ --out prepared/ --tasks blurb
    """

    names = None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    options = ReadOptions(keep_list_sentences, sentence_spans, seed, mentions)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks")
    stderr = Console(stderr=True)
    # In a log or pipe the bar is disabled, so that only errors are printed.
    settings: dict[str, Any] = {"console": stderr, "transient": True, "disable": not stderr.is_terminal}
    with Progress(*columns, TimeElapsedColumn(), **settings) as bar:
        shown = bar.add_task("reading", total=None)

        def show(done: int, total: int, records: int) -> None:
            bar.update(shown, completed=done, total=total, description=f"{records:,} records")

        workers = os.cpu_count() or 1
        report = run(source, out, names, options, overwrite, blue=blue, workers=workers, progress=show)
    print_report(report, table_console())


def print_report(report: PrepareReport, console: Console) -> None:
    """Print each task's counts, the reasons for differences, and the source of the data."""
    notes: dict[str, int] = {}
    for task in report.tasks:
        console.print(counts_table(task, notes))
        console.print(f"  from {task.reader}", *(f"(not from {other})" for other in task.not_used), **PLAIN)
    for why, number in notes.items():
        console.print(f"[{number}] {why}", **PLAIN)
    compared = [line for line in report.lines if line.difference is not None]
    unexplained = sum(line.unexplained != 0 for line in compared)
    explained = sum(line.difference != 0 for line in compared) - unexplained
    summary = f"{len(compared) - explained - unexplained} counts as expected, {explained} different and explained, "
    console.print(f"{report.out}: {summary}{unexplained} different and not explained.", **PLAIN)


def counts_table(task: TaskReport, notes: dict[str, int]) -> Table:
    """The table label x split of one task; ``notes`` collects the explanations with their numbers."""

    table = Table(title=task.task, caption="found / expected (difference)", title_justify="left")
    table.add_column("count", overflow="fold")
    splits = list(dict.fromkeys(line.split for line in task.lines))
    for split in splits:
        table.add_column(split, justify="right")
    cells = {(line.label, line.split): _cell(line, notes) for line in task.lines}
    for label in dict.fromkeys(line.label for line in task.lines):
        table.add_row(label, *(cells.get((label, split), "") for split in splits))
    return table


def _cell(line: Line, notes: dict[str, int]) -> Text:
    counted = "no data" if line.found is None else f"{line.found:,}"
    if line.expected is None:
        return Text(counted)
    explanations = [f"{amount:+,} [{notes.setdefault(why, len(notes) + 1)}]" for amount, why in line.explanations]
    parts = [Text(explanation) for explanation in explanations]
    if line.unexplained:
        note = f" [{notes.setdefault(line.remark, len(notes) + 1)}]" if line.remark else ""
        parts.append(Text.assemble((f"{line.unexplained:+,} not explained", "bold red"), note))
    inner = (" (", Text(", ").join(parts), ")") if parts else ()
    return Text.assemble(f"{counted} / {line.expected:,}", *inner)
