"""The folders that ``elmoft`` reads, as a suite of one task."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import yaml

from biomtl.corpora.blue.layout import SPLITS as SPLIT_NAMES
from biomtl.corpora.blue.reader import FAMILIES
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.suite import Suite, TaskData, load_suite
from biomtl.tasks import get_task
from biomtl.tasks.task import SPLITS, Split, Task
from biomtl.tasks.types.base import Record, type_of

# The value of --task, and the task's folder under --data_dir.
FOLDERS: dict[str, str] = yaml.safe_load(
    (resources.files("biomtl.elmoft") / "folders.yaml").read_text(encoding="utf-8")
)
DEFAULT_TASK = next(name for name, folder in FOLDERS.items() if folder.endswith("-type"))


def task_of(name: str | None) -> Task:
    """The task named by ``--task``, by its old name or ours.

    Raises:
        InputError: no name, or an unknown one.
    """
    if name is None:
        raise InputError("no --task", expected=f"one of {', '.join(FOLDERS)}")
    if name.lower() not in (*FOLDERS, *(get_task(folder).name for folder in FOLDERS)):
        raise InputError(f"--task {name!r}", fix=nearest(name, FOLDERS))
    return get_task(name)


def folder_of(task: Task) -> str:
    """The task's folder under ``--data_dir``."""
    return next(folder for name, folder in FOLDERS.items() if get_task(name).name == task.name)


def load_data(task: Task, data_dir: Path | None, own_folder: Path | None = None) -> Suite:
    """The task's data; each row is checked when first read.

    Args:
        task: the task.
        data_dir: a folder that holds the task's folder, or a suite written by ``biomtl prepare``.
        own_folder: the task's folder itself.

    Raises:
        InputError: no such folder, or a missing split.
    """
    if data_dir is not None and own_folder is not None:
        raise InputError("both --data_dir and --input", fix="give one of them")
    if data_dir is not None and (data_dir / task.name / "task.yaml").is_file():
        suite = load_suite(data_dir, [task.name])
        missing = [split for split in SPLITS if split not in suite[task.name]]
        if missing:
            raise InputError(f"task {task.name} has no {missing[0]} split", path=data_dir, expected=", ".join(SPLITS))
        return suite
    if data_dir is None and own_folder is None:
        raise InputError("no --data_dir", expected=f"the folder that holds {folder_of(task)}/")
    return Suite([BlueData(task, own_folder or data_dir / folder_of(task))])  # type: ignore[operator]


class BlueData(TaskData):
    """A task in BLUE's own files.

    Args:
        task: the task.
        folder: a folder with ``train.tsv``, ``dev.tsv`` and ``test.tsv`` (or ``devel.tsv`` and BlueBERT's names).
    """

    def __init__(self, task: Task, folder: Path) -> None:
        expected = f"{task.name}'s folder with train.tsv, dev.tsv and test.tsv"
        if not folder.is_dir():
            raise InputError("no such folder", path=folder, expected=expected)
        files: dict[Split, Path] = {}
        for path in sorted(folder.glob("*.tsv"), key=lambda path: path.stem not in SPLITS):
            if split := SPLIT_NAMES.get(path.stem.lower()):
                files.setdefault(split, path)
        for split in SPLITS:
            if split not in files:
                raise InputError(f"no {split}.tsv", path=folder, expected=expected)
        super().__init__(task, files)

    def _read(self, split: Split) -> list[Record]:
        task_type, path = type_of(self.task), self.files[split]
        records: list[Record] = []
        seen: set[str] = set()
        for record in FAMILIES[self.task.name](Source(path.parent), path.name, self.task, split):
            problem = task_type.check(record, self.task)
            if record["id"] in seen:
                problem = f"id {record['id']!r} occurs twice"
            if problem:
                raise InputError(problem, path=path, line=record.where[1])
            seen.add(record["id"])
            records.append(record)
        if not records:
            raise InputError("no rows", path=path, expected=f"the {split} split of {self.task.name}")
        return records


class Fold(TaskData):
    """A task with some of its training rows held out as its test split.

    Args:
        data: the whole task.
        held_out: the indices of those rows.
    """

    def __init__(self, data: TaskData, held_out: set[int]) -> None:
        super().__init__(data.task, data.files, data.head)
        self.whole, self.held_out = data, held_out

    def _read(self, split: Split) -> list[Record]:
        if split == "dev":
            return self.whole.records("dev")
        rows = enumerate(self.whole.records("train"))
        return [record for number, record in rows if (number in self.held_out) == (split == "test")]


def folds(data: TaskData, count: int, seed: int) -> list[Fold]:
    """``count`` folds over the training documents, each held out once; a document's rows stay together.

    Raises:
        InputError: fewer documents than folds.
    """
    documents = [record.get("doc_id") or record["id"] for record in data.records("train")]
    names = list(dict.fromkeys(documents))
    if len(names) < count:
        raise InputError(f"--kfold {count} of {len(names)} training documents", fix="use fewer folds")
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[document]: place % count for place, document in enumerate(order)}
    return [Fold(data, {i for i, name in enumerate(documents) if fold_of[name] == k}) for k in range(count)]
