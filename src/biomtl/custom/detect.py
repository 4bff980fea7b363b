"""Which format a user's file is in, by its name and its first lines."""

from __future__ import annotations

import re
from pathlib import Path

from biomtl.custom.config import Format
from biomtl.custom.tables import DICT, STATE
from biomtl.errors import InputError
from biomtl.files import read_lines
from biomtl.formats import conll

SUFFIXES: dict[str, Format] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bio": "conll",
    ".pubtator": "pubtator",
    ".xml": "bioc",
    ".json": "bioc",
    ".ann": "brat",
}
DOCUMENTS = ("conll", "pubtator", "bioc", "brat")
_PUBTATOR = re.compile(r"[^|\t]+\|[ta]\|")


def detect(path: Path, *, tagging: bool) -> Format:
    """The format of a file or folder.

    Args:
        path: a file, or a folder of brat files or of a saved dataset.
        tagging: whether its task is one of tagging: then rows of a token and a tag are CoNLL, whatever the name says of
            tables, and so is what neither name nor content tells.

    Raises:
        InputError: nothing there, or a folder of something else.
    """
    if path.is_dir():
        if any((path / name).is_file() for name in (STATE, DICT)):
            return "datasets"
        if any(path.rglob("*.ann")) or any(path.rglob("*.txt")):
            return "brat"
        expected = "brat's .txt and .ann files, or a dataset written by save_to_disk()"
        raise InputError("a folder of neither", path=path, expected=expected, fix="name the files, or the format")
    known = SUFFIXES.get(path.suffix.lower())
    if tagging and known in ("tsv", None) and conll.looks_like(read_lines(path)):
        return "conll"
    if known:
        return known
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if _PUBTATOR.match(first):
        return "pubtator"
    if first.startswith("{"):
        return "jsonl"
    if path.with_suffix(".ann").is_file():
        return "brat"
    return "conll" if tagging else "tsv"
