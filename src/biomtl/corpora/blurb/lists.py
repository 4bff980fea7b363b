"""Lists of ids that say which documents are in which split, as BLURB's ``indexing`` folder has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from biomtl.corpora.copies import one_copy
from biomtl.corpora.sample import sample
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import SPLITS, Split

_BETWEEN = re.compile(r"[,\s]+")


def listed(source: Source, folder: str, ending: str) -> dict[Split, tuple[str, list[str]]] | None:
    """Split -> (file, ids) from ``FOLDER/{train,dev,test}_ENDING.tsv``; None if there are no such files.

    A file's name stands for the id in it: of ``a/b/12.xml`` that is ``12``. Ids are divided by commas or line ends.

    Raises:
        InputError: only some of the files, several copies, or an id in two splits.
    """
    names = {split: source.find(f"{folder}/{split}_{ending}.tsv") for split in SPLITS}
    if not any(names.values()):
        return None
    lists = {split: _ids(source, found, f"{folder}/{split}_{ending}.tsv") for split, found in names.items()}
    seen: dict[str, str] = {}
    for file, ids in lists.values():
        for name in ids:
            if name in seen:
                raise InputError(f"{name!r} again; it is also in {seen[name]}", path=source.where(file))
            seen[name] = source.where(file)
    return lists


def _ids(source: Source, found: list[str], what: str) -> tuple[str, list[str]]:
    file = one_copy(source, found, what)
    names = (item for _, line in source.lines(file) for item in _BETWEEN.split(line) if item)
    return file, [PurePosixPath(name).name.removesuffix(".txt").removesuffix(".xml") for name in names]


def drawn(names: Iterable[str], sizes: Mapping[Split, int], seed: int) -> dict[Split, list[str]]:
    """A division of the names in about the proportions of ``sizes``, for want of the benchmark's own.

    The same for a seed on every machine; the names keep their order.
    """
    left, size = list(names), sum(sizes.values())
    splits: dict[Split, list[str]] = {}
    others: tuple[Split, ...] = ("test", "dev")
    for split in (split for split in others if split in sizes):
        taken = sample(left, sizes[split] / size, seed) if len(left) > 1 else frozenset()
        splits[split] = [name for name in left if name in taken]
        left = [name for name in left if name not in taken]
        size -= sizes[split]
    return {split: splits.get(split, left) for split in sizes}


def members(
    lists: Mapping[Split, tuple[str, list[str]]], known: Iterable[str], source: Source
) -> Iterator[tuple[Split, str]]:
    """(Split, id) of every listed id, in the lists' order.

    Raises:
        InputError: an id that the corpus doesn't have.
    """
    there = set(known)
    for split, (file, ids) in lists.items():
        for name in ids:
            if name not in there:
                raise InputError(f"{name[:60]!r}", path=source.where(file), expected="an id of the corpus")
            yield split, name
