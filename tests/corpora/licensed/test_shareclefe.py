"""ShARe/CLEF eHealth 2013 task 1: invented notes in the distributed layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.shareclefe import ShareClefe, clean
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare.prepare import prepare

NOTE = """00001||||12345||||NOTE
Admitted by Dr. [**Last Name (STitle) 12**] for chest pain.

The left and right atrium are dilated.
___ No fever today.
"""
TRAIN, TEST = "Task1TrainSetCorpus199/ALLREPORTS", "Task1TestSetCorpus100/ALLREPORTS"
TRAIN_GOLD, TEST_GOLD = "Task1TrainSetGOLD199knowtatorehost", "Task1Gold_SN2012/Gold_SN2012"


def line(note: str, cui: str, *pieces: str) -> str:
    spans = [str(n) for piece in pieces for n in (NOTE.index(piece), NOTE.index(piece) + len(piece))]
    return "||".join((f"{note}.txt", "Disease_Disorder", cui, *spans)) + "\n"


def xml(note: str, *mentions: tuple[str, list[str]]) -> str:
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<annotations textSource="{note}.txt">\n']
    for i, (kind, pieces) in enumerate(mentions):
        spans = "".join(f'<span start="{NOTE.index(p)}" end="{NOTE.index(p) + len(p)}" />' for p in pieces)
        parts.append(f'<annotation><mention id="M{i}" /><annotator id="x">x</annotator>{spans}</annotation>\n')
        parts.append(f'<classMention id="M{i}"><mentionClass id="{kind}">{kind}</mentionClass></classMention>\n')
    return "".join((*parts, "</annotations>\n"))


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, newline="")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    for i in range(5):
        put(root, f"{TRAIN}/{i:05}-note.txt", NOTE)
        marked = [
            ("Disease_Disorder", ["chest pain"]),
            ("Anatomy", ["atrium"]),
            ("Disease_Disorder", ["left", "dilated"]),
        ]
        put(root, f"{TRAIN_GOLD}/{i:05}-note.txt.knowtator.xml", xml(f"{i:05}-note", *marked))
    put(root, f"{TEST}/00009-note.txt", NOTE)
    gold = line("00009-note", "C0008031", "chest pain") + line("00009-note", "CUI-less", "left", "atrium", "dilated")
    put(root, f"{TEST_GOLD}/gold.pipe", gold + line("00009-note", "C0015967", "fever"))
    return root


def read(root: Path, **options: object) -> list[tuple[str, str, dict]]:
    return list(ShareClefe().read(Source(root), ["shareclefe"], ReadOptions(**options)))


def tagged(rows: list[tuple[str, str, dict]], document: str) -> str:
    words = [
        f"{token}/{tag.replace('-Disease', '')}"
        for _, _, record in rows
        if record["doc_id"] == document
        for token, tag in zip(record["tokens"], record["tags"], strict=True)
        if tag != "O"
    ]
    return " ".join(words)


def test_keep_treats_disjoint_mentions_as_blue_does(corpus: Path) -> None:
    rows = read(corpus)
    assert tagged(rows, "00009-note") == "chest/B pain/I left/B atrium/I dilated/I fever/B"
    assert tagged(rows, "00000-note") == "chest/B pain/I left/B dilated/I"


def test_flatten_makes_one_chunk_of_a_disjoint_mention(corpus: Path) -> None:
    expected = "chest/B pain/I left/B and/I right/I atrium/I are/I dilated/I fever/B"
    assert tagged(read(corpus, mentions="flatten"), "00009-note") == expected


def test_refuse_names_file_and_mention(corpus: Path) -> None:
    with pytest.raises(InputError, match=r"knowtator.xml: document .*mention T1 'left dilated' is discontinuous"):
        read(corpus, mentions="refuse")


def test_records_have_the_counts_of_their_document(corpus: Path) -> None:
    cases: Counter[str] = Counter()
    for _, split, record in read(corpus):
        if split == "test":
            cases.update(record.cases)
    assert cases["mentions"] == 3
    assert cases["discontinuous"] == 1


def test_offsets_are_those_of_the_note(corpus: Path) -> None:
    shown = clean(NOTE)
    assert len(shown) == len(NOTE)
    for _, _, record in read(corpus):
        for token, (start, end) in zip(record["tokens"], record["offsets"], strict=True):
            assert shown[start:end] == token
        assert record["id"] == f"{record['doc_id']}.{record['offsets'][0][0]}"


def test_deidentified_names_and_horizontal_rules() -> None:
    assert clean("a [**Hospital 1**] b") == "a " + " " * 9 + "PATTERN b"
    assert clean("x||||y___z~~") == "x    y   z  "
    assert clean("[****]") == "ATTERN"


def test_no_sentence_crosses_a_blank_line(corpus: Path) -> None:
    texts = [" ".join(record["tokens"]) for _, _, record in read(corpus) if record["doc_id"] == "00009-note"]
    assert texts[-2:] == ["The left and right atrium are dilated .", "No fever today ."]


def test_splits(corpus: Path) -> None:
    found = {split: {r["doc_id"] for _, s, r in read(corpus) if s == split} for split in ("train", "dev", "test")}
    assert [len(found[split]) for split in ("train", "dev", "test")] == [4, 1, 1]
    put(corpus, "dev_docids.txt", "00001-note.txt\n00002-note\n")
    assert {r["doc_id"] for _, split, r in read(corpus) if split == "dev"} == {"00001-note", "00002-note"}
    put(corpus, "dev_docids.txt", "00001-nope\n")
    with pytest.raises(InputError, match=r"dev_docids.txt:1: unknown note '00001-nope', did you mean '00001-note'"):
        read(corpus)


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ("00009-note.txt||Disease_Disorder||C1||10\n", r"gold.pipe:1: 4 column"),
        ("\n00009-note.txt||Disease_Disorder||C1||10||20||30\n", r"gold.pipe:2: 6 column"),
        ("00009-note.txt||Disease_Disorder||C1||10||2x\n", r"gold.pipe:1: '2x' for an offset"),
        ("00009-note.txt||Disease_Disorder||C1||10||9999\n", r"gold.pipe:1: mention .* at 10-9999 of a text"),
        ("00009-note.txt||Disease_Disorder||C1||10||10\n", r"gold.pipe:1: mention .* at 10-10"),
        ("00008-note.txt||Disease_Disorder||C1||10||20\n", r"gold.pipe:1: note '00008-note', expected a note"),
    ],
)
def test_bad_gold_names_file_and_line(corpus: Path, gold: str, message: str) -> None:
    put(corpus, f"{TEST_GOLD}/gold.pipe", gold)
    with pytest.raises(InputError, match=message):
        read(corpus)


def test_missing_parts(corpus: Path) -> None:
    (corpus / f"{TEST_GOLD}/gold.pipe").unlink()
    with pytest.raises(InputError, match="no gold annotations for the test part"):
        read(corpus)


def test_detection(corpus: Path, tmp_path: Path) -> None:
    assert ShareClefe().detect(Source(corpus)) == ("shareclefe",)
    put(tmp_path, "other/notes/x.txt", "x")
    assert ShareClefe().detect(Source(tmp_path / "other")) == ()


def test_prepare_accepts_its_records(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert [task.task for task in report.tasks] == ["shareclefe"]
