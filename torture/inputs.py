"""What the commands work on: tiny random encoders and checkpoints, invented records, texts and corpora, two runs."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # whose makers of tiny encoders and invented records are used here too

from torture.forked import Started, run  # noqa: E402

TRAIN = {"num_train_epochs": 2, "max_length": 24, "save_steps": 2, "save_total_limit": 2}


class InputsError(RuntimeError):
    """A command failed that nothing disturbed."""


def make_inputs(folder: Path, scratch: Path) -> Path:
    """Fill ``folder`` in a process of its own, since a process that has trained can't be forked any more."""
    ended = run(lambda: make(folder), folder, scratch)
    if ended.code:
        raise InputsError(ended.err)
    for arguments in (
        ["train", "recipe.yaml"],
        ["predict", "run", "rows.jsonl", "--out", "predicted.jsonl"],
        ["export", "run", "--task", "tag-drug", "--to", "hf", "stock"],
    ):
        ended = run(arguments, folder, scratch)
        if ended.code:
            raise InputsError(f"biomtl {' '.join(arguments)}: {ended.err}")
    stop_a_run(folder, scratch)
    return folder


def stop_a_run(folder: Path, scratch: Path) -> None:
    """Leave ``stopped``, a run that was killed between two checkpoints."""
    started = Started(["train", "recipe.yaml", "output=stopped"], folder, scratch, _slowly)
    checkpoint = folder / "stopped" / "checkpoints" / "step-000004"
    while not checkpoint.is_dir() and time.monotonic() < started.begun + 60:
        time.sleep(0.005)
    started.kill(signal.SIGKILL)
    ended = started.wait()
    if ended.code != -signal.SIGKILL or not checkpoint.is_dir():
        raise InputsError(f"no stopped run: {ended}")


def _slowly() -> None:
    """Pause after each step, so that the parent is in time."""
    from biomtl.training.log import RunLog

    step = RunLog.step

    def slow(self: RunLog, *arguments: object) -> None:
        step(self, *arguments)
        time.sleep(0.1)

    RunLog.step = slow


def make(folder: Path) -> None:
    """Write what needs no command of biomtl."""
    import elmo_data
    import old_checkpoints
    import tiny

    tiny.write_encoder(folder / "bert")
    tiny.write_suite(folder / "suite")
    tiny.write_recipe(folder / "recipe.yaml", folder / "bert", folder / "suite", output="run", **TRAIN)
    old_checkpoints.write_tf(folder / "tf", old_checkpoints.bert_variables("mlm", "nsp"))
    old_checkpoints.write_pt(folder / "mt" / "model.pt")
    elmo_data.write_bilm(folder / "elmo")
    elmo_data.write_layout(folder / "blue", ("ddi", "hoc", "mednli", "biosses", "bc5cdr-chem"))
    rng = random.Random(1)
    sentences = [" ".join(tiny.sentence(rng)) for _ in range(12)]
    (folder / "texts.txt").write_text("\n".join(sentences[:8]) + "\n", encoding="utf-8")
    (folder / "other.txt").write_text("\n".join(sentences[8:]) + "\n", encoding="utf-8")
    tiny.write_rows(folder / "rows.jsonl", tiny.records("tag-drug", 6, 2))
    table = "sentence\tlabel\n" + "".join(f"{text}\t{'ab'[n % 2]}\n" for n, text in enumerate(sentences))
    (folder / "own.tsv").write_text(table, encoding="utf-8")
    (folder / "own.yaml").write_text(OWN.format(encoder=folder / "bert", table=folder / "own.tsv"), encoding="utf-8")
    conll = "\n\n".join("\n".join(f"{word} O" for word in text.split()) for text in sentences)
    (folder / "own.conll").write_text(conll.replace("zalpidine O", "zalpidine B-Drug") + "\n", encoding="utf-8")
    for name, start in (("abstracts", 0), ("others", 6)):
        documents = [f"{i}|t|{a}\n{i}|a|{b}\n\n" for i, (a, b) in enumerate(_pairs(sentences[start : start + 6]), 1)]
        (folder / f"{name}.pubtator").write_text("".join(documents), encoding="utf-8")
    notes = folder / "notes"
    notes.mkdir()
    for number, text in enumerate(sentences[:3]):
        (notes / f"n{number}.txt").write_text(text + "\n", encoding="utf-8")


def _pairs(sentences: list[str]) -> list[tuple[str, str]]:
    return list(zip(sentences[::2], sentences[1::2], strict=True))


OWN = """encoder: {encoder}
output: run
max_length: 24
max_steps: 2
batch_size: 8
learning_rate: 1e-3
num_threads: 1
eval_strategy: "no"
predict_test: false
tasks:
  - name: mine
    type: classification
    labels: [a, b]
    files: {{train: {table}}}
    columns: {{text: sentence, label: label}}
"""
