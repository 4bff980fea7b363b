"""The released files themselves, row by row."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora.blue.reader import BlueFiles
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.tasks import get_task
from biomtl.tasks.types.base import check_record

Splits = dict[str, list[dict[str, Any]]]


def read(folder: Path, task: str, assume: str | None = None) -> Splits:
    found: Splits = {"train": [], "dev": [], "test": []}
    for _, split, record in BlueFiles(assume).read(Source(folder), [task], ReadOptions()):
        assert check_record(get_task(task), record) is None
        found[split].append(record)
    for records in found.values():
        assert len({record["id"] for record in records}) == len(records)
    return found


def sizes(found: Splits) -> list[int]:
    return [len(records) for records in found.values()]


def test_chemprot(shared: Path) -> None:
    found = read(shared / "data/chemprot", "chemprot")
    assert sizes(found) == [0, 11820, 0]
    with (shared / "data/chemprot/blue_format/dev.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[1:]
    assert [[r["id"].partition("#")[0], r["text"], r["label"]] for r in found["dev"]] == rows
    assert sum("#2" in record["id"] for record in found["dev"]) == 4
    assert len({record["doc_id"] for record in found["dev"]}) == 555
    placeholders = Counter(len({entity["start"] for entity in record["entities"]}) for record in found["dev"])
    assert placeholders == {2: 10874, 1: 946}


def test_ddi(shared: Path) -> None:
    found = read(shared / "data/ddi2013", "ddi2013")
    assert sizes(found) == [0, 7244, 0]
    lines = (shared / "data/ddi2013/blue_format/dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert ["\t".join((r["id"], r["text"], r["label"])) for r in found["dev"]] == lines  # bare quotes kept
    assert len({record["doc_id"] for record in found["dev"]}) == 403


def test_hoc(shared: Path) -> None:
    found = read(shared / "data/hoc", "hoc")
    documents = (shared / "data/hoc/dev_docid.txt").read_text().split()
    assert sorted(record["doc_id"] for record in found["dev"]) == sorted(documents)
    counts = Counter(label for record in found["dev"] for label in record["labels"])
    assert [counts[label] for label in get_task("hoc").labels] == [35, 14, 10, 15, 22, 24, 15, 45, 41, 24]
    assert not any(record["text"].startswith('"In both') for record in found["dev"])


def test_biosses(shared: Path) -> None:
    found = read(shared / "data/biosses", "biosses")
    assert sizes(found) == [64, 16, 20]
    odd = found["train"][27]
    assert (odd["id"], odd["score"]) == ("27", 1.4)
    assert odd["text_a"].endswith("several mechanisms:")
    assert odd["text_b"].startswith("GATA2lox/lox")
    assert "\t" in odd["text_b"]
    assert odd["text_b"].endswith("established tumors")


@pytest.mark.parametrize(
    ("task", "kind", "mentions"),
    [("bc5cdr-chem", "Chemical", [5203, 5347, 5385]), ("bc5cdr-disease", "Disease", [4182, 4246, 4424])],
)
def test_two_column_iob(shared: Path, task: str, kind: str, mentions: list[int]) -> None:
    found = read(shared / "data/ner_extra", task)
    assert sizes(found) == [4560, 4581, 4797]
    tags = [Counter(tag for record in records for tag in record["tags"]) for records in found.values()]
    assert [count[f"B-{kind}"] for count in tags] == mentions
    assert [sum(count.values()) for count in tags] == [118170, 117453, 124750]
