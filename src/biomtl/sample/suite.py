"""The bundled sample suite: ten small tasks in BLUE's shapes, every sentence invented."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from biomtl.sample.grammar import Writer
from biomtl.sample.names import Lexicon, lexicons
from biomtl.sample.relations import relations
from biomtl.sample.tagging import tagging
from biomtl.sample.texts import hallmarks, inference, similarity
from biomtl.storage.files import atomic_folder, write_jsonl
from biomtl.tasks import Task, get_task
from biomtl.tasks.task import SPLITS, Split

Record = dict[str, Any]
LICENCE = "invented text, Apache-2.0"
_WRITERS = {"similarity": similarity, "relations": relations, "hallmarks": hallmarks, "inference": inference}


def sample_task(name: str) -> Task:
    """The sample's variant of a BLUE task: same type, labels and metric, without the corpus's licence and counts."""
    return get_task(name).model_copy(update={"licence": LICENCE, "catalogue": None, "files": {}})


def make_sample(out: str | Path, seed: int = 0, *, overwrite: bool = False) -> Path:
    """Write the sample suite as a prepared suite: ``out/<task>/{train,dev,test}.jsonl`` and ``task.yaml``.

    The same ``seed`` gives the same bytes. No name in dev or test occurs in train, and some of their sentences follow
    templates that train never uses.

    Returns:
        The folder.

    Raises:
        InputError: ``out`` exists and ``overwrite`` is not set.
    """
    out = Path(out)
    with atomic_folder(out, "sample", overwrite=overwrite) as folder:
        for name, splits in sample_records(seed).items():
            task = sample_task(name)
            (folder / name).mkdir()
            record = yaml.safe_dump(task.dump(), sort_keys=False, allow_unicode=True, width=120)
            (folder / name / "task.yaml").write_text(record, encoding="utf-8", newline="\n")
            for split, rows in splits.items():
                write_jsonl(folder / name / f"{split}.jsonl", rows)
    return out


@cache
def sample_folder() -> Path:
    """The suite of seed 0 as a folder, written once per process and removed when the process ends."""
    parent = tempfile.mkdtemp(prefix="biomtl-sample-")
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return make_sample(Path(parent) / "sample")


def sample_records(seed: int = 0) -> dict[str, dict[Split, list[Record]]]:
    """The suite's records: task -> split -> rows."""
    names = lexicons(seed)
    records: dict[str, dict[Split, list[Record]]] = {}
    sources = yaml.safe_load((resources.files("biomtl.sample") / "sources.yaml").read_text(encoding="utf-8"))
    for source, about in sources.items():
        seen: set[str] = set()  # shared by the splits: no text of train occurs again in dev or test
        for split, rows in zip(SPLITS, about["rows"], strict=True):
            for task, record in _rows(source, about, split, rows, seen, names[split], seed):
                records.setdefault(task, {}).setdefault(split, []).append(record)
    return records


def _rows(
    source: str, about: Any, split: Split, rows: int, seen: set[str], lexicon: Lexicon, seed: int
) -> Iterator[tuple[str, Record]]:
    writer = Writer(split, random.Random(f"{seed}/{source}/{split}"), lexicon, seen)
    if about["writer"] == "tagging":
        yield from tagging(source, [sample_task(name) for name in about.get("tasks", [source])], writer, rows)
    else:
        for record in _WRITERS[about["writer"]](sample_task(source), writer, rows):
            yield source, record
