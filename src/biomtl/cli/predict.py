"""``biomtl predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from biomtl.cli.calibration import Uncalibrated
from biomtl.cli.precision import chosen
from biomtl.cli.progress import texts as bar
from biomtl.cli.say import say, say_json
from biomtl.cli.verify import NoVerify
from biomtl.cli.words import WORDS, WordChoice
from biomtl.custom.arguments import with_entities
from biomtl.custom.detect import ANNOTATED, SUFFIXES, is_document
from biomtl.custom.records import join_offsets
from biomtl.errors import InputError
from biomtl.formats.jsonl import to_document
from biomtl.formats.model import Document
from biomtl.inference.candidates import candidates
from biomtl.inference.predictor import Predictor, RelationText, TokenizedText
from biomtl.report.tables import divided_note
from biomtl.storage.files import atomic_file, decode_line, dump_json, read_lines, refuse_existing, suffix_of
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.task import Task
from biomtl.tasks.types.checks import check_entities, check_tokens


def predict(
    model: Annotated[Path, typer.Argument(help="Model or run folder.", show_default=False)],
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
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
    `candidates`, for ranking, or two `entities`, for relations), `text_a` and `text_b`, or `tokens` (then the tags are
    written too); their `id` is kept. Documents with `mentions` give a line for each pair that relation tasks classify.
    Mentions have character offsets in the input.

    Example: `echo "Naloxone reverses the effect of clonidine." | biomtl predict runs/quickstart`
    """

    if out is not None:
        refuse_existing(out, overwrite, output="predictions", inputs=(model, source))
    predictor = Predictor(model, tasks=task, bf16=chosen(bf16), words=words.value, calibrated=not uncalibrated)
    tasks = [predictor.tasks[name] for name in predictor.names]
    given = GivenDocuments()
    rows = list(read_inputs(source, tasks, given))
    for note in given.notes(tasks, source):
        say(f"biomtl: {note}", err=True)
    for _, text, number in rows:
        try:
            predictor.fitting(text)
        except InputError as error:
            raise InputError(error.found, path=source, line=number, expected=error.expected) from error
    with bar("predict") as advance:
        results = predictor([text for _, text, _ in rows], advance=advance) if rows else []
    for name, pairs in predictor.divided.items():
        say(f"biomtl: {divided_note(name, pairs)}", err=True)
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


@dataclass
class GivenDocuments:
    """What the documents with mentions among the inputs had.

    Attributes:
        count: number of documents.
        types: types of their mentions.
        asked: the relation tasks that a pair was found for.
        renamed: the documents with several mentions of one id.
    """

    count: int = 0
    types: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    renamed: list[str] = field(default_factory=list)

    def pairs(self, document: Document, tasks: Sequence[Task], source: str) -> Iterator[tuple[str, RelationText]]:
        """The pairs of a document that the tasks ask about, with their ids."""
        self.count += 1
        self.types.update(mention.type for mention in document.mentions)
        for name, pair in candidates(document, tasks, source):
            self.asked.update(pair.tasks or ())
            yield name, pair
        if len({mention.id for mention in document.mentions}) < len(document.mentions):
            self.renamed.append(document.id)

    def notes(self, tasks: Sequence[Task], source: str) -> Iterator[str]:
        """What the user should know: relation tasks without any pair, and pairs that don't have their mentions' ids."""
        for task in tasks if self.count else ():
            if task.relation is None or task.name in self.asked:
                continue
            why = f"{source} has no two mentions that it asks about (unit: {task.relation.unit})"
            if missing := task.relation.missing(self.types):
                why = f"{source} has no mentions of its arguments ({', '.join(missing)})"
            yield f"{task.name} had no pairs: {why}"
        if self.renamed:
            what = f"documents with several mentions of one id: {len(self.renamed):,}, the first is {self.renamed[0]!r}"
            yield f"{what}; their pairs have the numbers of the mentions instead (T0, T1, …)"


def read_inputs(
    source: str, tasks: Sequence[Task] = (), given: GivenDocuments | None = None
) -> Iterator[tuple[dict[str, Any], str | tuple[str, ...], int]]:
    """``(fields to copy to the output, input, line number)`` of every line or record.

    If there are relation tasks, a document with mentions gives an input for each pair that they ask about; ``given``
    notes what it has.
    """

    refuse_other_formats(source)
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
    related = any(task.relation is not None for task in tasks)
    numbered = chain([first], filled)
    if suffix_of(source) in (".jsonl", ".json", ".ndjson") or (source == "-" and _is_record(first[1])):
        for number, record in parse_jsonl(numbered, where):
            if related and is_document(record):
                document = to_document(record, where, number)
                for name, pair in (given or GivenDocuments()).pairs(document, tasks, where):
                    yield {"id": name, "doc_id": document.id, **shown(pair)}, pair, number
                continue
            text = record_text(record, where, number)
            yield {"id": record.get("id", number), **shown(text)}, text, number
        return
    for number, line in numbered:
        start, tab, rest = line.partition("\t")
        plain = (start, rest) if tab else line
        yield {"id": number, **shown(plain)}, plain, number


def refuse_other_formats(source: str) -> None:
    """Refuse a table or a file of documents, whose lines are not the texts.

    Raises:
        InputError: as said.
    """
    form = None if suffix_of(source) in (".json", ".tsv", ".tab") else SUFFIXES.get(suffix_of(source))
    if form in (None, "jsonl"):
        return
    fix = "use `biomtl annotate` for documents" if form in ANNOTATED else "write JSON lines with `text` (or `tokens`)"
    raise InputError(f"a {form} file", path=source, expected="lines of text, or JSON lines", fix=fix)


def _is_record(line: str) -> bool:
    if line.lstrip().startswith("[{"):
        return True
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def shown(text: str | tuple[str, ...]) -> dict[str, Any]:
    """An input's fields in the output."""
    if isinstance(text, RelationText):
        return {"text": text, "entities": list(text.entities)}
    if isinstance(text, str):
        return {"text": text}
    return {"text_a": text[0], "text_b": text[1]} if len(text) == 2 else {"text": text[0], "candidates": text[1:]}


def record_text(record: dict[str, Any], source: str, number: int) -> str | tuple[str, ...]:
    """The text or pair of a record, or its text with two mentions; tokens are joined as in their document.

    Raises:
        InputError: no text, empty tokens, offsets that don't fit them, or mentions that aren't two of the text.
    """

    listed = record.get("candidates")
    if isinstance(record.get("text"), str):
        if record.get("entities") is not None:
            return related_text(record, source, number)
        ranked = isinstance(listed, list) and len(listed) > 1 and all(isinstance(c, str) for c in listed)
        return (record["text"], *listed) if ranked and listed else record["text"]
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


def related_text(record: dict[str, Any], source: str, number: int) -> RelationText:
    """The text and the two mentions of a relation task's record; what a mention lacks is filled in.

    Raises:
        InputError: another number of mentions than two, or one outside the text.
    """
    entities = record["entities"]
    if not isinstance(entities, list) or len(entities) != 2:
        found = f"{len(entities)} entities" if isinstance(entities, list) else "entities that are not a list"
        raise InputError(found, path=source, line=number, expected="the two mentions, first argument first")
    for entity in entities:
        if isinstance(entity, dict) and "type" not in entity:
            found, expected = f"entity {entity!r:.80} without type", "type, start and end of both mentions"
            raise InputError(found, path=source, line=number, expected=expected)
    completed = with_entities({"text": record["text"], "entities": entities}, None)
    if problem := check_entities(completed):
        raise InputError(problem, path=source, line=number, fix="correct the record")
    return RelationText.with_entities(record["text"], completed["entities"])
