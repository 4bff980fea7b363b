"""The commands that are killed: what they are given, what they write, and what completes them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture.stand_in import at_hand


@dataclass(frozen=True)
class Scenario:
    """A command whose output is ``out``. ``{in}`` in the words stands for the folder of inputs.

    Args:
        name: what it is called in the results.
        words: the command.
        other: words that make another output under the same name, to be replaced by the command with ``--overwrite``.
        again: options, each of which must complete a killed command that had nothing to replace.
        run: the output is a run folder, which may lie there unfinished.
        before: called in the command's process just before it.
    """

    name: str
    words: tuple[str, ...]
    other: tuple[str, ...] = ()
    again: tuple[str, ...] = ("--overwrite",)
    run: bool = False
    before: Callable[[], None] | None = None
    goes_on: bool = False
    """The output is a folder in ``out``; what lies hidden beside it is for the next command to go on from."""
    weight: float = 1.0
    """How often it is chosen."""


def filled(words: tuple[str, ...], inputs: Path) -> list[str]:
    """The words with the folder of inputs in place."""
    return [word.replace("{in}", str(inputs)) for word in words]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_REFINE = "num_train_epochs=2 save_steps=2 learning_rate=1e-3 batch_size=8 num_threads=1"
HEADS = "sts=regression:1,nli=classification:3,x=tagging:5,q=san-classification:3"
_RESUME = ("--resume", "--overwrite")
SCENARIOS = (
    Scenario(
        "train",
        _words("train {in}/recipe.yaml output=out"),
        _words("train {in}/recipe.yaml output=out seed=7"),
        again=_RESUME,
        run=True,
        weight=3,
    ),
    Scenario(
        "finetune",
        _words("finetune {in}/run --task tag-drug --data {in}/suite --out out " + _REFINE),
        _words("finetune {in}/run --task cls-text --data {in}/suite --out out " + _REFINE),
        again=_RESUME,
        run=True,
        weight=3,
    ),
    Scenario(
        "prepare",
        _words("prepare {in}/blue --out out"),
        _words("prepare {in}/blue --out out --tasks mednli"),
    ),
    Scenario(
        "annotate",
        _words("annotate {in}/run {in}/abstracts.pubtator --out out.xml --to bioc"),
        _words("annotate {in}/run {in}/others.pubtator --out out.xml --to bioc"),
    ),
    Scenario(
        "annotate-brat",
        _words("annotate {in}/run {in}/notes --out out --to brat"),
        _words("annotate {in}/run {in}/notes --out out --to brat --task tag-drug"),
    ),
    Scenario(
        "embed",
        _words("embed {in}/run {in}/texts.txt --out out.hdf5"),
        _words("embed {in}/run {in}/other.txt --out out.hdf5"),
    ),
    Scenario("embed-elmo", _words("embed {in}/elmo {in}/texts.txt --out out.hdf5")),
    Scenario(
        "convert-tf",
        _words("convert {in}/tf out"),
        _words("convert {in}/tf out --encoder-only"),
    ),
    Scenario(
        "convert-mtdnn",
        _words(f"convert {{in}}/mt/model.pt out --tasks {HEADS}"),
        _words("convert {in}/mt/model.pt out --encoder-only"),
    ),
    Scenario("convert-elmo", _words("convert {in}/elmo out")),
    Scenario("convert-hf", _words("convert {in}/stock out --from hf --tasks tag-drug")),
    Scenario("download", _words("download hoc --out out"), again=("", "--overwrite"), before=at_hand, goes_on=True),
    Scenario(
        "predict",
        _words("predict {in}/run {in}/rows.jsonl --out out.jsonl"),
        _words("predict {in}/run {in}/rows.jsonl --task tag-drug --out out.jsonl"),
    ),
    Scenario(
        "evaluate",
        _words("evaluate {in}/run --data {in}/suite --out out"),
        _words("evaluate {in}/run --data {in}/suite --out out --split dev"),
    ),
    Scenario(
        "export-hf",
        _words("export {in}/run --task tag-drug --to hf out"),
        _words("export {in}/run --task cls-text --to hf out"),
    ),
    Scenario("export-onnx", _words("export {in}/run --task cls-text --to onnx out"), weight=0.1),
    Scenario("audit", _words("audit {in}/suite --out out"), _words("audit {in}/suite --out out --max-length 8")),
)
