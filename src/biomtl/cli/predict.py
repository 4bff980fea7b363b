"""``biomtl predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from biomtl.cli.calibration import Uncalibrated
from biomtl.cli.precision import chosen
from biomtl.cli.progress import texts as bar
from biomtl.cli.say import say_json
from biomtl.cli.verify import NoVerify
from biomtl.cli.words import WORDS, WordChoice
from biomtl.custom.records import join_offsets
from biomtl.errors import InputError
from biomtl.inference.predictor import Predictor, TokenizedText
from biomtl.storage.files import atomic_file, decode_line, dump_json, read_lines, refuse_existing, suffix_of
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.types.checks import check_tokens


def predict(
    model: Annotated[Path, typer.Argument(help="Model or run folder.", show_default=False)],
    source: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|-]",
            help="Texts, one per line, or records (.jsonl, .json); `-` is standard input.",
        ),
    ] = "-",
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default standard output.")] = None,
    words: Annotated[WordChoice, WORDS] = WordChoice.model,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    uncalibrated: Uncalibrated = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Label raw text with every task of a model, in one encoder pass; one JSON line per text.

    Lines of text are for tasks over one text, lines with a tab for tasks over two. Records (JSONL) have `text` (and
    `candidates`, for ranking), `text_a` and `text_b`, or `tokens` (then the tags are written too); their `id` is kept.
    Mentions have character offsets in the input.

    Example: `echo "Naloxone reverses the effect of clonidine." | biomtl predict runs/quickstart`
    """

    if out is not None:
        refuse_existing(out, overwrite, output="predictions", inputs=(model, source))
    predictor = Predictor(model, tasks=task, bf16=chosen(bf16), words=words.value, calibrated=not uncalibrated)
    rows = list(read_inputs(source))
    for _, text, number in rows:
        try:
            predictor.fitting(text)
        except InputError as error:
            raise InputError(error.found, path=source, line=number, expected=error.expected) from error
    with bar("predict") as advance:
        results = predictor([text for _, text, _ in rows], advance=advance) if rows else []
    lines = (
        dump_json({**head, "tasks": {name: result.to_dict() for name, result in by_task.items()}})
        for (head, _, _), by_task in zip(rows, results, strict=True)
    )
    if out is None:
        for line in lines:
            say_json(line)
    else:
        with atomic_file(out, overwrite=overwrite) as stream:
            stream.writelines(line + "\n" for line in lines)


def read_inputs(source: str) -> Iterator[tuple[dict[str, Any], str | tuple[str, ...], int]]:
    """``(fields to copy to the output, input, line number)`` of every line or record."""

    lines: Iterator[tuple[int, str]]
    if source == "-":
        where = "standard input"
        lines = ((i, decode_line(line, where, i)) for i, line in enumerate(sys.stdin.buffer, 1))
    else:
        where, lines = source, read_lines(source)
    filled = ((i, line) for i, line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return
    numbered = chain([first], filled)
    if suffix_of(source) in (".jsonl", ".json", ".ndjson") or (source == "-" and _is_record(first[1])):
        for number, record in parse_jsonl(numbered, where):
            text = record_text(record, where, number)
            yield {"id": record.get("id", number), **shown(text)}, text, number
        return
    for number, line in numbered:
        start, tab, rest = line.partition("\t")
        pair = (start, rest) if tab else line
        yield {"id": number, **shown(pair)}, pair, number


def _is_record(line: str) -> bool:
    if line.lstrip().startswith("[{"):
        return True
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def shown(text: str | tuple[str, ...]) -> dict[str, Any]:
    """An input's fields in the output."""
    if isinstance(text, str):
        return {"text": text}
    return {"text_a": text[0], "text_b": text[1]} if len(text) == 2 else {"text": text[0], "candidates": text[1:]}


def record_text(record: dict[str, Any], source: str, number: int) -> str | tuple[str, ...]:
    """The text or pair of a record; tokens are joined as in their document.

    Raises:
        InputError: no text, empty tokens, or offsets that don't fit them.
    """

    candidates = record.get("candidates")
    if isinstance(record.get("text"), str):
        ranked = isinstance(candidates, list) and len(candidates) > 1 and all(isinstance(c, str) for c in candidates)
        return (record["text"], *candidates) if ranked and candidates else record["text"]
    if isinstance(record.get("text_a"), str) and isinstance(record.get("text_b"), str):
        return record["text_a"], record["text_b"]
    if "tokens" in record:
        given = dict(record)
        if record.get("offsets") is None and isinstance(record["tokens"], list):
            given["offsets"] = join_offsets(list(map(str, record["tokens"])))
        if problem := check_tokens(given):
            raise InputError(problem, path=source, line=number)
        return TokenizedText.of(given["tokens"], given["offsets"])
    raise InputError("no input text", path=source, line=number, expected="text, text_a and text_b, or tokens")
