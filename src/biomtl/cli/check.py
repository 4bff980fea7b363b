"""``biomtl check``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from biomtl.cli.verify import NoVerify
from biomtl.custom import Files, TaskDefinition
from biomtl.custom.check import CheckReport, check_file
from biomtl.encoders import load_processor
from biomtl.errors import InputError, nearest
from biomtl.packaged import PACKAGED_ENCODER, packaged_encoder
from biomtl.prepare.counts import SPECIAL
from biomtl.report.console import table_console
from biomtl.storage.files import stem_of
from biomtl.storage.structured import parse_yaml
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.types.base import Record, TaskType, task_type, type_names, type_of
from biomtl.text.alignment import word_positions
from biomtl.text.base import TextProcessor

MOST_SHOWN = 20  # bad rows
MOST_LABELS = 30
PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}  # the user's own text


def check(
    file: Annotated[
        Path, typer.Argument(help="Your file, or folder of brat files or of a dataset.", show_default=False)
    ],
    type: Annotated[str | None, typer.Option("--type", help="Task type, such as `classification`; required.")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Our fields to your columns: `label=gold,text=2` (numbers from 0).")
    ] = None,
    labels: Annotated[str | None, typer.Option("--labels", help="The allowed labels: `a,b`.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="`tsv`, `conll` …; by default from name and content.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether a table's first row names the columns.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--separator", help="Separator of several values in a cell; default `|`.")
    ] = None,
    quoting: Annotated[
        str | None,
        typer.Option(
            "--quoting", help="Double quotes in a table: `csv` (they enclose cells) or `none` (they are text)."
        ),
    ] = None,
    mentions: Annotated[
        str | None,
        typer.Option("--mentions", help="Discontinuous, nested and overlapping mentions: `keep`, `flatten`, `refuse`."),
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option("--relation", help="A relation task's arguments, as in a recipe: `{first: drug, second: gene}`."),
    ] = None,
    negative: Annotated[str | None, typer.Option("--negative", help="The class that F1 leaves out.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", help="Encoder whose word pieces to count and show; default the packaged one, if installed."
        ),
    ] = None,
    max_length: Annotated[int, typer.Option("--max-length", min=8, help="Word pieces per row.")] = 128,
    no_verify: NoVerify = False,
) -> None:
    """Show how biomtl reads your own data: rows, labels, lengths, the first record, and every bad row.

    The exit code is 2 if a row is bad. The options are keys of your own tasks in a recipe (docs/own-tasks.md). Example:

        biomtl check train.tsv --type classification --columns text=sentence,label=gold
    """

    if type is None:
        known = ", ".join(type_names())
        fix = f"for example `biomtl check {file} --type tagging`"
        raise InputError("no --type", expected=f"the task's type: {known}", fix=fix)
    if type not in type_names():
        raise InputError(f"unknown type {type!r}", fix=nearest(type, type_names()))
    given: dict[str, Any] = {"type": type, "format": format, "header": header, "separator": separator}
    given |= {"mentions": mentions, "quoting": quoting, "negative": negative, "relation": arguments(relation)}
    given |= {"columns": named_columns(columns), "labels": labels.split(",") if labels else None}
    try:
        definition = TaskDefinition(**given, files=Files(train=(str(file),)))
    except ValidationError as error:
        raise _refused(error) from error
    report = check_file(stem_of(file), definition, task_type(type))
    console = table_console()
    show(report, console)
    if report.task is not None and report.records:
        if encoder := encoder or (PACKAGED_ENCODER if packaged_encoder() else None):
            show_pieces(report, task_type(type), encoder, max_length, console)
        console.print("First record:", json.dumps(report.records[0], ensure_ascii=False, indent=1), **PLAIN)
    if report.bad:
        show_bad(report, console)
        if report.problem is not None:
            console.print(str(report.problem), **PLAIN)
        raise typer.Exit(2)


def _refused(error: ValidationError) -> InputError:
    """The first problem of the options, an unknown key before what is missing in its place."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    option, *keys = (str(step) for step in problems[0]["loc"])
    message = problems[0]["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if problems[0]["type"] == "extra_forbidden":
        return InputError(
            f"--{option}: unknown key {keys[-1]!r}", fix=nearest(keys[-1], RelationArguments.model_fields)
        )
    if problems[0]["type"] == "missing":
        return InputError(f"--{option}: no {keys[-1]!r}", expected="first and second, each a type or a list of types")
    where = ": ".join([f"--{option}", *keys])
    if problems[0]["type"] == "value_error":
        return InputError(f"{where}: {message}")
    return InputError(f"{where} {problems[0]['input']!r:.80}", expected=message)


def arguments(text: str | None) -> dict[str, Any] | None:
    """``{first: drug, second: gene}`` as a mapping; the braces may be left out."""

    if not text:
        return None
    try:
        value, _ = parse_yaml(text if text.lstrip().startswith("{") else f"{{{text}}}")
    except ValueError as error:
        value = str(error)
    if not isinstance(value, dict):
        raise InputError(f"--relation {text!r}", expected="a mapping, such as {first: drug, second: gene}")
    return value


def named_columns(text: str | None) -> dict[str, str | int] | None:
    """``label=gold,text=2`` as a mapping."""

    if not text:
        return None
    columns: dict[str, str | int] = {}
    for pair in text.split(","):
        field, equals, column = pair.partition("=")
        if not (field and equals and column):
            raise InputError(f"--columns {pair!r}", expected="our field = your column, such as label=gold")
        columns[field.strip()] = int(column) if column.strip().lstrip("-").isdecimal() else column.strip()
    return columns


def show(report: CheckReport, console: Console) -> None:
    """Rows, labels and lengths in words."""

    good, bad = len(report.records), len(report.bad)
    rows, ones = "good row" if good == 1 else "good rows", "bad one" if bad == 1 else "bad ones"
    counts = f"{good:,} {rows}, {bad:,} {ones}, read as {report.format}"
    console.print(counts, **PLAIN)
    if report.task is None:
        return
    console.print(f"type {report.task.type}, input: {report.task.inputs}, metric: {report.task.metric}", **PLAIN)
    for note in (*report.notes, *report.words):
        console.print(note, **PLAIN)
    if report.labels:
        table = Table("label", "mentions" if type_of(report.task).answer == "tags" else "rows", "share")
        total = sum(report.labels.values())
        for label, count in report.labels.most_common(MOST_LABELS):
            table.add_row(label, f"{count:,}", f"{count / total:.1%}")
        if len(report.labels) > MOST_LABELS:
            table.caption = f"and {len(report.labels) - MOST_LABELS} more labels"
        console.print(table)
    if special := ", ".join(f"{count:,} {case}" for case in SPECIAL if (count := report.special[case])):
        console.print(f"of {report.special['mentions']:,} mentions: {special} (docs/formats.md)", **PLAIN)
    if report.lengths:
        median, most, longest = np.percentile(report.lengths, [50, 95, 100])
        console.print(f"words per row: median {median:.0f}, 95 % up to {most:.0f}, longest {longest:.0f}", **PLAIN)


def show_pieces(report: CheckReport, checked_type: TaskType, encoder: str, max_length: int, console: Console) -> None:
    """Lengths in the encoder's positions, and the first record as it reads it."""

    assert report.task is not None
    texts = [checked_type.text(record, report.task) for record in report.records]
    whole = load_processor(encoder, 1_000_000, None)  # longer than any text, so nothing is split
    lengths = [max(len(row) for row in text.rows) for text in whole.encode(texts)]
    median, most, longest = np.percentile(lengths, [50, 95, 100])
    console.print(
        f"word pieces of {encoder} per row: median {median:.0f}, 95 % up to {most:.0f}, longest {longest:.0f}", **PLAIN
    )
    over = sum(length > max_length for length in lengths)
    console.print(f"longer than {max_length}: {over:,} rows, read in overlapping windows", **PLAIN)
    processor = load_processor(encoder, max_length, None)
    for line in first_rows(processor, checked_type, report.records[0], report):
        console.print(line, **PLAIN)


def first_rows(processor: TextProcessor, checked_type: TaskType, record: Record, report: CheckReport) -> Sequence[str]:
    """The first record's encoder rows in pieces; a position that represents a word shows the word's tag."""

    assert report.task is not None
    rows = processor.encode([checked_type.text(record, report.task)])[0].rows
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        return [f"the model reads words: {' '.join(str(len(row)) for row in rows)} positions"]
    pieces = [tokenizer.convert_ids_to_tokens(row.inputs["input_ids"].tolist()) for row in rows]
    spans = checked_type.words(record, report.task)
    tags = record.get("tags")
    if spans is not None and tags is not None:
        for (row, position), tag in zip(word_positions(rows, spans), tags, strict=True):
            if row >= 0 and tag != "O":
                pieces[row][position] += f"/{tag}"
    return [f"the model reads: {' '.join(row)}" for row in pieces]


def show_bad(report: CheckReport, console: Console) -> None:
    """Every bad row by number, the first twenty with their problem."""
    console.print("Bad rows:", **PLAIN)
    for error in report.bad[:MOST_SHOWN]:
        console.print(f"  {error}", **PLAIN)
    if len(report.bad) > MOST_SHOWN:
        numbers = ", ".join(str(error.line) for error in report.bad[MOST_SHOWN:] if error.line is not None)
        console.print(f"  … and {len(report.bad) - MOST_SHOWN:,} more{': rows ' * bool(numbers)}{numbers}", **PLAIN)
