"""``biomtl export``: a model's heads in other tools' formats."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from biomtl.checkpoints.export import export_encoder, export_hf
from biomtl.checkpoints.onnx import export_onnx
from biomtl.cli.evaluate import SplitName
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.errors import InputError
from biomtl.inference.engines.onnx import OnnxEngine
from biomtl.inference.evaluate import evaluate, shared_tasks
from biomtl.model import MultiTaskModel
from biomtl.report.console import table_console
from biomtl.results import Results
from biomtl.storage.files import atomic_file, atomic_folder, refuse_existing, write_json
from biomtl.suite import load_suite
from biomtl.tasks.calibration import Calibration


class ExportFormat(StrEnum):
    """Formats of exports."""

    hf = "hf"
    onnx = "onnx"


def export(
    model: Annotated[Path, typer.Argument(help="Model or run folder.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="Folder to write, or for onnx a file *.onnx.")],
    to: Annotated[ExportFormat, typer.Option("--to", help="hf: a transformers folder; onnx: one graph.")] = (
        ExportFormat.hf
    ),
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Head to export: one for hf, any number for onnx (default all)."),
    ] = None,
    encoder_only: Annotated[bool, typer.Option("--encoder-only", help="Export only the encoder.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="onnx: quantise the weights of linear layers to 8 bits.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="onnx: prepared suite (or `sample`) to score the export on.")
    ] = None,
    split: Annotated[SplitName, typer.Option("--split", help="Split of --data.")] = SplitName.dev,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing target.")] = False,
) -> None:
    """Write a task's head as a stock `transformers` model, or heads as one ONNX graph.

    Example: `biomtl export runs/joint --task ddi2013 --to hf ddi2013-model`
    """

    if to is ExportFormat.hf and (int8 or data):
        raise InputError("--int8 or --data with --to hf", expected="--to onnx")
    if encoder_only and (task or to is ExportFormat.onnx):
        raise InputError("--encoder-only with --task or --to onnx", expected="either the encoder or heads")
    folder = to is ExportFormat.hf or target.suffix != ".onnx"
    refuse_existing(target, overwrite, output="export" if folder else "onnx", inputs=(model, data))
    loaded = MultiTaskModel.from_pretrained(model, tasks=[] if encoder_only else task)
    results = Results.of_model(model)
    if to is ExportFormat.onnx:
        _to_onnx(loaded, results, target, int8, data, split, overwrite)
        return
    with atomic_folder(target, "export", overwrite=overwrite) as work:
        opens = export_encoder(loaded, work) if encoder_only else export_hf(loaded, _only_task(loaded), work, results)
    say(f"written: {target} ({opens})")
    for name, choice in loaded.choices.items():
        if choice.calibration is not None:
            say(f"left out, as stock classes can't express it: {_corrections(choice.calibration)} of {name}")


def _corrections(found: Calibration) -> str:
    """The temperature and thresholds that a folder of a stock class lacks."""
    parts = [f"temperature {found.temperature:.3g}"]
    parts += [f"thresholds {', '.join(f'{k} {v:g}' for k, v in found.thresholds.items())}"] * bool(found.thresholds)
    parts += [f"bias {found.negative_bias:g} of the negative class"] * bool(found.negative_bias)
    return "; ".join(parts)


def _only_task(model: MultiTaskModel) -> str:
    if len(model.tasks) != 1:
        raise InputError(
            f"{len(model.tasks)} tasks", expected="one: --task NAME", fix=f"known: {', '.join(model.tasks)}"
        )
    return next(iter(model.tasks))


def _to_onnx(
    model: MultiTaskModel,
    results: Results | None,
    target: Path,
    int8: bool,
    data: str | None,
    split: SplitName,
    overwrite: bool,
) -> None:

    if target.suffix == ".onnx":
        with tempfile.TemporaryDirectory() as folder:
            difference = export_onnx(model, list(model.tasks), Path(folder), int8=int8, results=results)
            if data is not None:
                _show(_losses(model, Path(folder), data, split), split)
            with atomic_file(target, "wb", overwrite=overwrite) as stream:
                stream.write((Path(folder) / "model.onnx").read_bytes())
    else:
        with atomic_folder(target, "export", overwrite=overwrite) as work:
            difference = export_onnx(model, list(model.tasks), work, int8=int8, results=results)
            if data is not None:
                losses = _losses(model, work, data, split)
                write_json(work / "scores.json", {"split": split, "tasks": losses})
                _show(losses, split)
    say(f"written: {target} (outputs {', '.join(model.tasks)}; logits within {difference:.1e} of torch's)")
    if int8 and data is None:
        say("the drop in score was not measured: add --data DIR (a prepared suite)")


def _losses(model: MultiTaskModel, folder: Path, data: str, split: SplitName) -> dict[str, dict[str, float | str]]:
    """The main metric of every task before and after."""

    suite = shared_tasks(model, load_suite(data, known=model.tasks), asked=False, split=split.value)
    before = evaluate(model, suite, split.value, resamples=0).scores
    after = evaluate(OnnxEngine(folder), suite, split.value, resamples=0).scores
    return {
        name: {
            "metric": score.main.id,
            "torch": score.main.value,
            "onnx": after[name].main.value,
            "loss": score.main.value - after[name].main.value,
        }
        for name, score in before.items()
    }


def _show(losses: dict[str, dict[str, float | str]], split: SplitName) -> None:

    table = Table("task", "metric", "torch", "onnx", "loss", title=f"scores on {split}")
    for name, row in losses.items():
        numbers = [f"{100 * float(row[key]):.2f}" for key in ("torch", "onnx", "loss")]
        table.add_row(name, str(row["metric"]), *numbers)
    table_console().print(table)
