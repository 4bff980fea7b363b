"""Which files are BLUE-format data, and of which task and split, judged by their names and their folders'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from biomtl.corpora.reader import Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task, suite_tasks
from biomtl.tasks.task import SPLITS as SPLIT_ORDER
from biomtl.tasks.task import Split, Task

# File names of the release, of BlueBERT (devel; Training, Development, Test) and of common renamings.
SPLITS: dict[str, Split] = {
    "train": "train", "training": "train",
    "dev": "dev", "devel": "dev", "development": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "testing": "test",
}  # fmt: skip
_CANONICAL = re.compile(r"(?P<task>.+)_(?P<split>[a-z]+)")


@dataclass
class Layout:
    """The files of one task in one folder."""

    folder: str
    rank: int  # 0: BLUE's own names, 1: MT-DNN's canonical files, 2: a folder named after another format
    files: dict[Split, str] = field(default_factory=dict)
    clash: str | None = None  # the error message if a split has two files


@cache
def folder_names() -> dict[str, str]:
    """Folder names that name a task: its name and aliases, including those of the release, BlueBERT and ELMo."""
    return {alias.lower(): task.name for task in suite_tasks("blue") for alias in (task.name, *task.aliases)}


def locate(source: Source, assume: str | None = None) -> dict[str, list[Layout]]:
    """Task -> the folders that hold it, best first: most splits, then the most usual names.

    Args:
        source: where to look; the name of its folder counts too.
        assume: a task whose files are in a folder without its name (from ``--tasks``); only such folders are searched.
    """
    by_task: dict[str, dict[tuple[str, int], Layout]] = {}
    base = source.path if source.path.is_dir() else source.path.parent
    for name in source.names:
        path = PurePosixPath(name)
        place = _place(path, (base.resolve().name, *path.parts[:-1]))
        if place is None:
            continue
        task, split, rank = place
        if (task is None) is (assume is None):
            continue
        layouts = by_task.setdefault(assume or task or "", {})
        layout = layouts.setdefault((str(path.parent), rank), Layout(str(path.parent), rank))
        if split in layout.files:
            layout.clash = f"two files for {split}: {layout.files[split]} and {name}"
        layout.files[split] = name
    return {
        task: sorted(layouts.values(), key=lambda layout: (-len(layout.files), layout.rank, layout.folder))
        for task, layouts in by_task.items()
    }


def best(layouts: list[Layout], source: Source) -> Layout:
    """The first layout.

    Raises:
        InputError: another one is as good, or it has two files for one split, so the user must choose.
    """
    first, *others = layouts
    if first.clash:
        raise InputError(first.clash, path=source.path, fix="keep one of them")
    if others and (len(others[0].files), others[0].rank) == (len(first.files), first.rank):
        both = f"the same task in two folders: {first.folder} and {others[0].folder}"
        raise InputError(both, path=source.path, fix="point to one of them")
    return first


def _place(path: PurePosixPath, folders: tuple[str, ...]) -> tuple[str | None, Split, int] | None:
    """(task or None, split, rank) of a file; None if it isn't a split of anything."""
    if path.suffix.lower() != ".tsv":
        return None
    stem = path.stem.lower()
    if stem in SPLITS:
        for folder in reversed(folders):
            plain = folder.lower().replace("_", "-").removesuffix(".zip")
            if task := folder_names().get(plain):
                return task, SPLITS[stem], 0
            if task := folder_names().get(plain.removesuffix("-iob")):
                return task, SPLITS[stem], 2
        return None, SPLITS[stem], 0
    match = _CANONICAL.fullmatch(stem)
    task = folder_names().get(match["task"].replace("_", "-")) if match and match["split"] in SPLITS else None
    return (task, SPLITS[match["split"]], 1) if match and task else None


def read_splits(
    source: Source,
    located: Mapping[str, list[Layout]],
    tasks: Iterable[str],
    rows: Callable[[str, Task, Split], Iterator[Record]],
) -> Iterator[tuple[str, Split, Record]]:
    """Stream the records of the tasks' best folders, split by split.

    Args:
        source: where the files are.
        located: task -> the folders that hold it, best first.
        tasks: the tasks to read.
        rows: the records of one file, by its name.

    Raises:
        InputError: as for `best`; a file without rows.
    """
    for name in tasks:
        task, files = get_task(name), best(located[name], source).files
        for split in (split for split in SPLIT_ORDER if split in files):
            record = None
            for record in rows(files[split], task, split):
                yield name, split, record
            if record is None:
                raise InputError("no rows", path=source.where(files[split]), expected=f"the {split} split of {name}")
