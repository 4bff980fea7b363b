"""``biomtl annotate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from biomtl.cli.calibration import Uncalibrated
from biomtl.cli.precision import chosen
from biomtl.cli.progress import texts as bar
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.cli.words import WORDS, WordChoice
from biomtl.formats.model import Document
from biomtl.inference.annotate import Annotator
from biomtl.inference.documents import (
    HOLD_LABELS,
    check_target,
    read_documents,
    source_format,
    target_format,
    write_documents,
)
from biomtl.inference.predictor import Predictor
from biomtl.report.tables import divided_note
from biomtl.storage.files import refuse_existing
from biomtl.storage.inputs import refuse_endless


class Format(StrEnum):
    """Formats that documents can be read from and annotations written in."""

    text = "text"
    pubtator = "pubtator"
    bioc = "bioc"
    brat = "brat"
    jsonl = "jsonl"


def annotate(
    model: Annotated[Path, typer.Argument(help="Model or run folder.", show_default=False)],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Documents: a file, or a folder of texts.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write; for brat a folder.", show_default=False)],
    origin: Annotated[
        Format | None,
        typer.Option("--from", help="Format of IN; by default from its name and content.", show_default=False),
    ] = None,
    target: Annotated[
        Format | None,
        typer.Option(
            "--to",
            help="Format of OUT; by default from its name, otherwise that of IN (text: brat).",
            show_default=False,
        ),
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")] = None,
    whole: Annotated[
        list[str] | None,
        typer.Option("--whole", help="Task that labels whole documents instead of sentences; may be repeated."),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep IN's annotations, and use its mentions for relation tasks."),
    ] = False,
    words: Annotated[WordChoice, WORDS] = WordChoice.model,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    uncalibrated: Uncalibrated = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Annotate documents with every task of a model; offsets are those of the document.

    A plain text file is one document, a folder has one per `.txt`; JSON lines have `text` (and `id`; other keys are
    kept). Sentences are split as in training. Mentions have `task` and `probability`; labels become annotations of type
    `Sentence` over the sentence; negative classes are not written. Relation tasks classify every suitable pair of
    mentions. Tasks that are skipped or need a second encoder pass are reported.

    Example: `biomtl annotate runs/quickstart abstracts.pubtator --out annotated.xml`
    """

    refuse_endless(source, once=False)
    read_as = origin.value if origin else source_format(source)
    write_as = target.value if target else target_format(out, read_as)
    check_target(out, write_as)
    refuse_existing(out, overwrite, output="annotate" if write_as == "brat" else write_as, inputs=(model, source))

    predictor = Predictor(model, tasks=task, bf16=chosen(bf16), words=words.value, calibrated=not uncalibrated)
    annotator = Annotator(predictor, whole=whole or (), keep=keep, labels=write_as in HOLD_LABELS)
    for name, reason in annotator.skipped.items():
        note(f"{name} is not applied: {reason}")
    if (plan := annotator.plan()) is not None:
        note(plan)
    if write_as not in HOLD_LABELS:
        note(f"{write_as} can't store probabilities and names of tasks")
    left: Counter[str] = Counter()
    with bar("annotate") as advance:
        documents = annotator(counted(read_documents(source, read_as), left), advance=advance)
        count = write_documents(documents, out, write_as, overwrite=overwrite)
    for name, types in annotator.lacking().items():
        note(f"{name} had no pairs: neither the taggers nor {source} have mentions of its arguments ({types})")
    for name, pairs in predictor.divided.items():
        note(divided_note(name, pairs))
    if annotator.unrelated:
        sentences, first = sum(annotator.unrelated.values()), next(iter(annotator.unrelated))
        where = f"{sentences:,} sentences (the first in document {first})"
        note(f"no relations are predicted in {where}: they contain too many mentions to classify every pair")
    if not keep and (old := left["mentions"] + left["relations"]):
        note(f"the {old:,} annotations of {source} are dropped (--keep keeps them)")
    if write_as != "jsonl" and (lost := sorted(name[1:] for name in left if name.startswith("."))):
        note(f"{write_as} can't store {', '.join(lost)}")
    say(f"{out}: {count:,} documents, {write_as}")


def counted(documents: Iterator[Document], left: Counter[str]) -> Iterator[Document]:
    """The documents; ``left`` counts their annotations, and their fields (names with a leading dot)."""
    for document in documents:
        left.update(mentions=len(document.mentions), relations=len(document.relations))
        left.update(f".{name}" for name in document.fields if name != "id")
        yield document


def note(text: str) -> None:
    """One line on standard error."""
    say(f"biomtl: {text}", err=True)
