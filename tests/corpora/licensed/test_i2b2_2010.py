"""i2b2 2010: invented notes in the challenge's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from biomtl.corpora import i2b2_2010
from biomtl.corpora.i2b2_2010 import I2b22010
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare.prepare import prepare

TRAIN = "concept_assertion_relation_training_data"
TEXT = """Admission note :
 He took Aspirin for a mild headache , then the headache returned .
An  MRI showed nothing .
"""
CON = """c="aspirin" 2:3 2:3||t="treatment"
c="a mild headache" 2:5 2:7||t="problem"
c="the headache" 2:10 2:11||t="problem"
c="an mri" 3:0 3:1||t="test"
"""
REL = """c="aspirin" 2:3 2:3||r="TrAP"||c="a mild headache" 2:5 2:7
c="a mild headache" 2:5 2:7||r="PIP"||c="the headache" 2:10 2:11
c="aspirin" 2:3 2:3||r="TrIP"||c="a mild headache" 2:5 2:7
"""


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
    return path


def document(root: Path, part: str, name: str, text: str = TEXT, con: str = CON, rel: str = REL) -> None:
    for folder, suffix, content in (
        ("txt", "txt", text),
        ("concept", "con", con),
        ("rel", "rel", rel),
        ("ast", "ast", "x"),
    ):
        put(root, f"{part}/{folder}/{name}.{suffix}", content)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    for i in range(3):
        document(root, f"{TRAIN}/beth", f"record-{i}")
    document(root, f"{TRAIN}/partners", "1234_XX")
    put(root, "test_data/0001.txt", TEXT)
    put(root, "reference_standard_for_test_data/concepts/0001.con", CON)
    put(root, "reference_standard_for_test_data/rel/0001.rel", "")
    put(root, "reference_standard_for_test_data/ast/0001.ast", "x")
    return root


def read(root: Path, **options: int) -> list[tuple[str, str, dict]]:
    return list(I2b22010().read(Source(root), ["i2b2-2010"], ReadOptions(**options)))


def test_pairs_labels_and_masks(corpus: Path) -> None:
    rows = [(r["id"], r["label"], tiny.masked("i2b2-2010", r)) for _, _, r in read(corpus) if r["doc_id"] == "record-0"]
    start, near, far = " He took @treatment$ for ", "@problem$ , then the headache returned .", "@problem$ returned ."
    assert rows == [
        ("record-0.record-0.con.l0.record-0.con.l1", "TrAP", start + near),
        ("record-0.record-0.con.l0.record-0.con.l1#2", "TrIP", start + near),
        ("record-0.record-0.con.l0.record-0.con.l2", "false", f"{start}a mild headache , then {far}"),
        ("record-0.record-0.con.l1.record-0.con.l2", "PIP", f" He took Aspirin for @problem$ , then {far}"),
    ]


def test_entity_offsets_match_their_text(corpus: Path) -> None:
    for _, _, record in read(corpus):
        assert len(record["entities"]) == 2
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]


def test_splits_and_a_sampled_dev_document(corpus: Path) -> None:
    splits: dict[str, set[str]] = {}
    for task, split, record in read(corpus):
        assert task == "i2b2-2010"
        splits.setdefault(split, set()).add(record["doc_id"])
    assert splits["test"] == {"0001"}
    assert len(splits["dev"]) == 1
    assert splits["train"] | splits["dev"] == {"record-0", "record-1", "record-2", "1234_XX"}
    assert {r["label"] for _, split, r in read(corpus) if split == "test"} == {"false"}


def test_the_sample_depends_only_on_the_seed(corpus: Path) -> None:
    def dev(seed: int) -> set[str]:
        return {record["doc_id"] for _, split, record in read(corpus, seed=seed) if split == "dev"}

    assert dev(0) == dev(0)
    assert len({frozenset(dev(seed)) for seed in range(12)}) > 1


def test_dev_list(corpus: Path) -> None:
    put(corpus, "dev_docids.txt", "record-1\r\n1234_XX")
    assert {r["doc_id"] for _, split, r in read(corpus) if split == "dev"} == {"record-1", "1234_XX"}
    put(corpus, "dev_docids.txt", "record-1\nrecord-9\n")
    with pytest.raises(InputError, match=r"dev_docids.txt:2: unknown document 'record-9', did you mean"):
        read(corpus)


def test_blues_dev_document_is_identified_by_its_published_counts(corpus: Path) -> None:
    # 96 pairs (8 TeCP, 2 TrAP, 86 false): 16 lines of four concepts, six pairs each
    lines = [f"t{i} p{i} q{i} r{i}" for i in range(16)]
    con = [
        f'c="{word}{i}" {i + 1}:{at} {i + 1}:{at}||t="{kind}"'
        for i in range(16)
        for at, (word, kind) in enumerate([("t", "test"), ("p", "problem"), ("q", "treatment"), ("r", "problem")])
    ]
    rel = [f'c="t{i}" {i + 1}:0 {i + 1}:0||r="TeCP"||c="p{i}" {i + 1}:1 {i + 1}:1' for i in range(8)]
    rel += [f'c="q{i}" {i + 1}:2 {i + 1}:2||r="TrAP"||c="p{i}" {i + 1}:1 {i + 1}:1' for i in range(2)]
    document(corpus, f"{TRAIN}/beth", "record-77", "\n".join(lines), "\n".join(con), "\n".join(rel))
    assert {r["doc_id"] for _, split, r in read(corpus) if split == "dev"} == {"record-77"}


def test_relation_in_the_other_direction_counts(corpus: Path) -> None:
    rel = 'c="the headache" 2:10 2:11||r="TrAP"||c="aspirin" 2:3 2:3\n'
    document(corpus, f"{TRAIN}/beth", "record-0", rel=rel)
    labels = [record["label"] for _, _, record in read(corpus) if record["doc_id"] == "record-0"]
    assert labels == ["false", "TrAP", "false"]


def test_overlapping_concepts_share_a_placeholder(corpus: Path) -> None:
    con = 'c="a mild headache" 2:5 2:7||t="problem"\nc="headache" 2:7 2:7||t="test"\n'
    document(corpus, f"{TRAIN}/beth", "record-0", con=con, rel="")
    (record,) = [record for _, _, record in read(corpus) if record["doc_id"] == "record-0"]
    assert tiny.masked("i2b2-2010", record) == " He took Aspirin for @problem-test$ , then the headache returned ."


def test_a_concept_over_two_lines_is_checked_and_never_paired(corpus: Path) -> None:
    con = CON + 'c="returned . an mri" 2:12 3:1||t="problem"\n'
    document(corpus, f"{TRAIN}/beth", "record-0", con=con)
    assert len([1 for _, _, record in read(corpus) if record["doc_id"] == "record-0"]) == 4


@pytest.mark.parametrize(
    ("con", "message"),
    [
        ('c="ibuprofen" 2:3 2:3||t="treatment"', r"record-0.con:1: concept 'ibuprofen', expected 'Aspirin'"),
        ('c="aspirin" 2:4 2:4||t="treatment"', r"con:1: concept 'aspirin', expected 'for'"),
        ('c="aspirin" 9:3 9:3||t="treatment"', r"con:1: lines 9 to 9 in a text of 3 lines"),
        ('c="aspirin" 0:3 0:3||t="treatment"', r"con:1: lines 0 to 0"),
        ('c="aspirin" 2:99 2:99||t="treatment"', r"con:1: tokens 2:99 to 2:99, but the lines have 14 tokens"),
        ('c="aspirin" 2:4 2:3||t="treatment"', r"con:1: tokens 2:4 to 2:3"),
        ('c="" 2:0 2:0||t="treatment"', r"con:1: a concept without text"),
        ('c="aspirin" 2:3 2:3||t="treatmnt"', r"con:1: type 'treatmnt', did you mean 'treatment'"),
        ('c="aspirin" 2:3||t="treatment"', r"con:1: .*expected c="),
        pytest.param("x" * 30_000, r"con:1: a line of over 20,000 characters", id="long"),
    ],
)  # fmt: skip
def test_bad_concepts_name_file_and_line(corpus: Path, con: str, message: str) -> None:
    document(corpus, f"{TRAIN}/beth", "record-0", con=con, rel="")
    with pytest.raises(InputError, match=message):
        read(corpus)


@pytest.mark.parametrize(
    ("rel", "message"),
    [
        ('c="aspirin" 2:3 2:3||r="TrXP"||c="a mild headache" 2:5 2:7', r"rel:1: relation 'TrXP', did you mean"),
        ('c="aspirin" 2:3 2:3||r="TrAP"||c="headache" 2:7 2:7', r"rel:1: a relation of 2:7 to 2:7, expected a concept"),
        ("nonsense", r"rel:1: 'nonsense', expected c="),
    ],
)
def test_bad_relations_name_file_and_line(corpus: Path, rel: str, message: str) -> None:
    document(corpus, f"{TRAIN}/beth", "record-0", rel=rel)
    with pytest.raises(InputError, match=message):
        read(corpus)


def test_missing_files(corpus: Path) -> None:
    (corpus / TRAIN / "beth/txt/record-2.txt").unlink()
    with pytest.raises(InputError, match=r"no record-2\.txt"):
        read(corpus)
    document(corpus, f"{TRAIN}/beth", "record-2")
    (corpus / TRAIN / "beth/rel/record-2.rel").unlink()
    with pytest.raises(InputError, match=r"record-2\.con: no record-2\.rel"):
        read(corpus)


def test_crlf_and_bom_change_nothing(corpus: Path) -> None:
    before = read(corpus)
    for path in corpus.rglob("*.*"):
        if path.is_file():
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(corpus) == before


def test_detection(corpus: Path, tmp_path: Path) -> None:
    assert I2b22010().detect(Source(corpus)) == ("i2b2-2010",)
    assert I2b22010().detect(Source(put(tmp_path, "elsewhere/x.con", "").parent)) == ()


def test_prepare_finds_and_writes_the_corpus(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert [task.task for task in report.tasks] == ["i2b2-2010"]
    assert (tmp_path / "out/i2b2-2010/dev.jsonl").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("latest/beth", "train"),
        ("partners", "train"),
        ("test_data", "test"),
        ("reference_standard_for_test_data", "test"),
    ],
)
def test_a_split_is_recognised_by_its_folder(folder: str, part: str) -> None:
    assert i2b2_2010._part(f"{folder}/rel/a.rel") == part
