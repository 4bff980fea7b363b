"""Converting checkpoints: one function from any format to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from biomtl.checkpoints.bert import write_hf
from biomtl.checkpoints.detect import Format, detect_format
from biomtl.checkpoints.hf import adopt, copy_encoder, is_classifier, read_bert
from biomtl.checkpoints.mtdnn.convert import read_mtdnn, write_family, write_model
from biomtl.checkpoints.report import Report
from biomtl.checkpoints.tensorflow.convert import read_tf, write_tf
from biomtl.encoders import verify_encoder
from biomtl.encoders.elmo.names import entries
from biomtl.encoders.elmo.weights import convert_elmo, find_files
from biomtl.errors import InputError
from biomtl.storage.files import atomic_folder, refuse_existing
from biomtl.storage.hub import fetch, is_hub


def convert(
    source: str | Path,
    target: str | Path,
    *,
    source_format: Format | None = None,
    target_format: Literal["hf", "tf"] = "hf",
    vocab: str | Path | None = None,
    config: str | Path | None = None,
    lower: bool | None = None,
    tasks: str | None = None,
    encoder_only: bool = False,
    overwrite: bool = False,
) -> Report:
    """Convert a checkpoint; ``target`` appears only if the conversion succeeds.

    Args:
        source: folder, prefix or file of the checkpoint, or ``hub:OWNER/NAME``.
        target: the folder to write.
        source_format: ``tf``, ``mtdnn``, ``elmo`` or ``hf``; detected from the files by default.
        target_format: ``hf`` writes a ``save_pretrained`` folder (with heads, a ``MultiTaskModel``), ``tf`` a TF1 BERT.
        vocab: ``vocab.txt``, if not in the checkpoint's folder.
        config: ``bert_config.json``, or an ELMo's ``options.json``, if not in the checkpoint's folder.
        lower: whether to lower-case text; by default decided from the vocabulary.
        tasks: the heads' names and types (``mtdnn``, ``hf``).
        encoder_only: leave out the heads.
        overwrite: replace an existing target.

    Returns:
        What happened to every variable; also written as ``conversion.json``.

    Raises:
        InputError: a problem with the source or the options.
    """
    name, target = str(source), Path(target)
    if is_hub(name):
        refuse_existing(target, overwrite, output="convert")
        source = fetch(name)
        tasks = tasks or name.partition("@")[0].rpartition("/")[2].removeprefix("hub:")
        encoder_only = encoder_only or not is_classifier(source)
    source = Path(source)
    refuse_existing(target, overwrite, output="convert", inputs=(source, vocab, config))
    format_name = source_format or detect_format(source)
    if tasks is not None and format_name not in ("mtdnn", "hf"):
        raise InputError(
            f"--tasks for a checkpoint of format {format_name}", expected="mtdnn or hf, which have named heads"
        )
    if format_name in ("hf", "elmo") and (vocab is not None or lower is not None):
        raise InputError(f"--vocab, --lower or --cased for format {format_name}", expected="tf or mtdnn")
    if format_name == "hf" and config is not None:
        raise InputError("--config for format hf", expected="tf, mtdnn or elmo")
    if format_name in ("hf", "elmo"):
        verify_encoder(_folder(source))
    with atomic_folder(target, "convert", overwrite=overwrite) as work:
        if format_name == "elmo":
            return _convert_elmo(source, work, target_format, config)
        if format_name == "hf" and target_format == "hf":
            return _convert_hf(_folder(source), work, tasks, encoder_only, name if is_hub(name) else None)
        if target_format == "tf":
            return _write_tf(source, work, format_name, vocab, config, lower, encoder_only)
        return _write_hf(source, work, format_name, vocab, config, lower, tasks, encoder_only)


def _write_hf(
    source: Path,
    work: Path,
    format_name: Format,
    vocab: str | Path | None,
    config: str | Path | None,
    lower: bool | None,
    tasks: str | None,
    encoder_only: bool,
) -> Report:

    if format_name == "tf":
        checkpoint = read_tf(source, config=config, vocab=vocab, lower=lower, encoder_only=encoder_only)
        write_hf(checkpoint, work)
        return checkpoint.report
    if encoder_only and config is None and (report := write_family(_torch_file(source), work)) is not None:
        return report
    checkpoint, heads = read_mtdnn(
        _torch_file(source), config=config, vocab=vocab, lower=lower, tasks=tasks, encoder_only=encoder_only
    )
    if heads:
        write_model(checkpoint, heads, work)
    else:
        write_hf(checkpoint, work)
    return checkpoint.report


def _write_tf(
    source: Path,
    work: Path,
    format_name: Format,
    vocab: str | Path | None,
    config: str | Path | None,
    lower: bool | None,
    encoder_only: bool,
) -> Report:

    if format_name == "hf":
        checkpoint = read_bert(_folder(source), encoder_only=encoder_only)
    elif format_name == "tf":
        checkpoint = read_tf(source, config=config, vocab=vocab, lower=lower, encoder_only=encoder_only)
    else:
        checkpoint, _ = read_mtdnn(_torch_file(source), config=config, vocab=vocab, lower=lower, encoder_only=True)
    write_tf(checkpoint, work)
    return checkpoint.report


def _convert_hf(folder: Path, work: Path, tasks: str | None, encoder_only: bool, name: str | None) -> Report:

    if encoder_only:
        return copy_encoder(folder, work, name)
    model, report = adopt(folder, tasks)
    report.source = name or report.source
    model.write(work)
    report.write(work)
    return report


def _convert_elmo(source: Path, work: Path, target_format: str, config: str | Path | None) -> Report:
    if target_format == "tf":
        raise InputError("--to tf for an ELMo", path=source, expected="a BERT", fix="leave --to out")

    options_file, weights = find_files(source, config)
    options = convert_elmo(options_file, work, weights=weights, overwrite=True)
    report = Report(source.name, "elmo", "ElmoEncoder")
    for entry in entries(options):
        known = report.used.get(entry.dataset)
        report.used[entry.dataset] = entry.parameter if known is None else f"{known}, {entry.parameter}"
    report.add_files((options_file, weights))
    report.write(work)
    return report


def _folder(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _torch_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    files = sorted(source.glob("*.pt"))
    if len(files) != 1:
        raise InputError(f"{len(files)} files *.pt", path=source, expected="one", fix="name the file")
    return files[0]
