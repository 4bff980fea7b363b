"""The real distributions of the six public corpora against BLUE: every count, every released row that we have."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.corpora.hoc import LABELS
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.formats import pubtator

SPLITS = ("train", "dev", "test")
DDI = ("DDI-advise", "DDI-effect", "DDI-int", "DDI-mechanism", "DDI-false")
CPR = ("CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9", "false")


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="session")
def records(data: Path, corpora: Any) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(Task, split) -> records, all read from the one folder in which all corpora lie."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in corpora.names:
        for task, split, record in corpora.read(name, data):
            found.setdefault((task, split), []).append(record)
    return found


def blue(path: Path, **options: Any) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", **options))


def labels(rows: list[dict[str, Any]], order: tuple[str, ...]) -> list[int]:
    counts = Counter(row["label"] for row in rows)
    assert not counts.keys() - set(order)
    return [counts[label] for label in order]


def spans(rows: list[dict[str, Any]]) -> set[tuple[str, int, int]]:
    """(Document, start, end) of every run of ``B`` and ``I`` in a document, across its sentences."""
    found: list[list[Any]] = []
    inside = False
    for row in rows:
        for (start, end), tag in zip(row["offsets"], row["tags"], strict=True):
            if tag[0] == "B":
                found.append([row["doc_id"], start, end])
            elif tag[0] == "I":
                assert inside
                found[-1][2] = end
            inside = tag[0] != "O"
    return {(document, start, end) for document, start, end in found}


@pytest.mark.parametrize(
    ("task", "kind", "mentions", "wider"),
    [
        ("bc5cdr-chem", "Chemical", (5203, 5347, 5385), (0, 10, 5)),
        ("bc5cdr-disease", "Disease", (4182, 4244, 4424), (0, 0, 0)),
    ],
)
def test_bc5cdr_keeps_every_mention(
    task: str, kind: str, mentions: tuple[int, ...], wider: tuple[int, ...], records: Any, data: Path
) -> None:
    files = ("CDR_TrainingSet", "CDR_DevelopmentSet", "CDR_TestSet")
    for split, file, expected, within_a_word in zip(SPLITS, files, mentions, wider, strict=True):
        rows = records[task, split]
        assert sum(tag == f"B-{kind}" for row in rows for tag in row["tags"]) == expected
        assert not [row["id"] for row in rows if row["tags"][0].startswith("I")]  # no mention is cut by a sentence end
        gold = {
            (document.id, mention.start, mention.end)
            for document in pubtator.read(data / "bc5cdr" / f"{file}.PubTator.txt")
            for mention in document.mentions
            if mention.type == kind
        }
        assert len(gold - spans(rows)) == within_a_word  # "[Ca]2+": the word is longer than the mention, as in BLUE


def test_bc5cdr_tasks_share_texts_and_offsets_are_the_documents(records: Any, data: Path) -> None:
    texts = {document.id: document.text for document in pubtator.read(data / "bc5cdr" / "CDR_TestSet.PubTator.txt")}
    for split, count in zip(SPLITS, (4546, 4544, 4761), strict=True):
        one, other = records["bc5cdr-chem", split], records["bc5cdr-disease", split]
        assert [{**row, "tags": None} for row in one] == [{**row, "tags": None} for row in other]
        assert len(one) == count
        assert len({row["doc_id"] for row in one}) == 500
    for row in records["bc5cdr-chem", "test"]:
        assert row["tokens"] == [texts[row["doc_id"]][start:end] for start, end in row["offsets"]]
    lengths = Counter()
    for row in records["bc5cdr-chem", "test"]:
        lengths[row["doc_id"]] += sum(map(len, row["tokens"]))
    assert lengths == {document: len("".join(text.split())) for document, text in texts.items()}  # only blanks are lost


def test_ddi_counts(records: Any) -> None:
    assert labels(records["ddi2013", "train"], DDI) == [633, 1212, 146, 946, 15842 + 3]
    assert labels(records["ddi2013", "dev"], DDI) == [193, 396, 42, 373, 6240]
    assert labels(records["ddi2013", "test"], DDI) == [221, 360, 96, 302, 4782 - 45]
    train = {row["id"] for row in records["ddi2013", "train"]}
    assert {"DDI-MedLine.d104.s8.p1", "DDI-MedLine.d104.s8.p2"} <= train  # the rest of a sentence partly in dev
    assert "DDI-DrugBank.d236.s29.p0" not in train


def test_ddi_dev_is_the_released_file_except_for_a_space(records: Any, data: Path) -> None:
    released = blue(data / "ddi2013/blue_format/dev.tsv", quoting=csv.QUOTE_NONE)
    ours = records["ddi2013", "dev"]
    assert [row["id"] for row in ours] == [row["index"] for row in released]
    assert [row["label"] for row in ours] == [row["label"] for row in released]
    masked = [tiny.masked("ddi2013", row) for row in ours]
    other = [row for row, text, theirs in zip(ours, masked, released, strict=True) if text != theirs["sentence"]]
    assert Counter(row["id"].rpartition(".")[0] for row in other) == {
        "DDI-MedLine.d15.s0": 36,
        "DDI-MedLine.d27.s0": 15,
    }
    assert masked == [theirs["sentence"].replace("]  ", "] ") for theirs in released]


def test_ddi_with_its_drug_lists(data: Path, corpora: Any) -> None:
    rows = corpora.read("DDI2013", data / "ddi2013", ReadOptions(keep_list_sentences=True))
    assert labels([row for _, split, row in rows if split == "train"], DDI) == [633, 1291, 146, 946, 17531]
    assert len(rows) == 27792 - 1 + 5716


def test_chemprot_with_blues_sentences_is_the_released_dev_set(data: Path, corpora: Any) -> None:
    options = ReadOptions(sentence_spans=data / "chemprot/blue_format/dev_sentence_spans.tsv")
    rows = [row for _, split, row in corpora.read("ChemProt", data / "chemprot", options) if split == "dev"]
    released = blue(data / "chemprot/blue_format/dev.tsv")
    assert len(rows) == 11820
    ours = [
        {"index": row["id"].removesuffix("#2"), "sentence": tiny.masked("chemprot", row), "label": row["label"]}
        for row in rows
    ]
    assert ours == released
    assert len({row["id"] for row in rows}) == 11820
    assert sum(row["id"].endswith("#2") for row in rows) == 4


def test_chemprot_with_our_sentences(records: Any, data: Path, corpora: Any) -> None:
    counts = [labels(records["chemprot", split], CPR) for split in SPLITS]
    assert [row[:5] for row in counts] == [
        [768, 2251, 173, 235, 727],
        [550, 1094, 116, 199, 457],
        [665, 1661, 195, 293, 644],
    ]
    for row, negatives in zip(counts, (15306, 9404, 13485), strict=True):
        assert 0 < row[5] / negatives - 1 < 0.05
    source = Source(data / "chemprot")
    for split, part in zip(SPLITS, ("training", "development", "test"), strict=True):
        (table,) = source.find(f"chemprot_{part}_gold_standard.tsv")
        gold = [line.split("\t") for _, line in source.lines(table)]
        names = {f"{pmid}.{one.removeprefix('Arg1:')}.{other.removeprefix('Arg2:')}" for pmid, _, one, other in gold}
        lost = names - {row["id"] for row in records["chemprot", split] if row["label"] != "false"}
        across = {"16437532.T11.T40", "16437532.T12.T40", "16437532.T15.T40"}  # "… disease.The drugs …"
        assert lost == (across if split == "train" else set())


def test_hoc_counts(records: Any) -> None:
    expected = {
        "train": (10527, 1108, [458, 148, 164, 213, 262, 560, 239, 595, 723, 346]),
        "dev": (1496, 157, [71, 33, 14, 30, 34, 58, 39, 92, 86, 53]),
        "test": (2896, 315, [138, 45, 35, 52, 70, 150, 80, 145, 184, 119]),
    }
    for split, (sentences, documents, counts) in expected.items():
        rows = records["hoc", split]
        found = Counter(chain.from_iterable(row["labels"] for row in rows))
        assert (len(rows), len({row["doc_id"] for row in rows})) == (sentences, documents)
        assert [found[label] for label in LABELS] == counts


def test_hoc_documents_have_the_labels_of_the_released_split(records: Any, data: Path) -> None:
    ours: dict[str, set[str]] = {}
    for row in records["hoc", "dev"]:
        ours.setdefault(row["doc_id"], set()).update(row["labels"])
    assert ours == {row["pmid"]: set(row["labels"].split(";")) for row in blue(data / "hoc/blue_format/dev.tsv")}


def test_hoc_split_is_known_without_the_lists(records: Any, data: Path, corpora: Any) -> None:
    alone = corpora.read("HoC", data / "hoc/HoC.zip")
    assert [row for _, _, row in alone] == list(chain.from_iterable(records["hoc", split] for split in SPLITS))


def test_biosses_is_the_released_split(records: Any, data: Path, corpora: Any) -> None:
    table = corpora.read("Biosses", data / "biosses/biosses.tsv")
    for split in SPLITS:
        released = blue(data / f"biosses/blue_format/{split}.tsv")
        rows = records["biosses", split]
        assert rows == [row for task, found, row in table if (task, found) == ("biosses", split)]
        assert [(row["id"], row["text_a"], row["text_b"], row["score"]) for row in rows] == [
            (row["index"], " ".join(row["sentence1"].split()), " ".join(row["sentence2"].split()), float(row["score"]))
            for row in released
        ]


def test_every_record_is_valid(records: Any) -> None:
    for (task, split), rows in records.items():
        assert len({row["id"] for row in rows}) == len(rows), (task, split)
        for row in rows:
            for entity in row.get("entities", ()):
                assert row["text"][entity["start"] : entity["end"]] == entity["text"]
            if task == "chemprot":
                assert tiny.masked(task, row).isascii()
