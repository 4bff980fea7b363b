"""Detecting the format of a user's file by its name and first lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from biomtl.custom.config import Format
from biomtl.custom.tables import DICT, STATE
from biomtl.errors import InputError
from biomtl.formats import bioc, brat, conll
from biomtl.formats.squad import is_squad
from biomtl.mtdnn.rows import is_mtdnn
from biomtl.storage.files import read_lines, suffix_of
from biomtl.storage.inputs import refuse_endless

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
ANNOTATED = ("pubtator", "bioc", "brat", "documents")
DOCUMENTS = ("conll", *ANNOTATED)
LOOKED_AT = 200  # lines of a JSON file
_FIRST_KEYS = re.compile(r"\s*(\[?)\s*\{")
_ANNOTATIONS = frozenset({"mentions", "relations"})
_GOLD = frozenset({"label", "labels", "score", "tags", "tokens", "entities", "candidates"})
_PUBTATOR = re.compile(r"[^|\t]+\|[ta]\|")


def detect(path: Path, *, tagging: bool) -> Format:
    """The format of a file or folder.

    Args:
        path: a file, or a folder of brat files or of a saved dataset.
        tagging: whether its task is tagging: then rows of a token and a tag are CoNLL, even if the name is a table's,
            and so is any file that neither name nor content identifies.

    Raises:
        InputError: no such file, or a folder of something else.
    """
    refuse_endless(path, once=False)
    if path.is_dir():
        if any((path / name).is_file() for name in (STATE, DICT)):
            return "datasets"
        if any(brat.files(path, ".ann")) or any(brat.files(path, ".txt")):
            return "brat"
        expected = "brat's .txt and .ann files, or a dataset written by save_to_disk()"
        raise InputError("a folder of another kind", path=path, expected=expected, fix="name the files, or the format")
    known = SUFFIXES.get(suffix_of(path))
    if suffix_of(path) == ".json" and is_squad(path):
        return "squad"
    if known == "jsonl" or (known == "bioc" and suffix_of(path) == ".json"):
        record = _first_object(path)
        if is_mtdnn(record):
            return "mtdnn"
        if record is not None and is_document(record):
            return "documents"
        if record is not None and known == "bioc":
            return "jsonl"
    if tagging and known in ("tsv", None) and conll.looks_like(read_lines(path)):
        return "conll"
    if known:
        return known
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if _PUBTATOR.match(first):
        return "pubtator"
    if first.startswith("{"):
        return "documents" if is_document(_first_object(path) or {}) else "jsonl"
    if brat.is_annotated(path):
        return "brat"
    return "conll" if tagging else "tsv"


def is_document(record: Mapping[str, Any]) -> bool:
    """Whether a JSON line is an annotated document and no record of a task."""
    return not _ANNOTATIONS.isdisjoint(record) and _GOLD.isdisjoint(record) and "text" in record


def _first_object(path: Path) -> dict[str, Any] | None:
    """The first record of a JSON file that holds records, as a list or one per line; ``None`` for BioC's collections.

    A record that is longer than the lines looked at is empty here.
    """
    start = "".join(line for _, line in islice(read_lines(path), LOOKED_AT))
    if not (match := _FIRST_KEYS.match(start)):
        return None
    try:
        first, _ = json.JSONDecoder().raw_decode(start, match.end() - 1)
    except (ValueError, RecursionError):  # continues beyond these lines: a BioC collection is one long object
        return {} if match[1] == "[" and not any(f'"{key}"' in start for key in bioc.COLLECTIONS) else None
    return first if isinstance(first, dict) and set(first).isdisjoint(bioc.COLLECTIONS) else None
