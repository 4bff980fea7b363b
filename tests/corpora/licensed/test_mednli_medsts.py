"""MedNLI and MedSTS: invented pairs in the distributed layouts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from biomtl.corpora.mednli import MedNLI
from biomtl.corpora.medsts import MedSTS
from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare.prepare import prepare


def read(reader: Reader, root: Path, seed: int = 0) -> list[tuple[str, str, dict]]:
    source = Source(root)
    return list(reader.read(source, reader.detect(source), ReadOptions(seed=seed)))


def nli(pair: str, label: str = "neutral", first: str = "He slept.", second: str = "He rested.") -> str:
    return json.dumps(
        {"pairID": pair, "gold_label": label, "sentence1": first, "sentence2": second}, ensure_ascii=False
    )


@pytest.fixture
def mednli(tmp_path: Path) -> Path:
    root = tmp_path / "mednli"
    root.mkdir()
    (root / "mli_train_v1.jsonl").write_text(nli("a") + "\n" + nli("b", "entailment") + "\n")
    (root / "mli_dev_v1.jsonl").write_text(nli("c", "contradiction"))
    (root / "mli_test_v1.jsonl").write_text(nli("d"))
    return root


def test_mednli_rows(mednli: Path) -> None:
    rows = read(MedNLI(), mednli)
    assert [(task, split, record["id"], record["label"]) for task, split, record in rows] == [
        ("mednli", "train", "a", "neutral"),
        ("mednli", "train", "b", "entailment"),
        ("mednli", "dev", "c", "contradiction"),
        ("mednli", "test", "d", "neutral"),
    ]
    assert rows[0][2] == {"id": "a", "doc_id": "a", "label": "neutral", "text_a": "He slept.", "text_b": "He rested."}


def test_mednli_is_normalised_before_it_is_parsed(mednli: Path) -> None:
    line = nli("a", first="5 µg of β-blocker ≥ once") + "\n" + nli("b", first="“quoted” and 3″ cut")
    escaped = nli("e").replace("He slept", "\\u03b2")
    (mednli / "mli_train_v1.jsonl").write_text(line + "\n" + escaped + "\n", encoding="utf-8")
    texts = [record["text_a"] for _, split, record in read(MedNLI(), mednli) if split == "train"]
    assert texts == ["5 mg of b-blocker > once", 'quoted and 3" cut', "β."]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"mli_dev_v1.jsonl:1: not JSON"),
        ("[1]", r"mli_dev_v1.jsonl:1: a JSON list"),
        ('"x"', r"jsonl:1: a JSON str"),
        pytest.param("[" * 100_000, r"jsonl:1: not JSON", id="deep"),
        ('{"pairID": "x"}', r"jsonl:1: no 'sentence1'"),
        (nli("x", "maybe"), r"jsonl:1: gold_label 'maybe'"),
        (nli("x", first="?").replace("?", "\\ud800"), r"jsonl:1: an unpaired surrogate"),
        (nli("x", first="?").replace("?", "\\u0000"), r"jsonl:1: an unpaired surrogate or NUL"),
    ],
)
def test_bad_mednli_names_file_and_line(mednli: Path, line: str, message: str) -> None:
    (mednli / "mli_dev_v1.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read(MedNLI(), mednli)


def test_mednli_with_a_file_missing(mednli: Path) -> None:
    (mednli / "mli_test_v1.jsonl").unlink()
    with pytest.raises(InputError, match=r"no mli_test_v1\.jsonl"):
        read(MedNLI(), mednli)


def sts(root: Path, name: str, rows: list[str]) -> None:
    root.mkdir(exist_ok=True)
    (root / name).write_text("".join(row + "\n" for row in rows))


@pytest.fixture
def medsts(tmp_path: Path) -> Path:
    root = tmp_path / "sts"
    sts(root, "clinicalSTS.train.txt", [f"The patient sat {i}.\tThe patient rose {i}.\t{i % 6}" for i in range(750)])
    sts(root, "clinicalSTS.test.txt", [f"He ate {i}.\tHe drank {i}." for i in range(318)])
    sts(root, "clinicalSTS.test.gs.sim.txt", [f"{i % 11 / 2}" for i in range(318)])
    return root


def test_medsts_has_blues_numbers(medsts: Path) -> None:
    rows = read(MedSTS(), medsts)
    assert Counter(split for _, split, _ in rows) == {"train": 675, "dev": 75, "test": 318}
    assert len({record["id"] for _, _, record in rows}) == 750 + 318
    first = next(record for _, split, record in rows if split == "test")
    assert first == {"id": "test.1", "doc_id": "test.1", "score": 0.0, "text_a": "He ate 0.", "text_b": "He drank 0."}


def test_medsts_dev_is_sampled(medsts: Path) -> None:
    def dev(seed: int) -> list[str]:
        return [record["id"] for _, split, record in read(MedSTS(), medsts, seed) if split == "dev"]

    assert dev(0) == dev(0) != dev(1)


def test_scores_of_the_gold_file_belong_to_their_rows(medsts: Path) -> None:
    for _, split, record in read(MedSTS(), medsts):
        number = int(record["id"].split(".")[1]) - 1
        assert record["score"] == (number % 11 / 2 if split == "test" else number % 6)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("clinicalSTS.train.txt", ["a\tb"], r"train.txt:1: a pair without a score"),
        ("clinicalSTS.train.txt", ["a\tb\tc"], r"train.txt:1: score 'c'"),
        ("clinicalSTS.train.txt", ["a\tb\tnan"], r"train.txt:1: score 'nan'"),
        ("clinicalSTS.train.txt", ["a\tb\t5.5"], r"train.txt:1: score '5.5', expected a number from 0 to 5"),
        ("clinicalSTS.train.txt", ["a b 3"], r"train.txt:1: 1 column"),
        ("clinicalSTS.test.gs.sim.txt", ["1"], r"test.txt:2: a pair without a score, .*the .gs file has too few lines"),
        ("clinicalSTS.test.gs.sim.txt", ["1"] * 400, r"gs.sim.txt: more than 318 gold scores"),
    ],
)
def test_bad_medsts_names_file_and_line(medsts: Path, name: str, rows: list[str], message: str) -> None:
    sts(medsts, name, rows)
    with pytest.raises(InputError, match=message):
        read(MedSTS(), medsts)


def test_blues_own_files_are_not_the_original_tables(tmp_path: Path) -> None:
    sts(tmp_path / "clinicalSTS", "train.tsv", ["index\tsentence"])
    assert MedSTS().detect(Source(tmp_path)) == ()


def test_prepare_finds_both(mednli: Path, medsts: Path, tmp_path: Path) -> None:
    report = prepare(tmp_path, tmp_path / "out")
    assert [task.task for task in report.tasks] == ["medsts", "mednli"]
    assert {line.difference for line in report.lines if line.task == "medsts"} == {0}
