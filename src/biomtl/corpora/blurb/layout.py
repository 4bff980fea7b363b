"""Which files are BLURB's or were made from them, and of which task and split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

import yaml

from biomtl.corpora.blue.layout import SPLITS, Layout
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task
from biomtl.tasks.task import Split, Task

JSON = (".json", ".jsonl")


@dataclass(frozen=True)
class Format:
    """How a task's files look; see ``files.yaml``."""

    task: str
    folder: str
    rows: str
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@cache
def formats() -> dict[str, Format]:
    """The formats by task."""
    text = files(__package__).joinpath("files.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text).items()
    lists = ("columns", "header", "types")
    return {
        task: Format(task, fields["folder"], fields["rows"], *(tuple(fields.get(key, ())) for key in lists))
        for task, fields in entries
    }


def locate(source: Source) -> dict[str, list[Layout]]:
    """Task -> the folders that hold it, best first: most splits, then tables before JSON lines."""
    by_folder = {known.folder: known for known in formats().values()}
    base = source.path if source.path.is_dir() else source.path.parent
    found: dict[str, dict[tuple[str, int], Layout]] = {}
    for name in source.names:
        path = PurePosixPath(name)
        split = SPLITS.get(path.stem.lower())
        folder = path.parent.name or base.resolve().name
        known = by_folder.get(folder.lower().removesuffix("_hf").removesuffix("-iob").removesuffix(".zip"))
        if split is None or known is None or not fits(source, name, known):
            continue
        rank = int(is_json(name))
        layout = found.setdefault(known.task, {}).setdefault((str(path.parent), rank), Layout(str(path.parent), rank))
        add(layout, split, name)
    return {
        task: sorted(layouts.values(), key=lambda layout: (-len(layout.files), layout.rank, layout.folder))
        for task, layouts in found.items()
    }


def add(layout: Layout, split: Split, name: str) -> None:
    """Put a file into its layout, or note that its split has one already."""
    if split in layout.files:
        layout.clash = f"two files for {split}: {layout.files[split]} and {name}"
    layout.files[split] = name


def is_json(name: str) -> bool:
    """Whether a file's name says that it holds JSON lines."""
    return name.lower().endswith(JSON)


def fits(source: Source, name: str, known: Format) -> bool:
    """Whether a file's first line is as in that format; the benchmark BLUE has folders of the same names."""
    if not name.lower().endswith((".tsv", *JSON)):
        return False
    try:
        first = next((text for _, text in source.lines(name) if text.strip()), "")
    except InputError:  # whoever reads the file will say so
        return False
    if is_json(name):
        return first.lstrip().startswith("{") and ('"tokens"' if not known.columns else '"sentence') in first
    cells = first.split("\t") if "\t" in first else first.split()
    if not known.columns:
        return cells[:1] == ["-DOCSTART-"] or len(cells) == 2
    if known.header:
        return tuple(cell.strip().lower() for cell in cells) == known.header
    labels = (*get_task(known.task).labels, "0", "1")
    return len(cells) == len(known.columns) and cells[known.columns.index("label")].strip() in labels


@cache
def twins() -> dict[str, Format]:
    """The format of the task of BLURB that has the same corpus, by the task of BLUE."""
    tasks = ((get_task(task), known) for task, known in formats().items())
    return {origin: known for task, known in tasks if (origin := split_of(task))}


def split_of(task: Task) -> str | None:
    """The task whose corpus a task splits in another way."""
    return task.catalogue.split_of if task.catalogue else None
