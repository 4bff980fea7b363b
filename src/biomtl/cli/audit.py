"""``biomtl audit``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from biomtl.audit.audit import Audit, Splits
from biomtl.audit.audit import audit as run
from biomtl.audit.truncation import Pieces, word_starts
from biomtl.cli.verify import NoVerify
from biomtl.encoders import load_processor
from biomtl.errors import InputError
from biomtl.report.console import table_console
from biomtl.report.heatmap import overlap_plot
from biomtl.report.tables import NARROW
from biomtl.storage.files import atomic_folder, refuse_existing, write_json
from biomtl.suite import load_suite
from biomtl.training.recipe_io import load_recipe


def audit(
    suite: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|RECIPE", help="Prepared suite, or a recipe, whose tasks are audited.", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for audit.json and overlap.svg.")] = None,
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, help="Length limit for counting truncation losses.")
    ] = 128,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Count this encoder's word pieces, including special ones; default words."),
    ] = None,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Find documents and texts that occur in both training and evaluation data; count sizes and lengths.

    Texts are compared by their words: equal, or with at least 70 % of word bigrams in common. Example:

        biomtl audit prepared/ --out overlap/
    """

    if out is not None:
        refuse_existing(out, overwrite, output="audit", inputs=(suite, encoder))
    pieces = word_starts if encoder is None else _pieces(encoder)
    stderr = Console(stderr=True)
    with stderr.status("reading") as status:
        splits = suite if suite.is_dir() else _splits(suite)
        report = run(splits, limit=max_length, pieces=pieces, step=lambda said: status.update(Text(said)))
    unit = "words" if encoder is None else f"word pieces of {encoder}"
    if out is not None:
        command = shlex.join(["biomtl", *sys.argv[1:]])
        with atomic_folder(out, "audit", overwrite=overwrite) as work:
            write_json(work / "audit.json", {"command": command, "unit": unit, **report.as_dict()})
            overlap_plot(report, work / "overlap.svg")
    console = table_console()
    console.print(summary(report))
    for table in (overlap_table(report), size_table(report), label_table(report), loss_table(report, unit)):
        console.print(table)


def _splits(recipe: Path) -> Splits:
    """The data that a recipe trains on and is scored on, including own tasks."""

    plan = load_recipe(recipe)
    suite = load_suite(plan.suite, list(plan.tasks) or None, plan.own_tasks)
    return ((data.task, split, data.records(split)) for data in suite.data.values() for split in data.files)


def _pieces(encoder: str) -> Pieces:
    """Where an encoder's tokenizer would truncate."""

    tokenizer = getattr(load_processor(encoder, None, None), "tokenizer", None)
    if tokenizer is None:
        raise InputError("an encoder that reads words", path=encoder, fix="leave out --encoder to count words")

    def cut(texts: Sequence[str], limit: int) -> list[int | None]:
        room = limit - tokenizer.num_special_tokens_to_add(pair=False)
        cuts: list[int | None] = []
        for start in range(0, len(texts), 1000):
            chunk = list(texts[start : start + 1000])
            offsets = tokenizer(chunk, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            cuts += [pairs[room][0] if len(pairs) > room else None for pairs in offsets["offset_mapping"]]
        return cuts

    return cut


def summary(report: Audit) -> str:
    """What was found, in one line."""
    tasks = len({facts.task for facts in report.splits})
    rows = sum(facts.rows for facts in report.splits)
    audited = f"{tasks} task{'s' * (tasks != 1)}, {rows:,} rows: "
    if not report.overlaps:
        return audited + "no document or text of a train split is scored anywhere"
    worst = max(report.overlaps, key=lambda entry: entry.share)
    pairs = len(report.overlaps)
    found = f"{pairs} pair{'s' * (pairs != 1)} of training and scored data overlap"
    return f"{audited}{found}, most {worst.train} train with {' '.join(worst.scored)} ({worst.share:.1%} of its rows)"


def overlap_table(report: Audit) -> Table:
    """Pairs of tasks that share something, largest share first."""
    caption = "doc.: documents in both; same, near: scored rows with the same or a near-duplicate text" + (
        "\nrows: scored rows with any of these; train: their counterparts in training"
    )
    table = Table(title="Overlap of training and scored data", title_justify="left", **NARROW)
    if report.overlaps:
        table.caption, table.caption_justify = caption, "left"
    table.add_column("train of", overflow="fold")  # cut short, two tasks would look the same
    table.add_column("scored on", overflow="fold")
    for header in ("doc.", "same", "near", "rows", "share", "train"):
        table.add_column(header, justify="right", no_wrap=True)
    for entry in sorted(report.overlaps, key=lambda entry: (-entry.share, entry.train, entry.scored)):
        numbers = (entry.documents, entry.same, entry.near, entry.touched)
        cells = (*(f"{number:,}" for number in numbers), f"{entry.share:.1%}", f"{entry.train_rows:,}")
        table.add_row(entry.train, " ".join(entry.scored), *cells)
    return table


def size_table(report: Audit) -> Table:
    """Rows, documents and lengths of every split."""

    table = Table(title="Sizes, and lengths in words", title_justify="left", **NARROW)
    table.add_column("task", overflow="fold")
    for header in ("rows", "documents", "mean", "95 %", "longest"):
        table.add_column(header, justify="right")
    for facts in report.splits:
        lengths = (f"{facts.words['mean']:.1f}", f"{facts.words['95 %']:.0f}", f"{facts.words['longest']:,.0f}")
        table.add_row(f"{facts.task} {facts.split}", f"{facts.rows:,}", f"{facts.documents:,}", *lengths)
    return table


def label_table(report: Audit) -> Table:
    """How often each label occurs in each split."""

    table = Table(title="Labels (for tagging tasks, mentions)", title_justify="left", **NARROW)
    table.add_column("task", overflow="fold")
    table.add_column("label", overflow="fold")
    splits = list(dict.fromkeys(facts.split for facts in report.splits))
    for split in splits:
        table.add_column(split, justify="right")
    counts = {(facts.task, facts.split): facts.labels for facts in report.splits}
    for task in dict.fromkeys(facts.task for facts in report.splits):
        for label in dict.fromkeys(label for split in splits for label in counts.get((task, split), {})):
            table.add_row(task, label, *(f"{counts.get((task, split), {}).get(label, 0):,}" for split in splits))
    return table


def loss_table(report: Audit, unit: str) -> Table:
    """What truncation would lose."""

    title = f"Lost by tools that truncate at {report.settings['limit']} {unit} (biomtl reads windows and loses nothing)"
    table = Table(title=title, title_justify="left", **NARROW)
    table.add_column("task", overflow="fold")
    for header in ("rows truncated", "words lost", "mentions lost"):
        table.add_column(header, justify="right", no_wrap=True)
    for facts in report.splits:
        loss = facts.loss
        mentions = _share(loss.mentions, loss.all_mentions) if loss.all_mentions else "-"
        cells = (_share(loss.rows, facts.rows), _share(loss.words, loss.all_words), mentions)
        table.add_row(f"{facts.task} {facts.split}", *cells)
    return table


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / max(whole, 1):.2%})"
