"""Targets for what users and biomtl itself write: recipes, records, predictions, models, others' checkpoints."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

WHERE = "input"  # must stand in every error
Target = Callable[[bytes], object]
MEMORY = Path("/dev/shm")


@cache
def room() -> Path:
    """A folder for the one file that a target reads, in memory where there is some."""
    return Path(tempfile.mkdtemp(prefix="input-", dir=MEMORY if MEMORY.is_dir() else None))


def in_file(name: str, read: Callable[[Path], object]) -> Target:
    """The target that writes its bytes to a file of this name and reads that."""

    def target(content: bytes) -> None:
        path = room() / name
        path.write_bytes(content)
        read(path)

    return target


TASKS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["no", "yes"], "negative": "no", "metric": "micro_f1_positive"},
    "regression": {"metric": "pearson", "inputs": "pair", "score_range": [0, 4]},
    "multilabel": {"labels": ["a", "b"], "metric": "example_f1_documents"},
    "tagging": {"labels": ["O", "B-X", "I-X"], "inputs": "tokens", "metric": "entity_f1_spans"},
}
RECORDS: dict[str, dict[str, Any]] = {
    "classification": {"text": "Milo sat.", "label": "yes"},
    "regression": {"text_a": "One.", "text_b": "Two.", "score": 2.5},
    "multilabel": {"text": "Milo sat.", "labels": ["b"]},
    "tagging": {"tokens": ["Milo", "sat", "."], "offsets": [[0, 4], [5, 8], [8, 9]], "tags": ["B-X", "I-X", "O"]},
}


@cache
def task(kind: str) -> Any:
    """A task of one type."""
    from biomtl.tasks.task import Task

    return Task.model_validate({"name": kind, "type": kind, **TASKS[kind]})


def rows(kind: str) -> list[dict[str, Any]]:
    """Three good records."""
    return [{"id": f"r{n}", "doc_id": "d", **RECORDS[kind]} for n in range(3)]


def _recipe(path: Path) -> None:
    from biomtl.training.recipe_io import dump_recipe, load_recipe

    dump_recipe(load_recipe(path))


def _override(content: bytes) -> None:
    from biomtl.errors import InputError
    from biomtl.training.recipe_io import load_recipe

    path = room() / "base.yaml"
    if not path.exists():
        path.write_text("encoder: e\nsuite: s\ntasks: [a, b]\n", encoding="utf-8")
    try:
        load_recipe(path, [content.decode("utf-8", "replace")])
    except InputError as error:  # what the command line says wrong is in no file
        raise InputError(error.found, path=WHERE) from error


def _task(path: Path) -> None:
    from biomtl.tasks.task import Task

    Task.read(path)


def _definitions(path: Path) -> None:
    from biomtl.suite import load_suite

    table = room() / "own.tsv"
    if not table.exists():
        table.write_text("text\tlabel\nMilo sat.\tyes\nNo.\tno\n", encoding="utf-8")
    for entry in load_suite(path).data.values():
        entry.records("train")


def _records(kind: str) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        from biomtl.suite import read_records

        read_records(path, task(kind))

    return read


def _score(kind: str, predicted: bool) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        from biomtl.scoring import score

        good = room() / f"input-good-{kind}.jsonl"
        if not good.exists():
            good.write_text("".join(json.dumps(row) + "\n" for row in rows(kind)), encoding="utf-8")
        score(task(kind), good if predicted else path, path if predicted else good, resamples=0)

    return read


def _check(type: str, **options: Any) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        from biomtl.custom import Files, TaskDefinition
        from biomtl.custom.check import check_file
        from biomtl.tasks.types.base import task_type

        definition = TaskDefinition(type=type, files=Files(train=(str(path),)), **options)
        for error in check_file("x", definition, task_type(type)).bad:
            assert WHERE in str(error)
            assert "\n" not in str(error)

    return read


def _inputs(path: Path) -> None:
    from biomtl.cli.predict import read_inputs

    for _ in read_inputs(str(path)):
        pass


def _documents(format: str) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        from biomtl.inference.documents import read_documents

        for _ in read_documents(path, format):
            pass

    return read


def _cut(content: bytes) -> None:
    """Words and sentences of any text: in order, inside it, nothing but blanks between them."""
    from biomtl.text.sentences import sentences
    from biomtl.text.words import words

    text = content.decode("utf-8", "replace")
    for spans in (list(words(text)), list(sentences(text, 0, len(text)))):
        at = 0
        for start, end in spans:
            assert at <= start < end <= len(text), f"{(start, end)} after {at}"
            assert not text[at:start].strip(), f"{text[at:start]!r} is in no span"
            at = end
        assert not text[at:].strip(), f"{text[at:]!r} is in no span"


def _log(path: Path) -> None:
    from biomtl.training.log import kept_lines

    kept_lines(path, 9)


def _manifest(path: Path) -> None:
    from biomtl.model import read_manifest

    read_manifest(path.parent)


def _options(path: Path) -> None:
    from biomtl.encoders.elmo.options import ElmoOptions

    ElmoOptions.read(path)


def _settings(path: Path) -> None:
    from biomtl.checkpoints.bert import read_settings

    read_settings(path)


def _vocabulary(path: Path) -> None:
    from biomtl.checkpoints.vocabulary import read_vocabulary

    read_vocabulary(path, 4, "the weights")


def _pt(path: Path) -> None:
    from biomtl.checkpoints.mtdnn.unpickle import load_pt

    load_pt(path)


def _index(content: bytes) -> None:
    """The index of a TensorFlow checkpoint, and every variable that it names."""
    from biomtl.checkpoints.tensorflow.bundle import Bundle

    prefix = room() / "input.ckpt"
    Path(f"{prefix}.index").write_bytes(content)
    data = Path(f"{prefix}.data-00000-of-00001")
    if not data.exists():
        data.write_bytes(bytes(range(64)))
    bundle = Bundle(prefix)
    for name in bundle.variables:
        bundle.read(name)


def _entries(content: bytes) -> None:
    """Entries of such an index with sound checksums around them."""
    from biomtl.checkpoints.tensorflow.table import write_table

    header, _, entry = content.partition(b"====")
    _index(write_table([(b"", header), (b"v", entry)]))


def _hdf5(path: Path) -> None:
    from biomtl.encoders.elmo.options import ElmoOptions
    from biomtl.encoders.elmo.weights import read_weights

    options = path.parent / "options.json"
    options.write_bytes(OPTIONS)
    ElmoOptions.read(options)
    read_weights(options, path)


def _checkpoint(content: bytes) -> None:
    """A checkpoint of two weights; the first byte chooses the file that the rest replaces."""
    from biomtl.training.checkpoint import load_checkpoint

    good = checkpoint()
    folder = room() / "input-step"
    folder.mkdir(exist_ok=True)
    names = sorted(good)
    for i, name in enumerate(names):
        (folder / name).write_bytes(content[1:] if content and content[0] % len(names) == i else good[name])
    load_checkpoint(folder, _training())


def _training() -> Any:
    """The state of a run of one layer."""
    import torch

    from biomtl.training.state import TrainState

    network = torch.nn.Linear(2, 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    return TrainState(network, optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0))


@cache
def checkpoint() -> dict[str, bytes]:
    """The files of a good checkpoint."""
    import torch

    from biomtl.training.checkpoint import save_checkpoint
    from biomtl.training.state import random_state

    state = _training()
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimiser.step()
    folder = room() / "good" / "step-000001"
    save_checkpoint(folder, state, [random_state()])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


OPTIONS = b"""{"char_cnn": {"embedding": {"dim": 2}, "filters": [[1, 2]], "n_highway": 1, "n_characters": 262,
"max_characters_per_token": 50}, "lstm": {"dim": 2, "projection_dim": 2, "n_layers": 1, "cell_clip": 3}}"""

TARGETS: dict[str, Target] = {
    "recipe": in_file("input.yaml", _recipe),
    "override": _override,
    "task.yaml": in_file("input-task.yaml", _task),
    "own-task": in_file("input-own.yaml", _definitions),
    **{f"records-{kind}": in_file("input.jsonl", _records(kind)) for kind in TASKS},
    **{f"score-gold-{kind}": in_file("input-gold", _score(kind, predicted=False)) for kind in TASKS},
    **{f"score-predicted-{kind}": in_file("input-predicted", _score(kind, predicted=True)) for kind in TASKS},
    "check-tsv": in_file("input.tsv", _check("classification")),
    "check-csv": in_file("input.csv", _check("classification")),
    "check-jsonl": in_file("input.jsonl", _check("tagging")),
    "check-conll": in_file("input.conll", _check("tagging")),
    "check-unknown": in_file("input", _check("tagging")),
    "check-gz": in_file("input.tsv.gz", _check("classification")),
    "predict-lines": in_file("input.txt", _inputs),
    "predict-records": in_file("input.jsonl", _inputs),
    "documents-text": in_file("input.txt", _documents("text")),
    "documents-jsonl": in_file("input.jsonl", _documents("jsonl")),
    "words-and-sentences": _cut,
    "log.jsonl": in_file("input-log.jsonl", _log),
    "manifest": in_file("manifest.json", _manifest),
    "options.json": in_file("input-options.json", _options),
    "bert_config.json": in_file("input-config.json", _settings),
    "vocab.txt": in_file("input-vocab.txt", _vocabulary),
    "checkpoint": _checkpoint,
    "tf-index": _index,
    "tf-entries": _entries,
    "pt": in_file("input.pt", _pt),
    "hdf5": in_file("input.hdf5", _hdf5),
}
