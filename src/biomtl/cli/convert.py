"""``biomtl convert``: old checkpoints to standard folders."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from biomtl.checkpoints.convert import convert as run
from biomtl.checkpoints.report import Report
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.errors import InputError
from biomtl.mtdnn.definitions import convert_definitions
from biomtl.report.console import table_console

_OLD = "Options of the old script"


class SourceFormat(StrEnum):
    """Formats of the source."""

    tf = "tf"
    mtdnn = "mtdnn"
    elmo = "elmo"
    hf = "hf"


class TargetFormat(StrEnum):
    """Formats of the result."""

    hf = "hf"
    tf = "tf"


def convert(
    source: Annotated[
        Path | None, typer.Argument(help="Folder, prefix or any file of the checkpoint, or `hub:OWNER/NAME`.")
    ] = None,
    target: Annotated[Path | None, typer.Argument(help="The folder to write.")] = None,
    source_format: Annotated[
        SourceFormat | None, typer.Option("--from", help="Format of the source; detected from its files by default.")
    ] = None,
    target_format: Annotated[
        TargetFormat, typer.Option("--to", help="hf: a Hugging Face or biomtl folder; tf: a TensorFlow 1 BERT.")
    ] = TargetFormat.hf,
    vocab: Annotated[Path | None, typer.Option(help="vocab.txt, if not in the checkpoint's folder.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="bert_config.json (ELMo: options.json), if not in the checkpoint's folder.")
    ] = None,
    lower: Annotated[
        bool | None,
        typer.Option("--lower/--cased", help="Whether to lower-case text; by default decided from the vocabulary."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Names and types of an MT-DNN file's heads, in order: nli=san-classification:3,ner=tagging:6 "
            "(or labels instead of a count: ner=tagging:O|B-X|I-X). For --from hf, the name of the head."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data that a task_def.yml of MT-DNN describes; default beside it.")
    ] = None,
    flags: Annotated[
        str | None,
        typer.Option(help="With a task_def.yml: flags of MT-DNN's train.py, such as '--epochs 5 --optimizer adam'."),
    ] = None,
    encoder_only: Annotated[bool, typer.Option("--encoder-only", help="Leave out the heads.")] = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing target.")] = False,
    tf_checkpoint_root: Annotated[
        Path | None, typer.Option("--tf_checkpoint_root", help="SRC: a TensorFlow folder.", rich_help_panel=_OLD)
    ] = None,
    pytorch_checkpoint_path: Annotated[
        Path | None,
        typer.Option(
            "--pytorch_checkpoint_path",
            help="DEST: becomes a folder whatever its suffix.",
            rich_help_panel=_OLD,
        ),
    ] = None,
    encoder_type: Annotated[
        int | None, typer.Option("--encoder_type", help="Only 1 (BERT).", rich_help_panel=_OLD)
    ] = None,
) -> None:
    """Convert a TensorFlow BERT, an MT-DNN `.pt`, an ELMo or a fine-tuned Hugging Face model.

    A `task_def.yml` of MT-DNN becomes a recipe. Example:

        biomtl convert NCBI_BERT_pubmed_mimic_uncased_L-12_H-768_A-12 bluebert
    """
    if tf_checkpoint_root is not None or pytorch_checkpoint_path is not None or encoder_type is not None:
        source, target = _old_spelling(source, target, tf_checkpoint_root, pytorch_checkpoint_path, encoder_type)
        source_format = SourceFormat.tf
    if source is None or target is None:
        raise InputError("no " + ("SRC and DEST" if source is None else "DEST"), expected="biomtl convert SRC DEST")

    if source.suffix in (".yml", ".yaml"):
        _definitions(source, target, data, vocab, flags, overwrite)
        return
    if data is not None or flags is not None:
        given = "--data" if data is not None else "--flags"
        raise InputError(f"{given} for a checkpoint", expected="a task_def.yml of MT-DNN", fix="leave it out")
    report = run(
        source,
        target,
        source_format=source_format.value if source_format is not None else None,
        target_format=target_format.value,
        vocab=vocab,
        config=config,
        lower=lower,
        tasks=tasks,
        encoder_only=encoder_only,
        overwrite=overwrite,
    )
    _show(report, target)


def _definitions(
    source: Path, target: Path, data: Path | None, vocab: Path | None, flags: str | None, overwrite: bool
) -> None:
    if target.suffix not in (".yml", ".yaml"):
        raise InputError(f"{target} for a recipe", expected="a name that ends with .yaml")
    made = convert_definitions(source, target, data=data, vocabulary=vocab, flags=flags or "", overwrite=overwrite)
    for remark in made.remarks:
        say(remark)
    say(f"written: {target} ({len(made.recipe['tasks'])} tasks; set its encoder, then `biomtl train {target}`)")


def _old_spelling(
    source: Path | None, target: Path | None, root: Path | None, result: Path | None, encoder_type: int | None
) -> tuple[Path, Path]:
    if source is not None or target is not None or root is None or result is None:
        expected = "either SRC DEST or both --tf_checkpoint_root and --pytorch_checkpoint_path"
        raise InputError("a mixture of old and new options", expected=expected)
    if encoder_type not in (None, 1):
        raise InputError(
            f"--encoder_type {encoder_type}", expected="1 (BERT)", fix="only TensorFlow checkpoints of BERT are read"
        )
    return root, result


def _show(report: Report, target: Path) -> None:

    table = Table("variables", "count", "which")
    table.add_row("used", str(len(report.used)), report.result)
    for reason in dict.fromkeys(report.skipped.values()):
        names = [name for name, why in report.skipped.items() if why == reason]
        table.add_row("skipped", str(len(names)), f"{reason} ({_some(names)})")
    table.add_row("unused", str(len(report.unused)), _some(report.unused))
    console = table_console()
    console.print(table)
    for line in [report.lower_case, *report.notes]:
        if line:
            console.print(line, markup=False, highlight=False)
    console.print(f"written: {target} (conversion.json lists every variable)", markup=False, highlight=False)


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 6 else f"{', '.join(names[:3])} and {len(names) - 3} more"
