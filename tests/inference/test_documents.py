"""The format of documents, and the changes that make them fit a format."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation, bioc, brat, pubtator
from biomtl.inference.documents import check_target, read_documents, source_format, target_format, write_documents

TEXT = Document("d", "Pola rimu. Vono pola.")
MENTIONS = (Mention("m1", "two words", ((0, 4),), "Pola"), Mention("m2", "Gene", ((16, 20),), "pola", ("G1",)))
RELATED = Document("d", TEXT.text, (), MENTIONS, (Relation("r", "CPR:3", (("Arg1", "m1"), ("Arg2", "m2"))),))


def test_formats_are_recognised_by_name_and_content(tmp_path: Path) -> None:
    contents = {
        "a.txt": "Pola rimu.",
        "b": "Pola\trimu.",
        "c.txt": "1|t|Pola\n1|a|rimu\n",
        "d.txt": '{"text": "Pola"}\n',
        "e.txt": "",
        "notes/f.txt": "Pola",
        "standoff/deep/g.txt": "Pola",
        "standoff/deep/g.ann": "",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = {name: source_format(tmp_path / name) for name in ("a.txt", "b", "c.txt", "d.txt", "e.txt")}
    assert found == {"a.txt": "text", "b": "text", "c.txt": "pubtator", "d.txt": "jsonl", "e.txt": "text"}
    assert source_format(tmp_path / "notes") == "text"
    assert source_format(tmp_path / "standoff") == source_format(tmp_path / "standoff/deep/g.txt") == "brat"
    assert [document.id for document in read_documents(tmp_path / "standoff", "text")] == ["deep/g"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder of another kind"):
        source_format(tmp_path / "empty")
    with pytest.raises(InputError, match=r"no \.txt file"):
        list(read_documents(tmp_path / "empty", "text"))
    with pytest.raises(InputError, match="can't be read"):
        list(read_documents(tmp_path / "nothing", "text"))
    (tmp_path / "bad.txt").write_bytes(b"Pola\n\xff")
    with pytest.raises(InputError, match=r"bad\.txt:2: byte 0xff is not UTF-8"):
        list(read_documents(tmp_path / "bad.txt", "text"))


@pytest.mark.parametrize(
    ("out", "source", "target"),
    [
        ("out.xml", "text", "bioc"),
        ("out.json", "brat", "bioc"),
        ("out.jsonl", "bioc", "jsonl"),
        ("out.pubtator", "jsonl", "pubtator"),
        ("out.txt", "pubtator", "pubtator"),
        ("out", "text", "brat"),
        ("out", "jsonl", "jsonl"),
        ("v1.2", "brat", "brat"),
    ],
)
def test_the_format_to_write(out: str, source: str, target: str) -> None:
    assert target_format(Path(out), source) == target
    check_target(Path(out), target)


@pytest.mark.parametrize("out", ["out.txt", "out.ann", "out.tsv"])
def test_brat_is_a_folder(out: str) -> None:
    with pytest.raises(InputError, match="a file's name for brat, which is a folder"):
        target_format(Path(out), "text")
    with pytest.raises(InputError, match="a file's name for brat"):
        check_target(Path(out), "brat")


def test_names_that_a_format_has_no_place_for(tmp_path: Path) -> None:
    assert write_documents([RELATED], tmp_path / "brat", "brat") == 1
    (document,) = brat.read(tmp_path / "brat")
    assert [mention.type for mention in document.mentions] == ["two_words", "Gene"]
    assert [(relation.type, relation.arguments) for relation in document.relations] == [
        ("CPR_3", (("Arg1", "T1"), ("Arg2", "T2")))
    ]
    assert write_documents([RELATED], tmp_path / "p.txt", "pubtator") == 1
    (document,) = pubtator.read(tmp_path / "p.txt")
    assert [mention.id for mention in document.mentions] == ["T0", "T1"]
    assert document.relations == (Relation("R0", "CPR:3", (("arg1", "T0"), ("arg2", "G1"))),)
    assert write_documents([RELATED], tmp_path / "b.xml", "bioc") == 1
    (document,) = bioc.read(tmp_path / "b.xml")
    assert (document.mentions, document.relations) == (RELATED.mentions, RELATED.relations)
    with pytest.raises(InputError, match="already exists"):
        write_documents([RELATED], tmp_path / "b.xml", "bioc")


def test_plain_text_for_readers(tmp_path: Path) -> None:
    found = (("task", "drugs"), ("probability", "0.9"))
    mentions = (Mention("T0", "Drug", ((0, 3), (7, 9)), "ace x", (), found), Mention("T1", "Gene", ((4, 6),), "B\n"))
    relation = Relation("R0", "slows", (("Arg1", "T0"), ("Arg2", "T1")), (("task", "ddi"),))
    documents = [Document("1", "ace B\n x", mentions=mentions, relations=(relation,)), Document("2", "none")]
    out = tmp_path / "out.txt"
    assert write_documents(documents, out, "text") == 2
    assert out.read_text(encoding="utf-8") == (
        "1\nace B\n x\n0-3;7-9\tDrug\tace x\ttask=drugs, probability=0.9\n4-6\tGene\tB\n"
        "ace x - B\tslows\ttask=ddi\n\n2\nnone\n"
    )
    with pytest.raises(InputError, match="already exists"):
        write_documents(documents, out, "text")


def test_pubtator_has_a_relation_between_concepts_once(tmp_path: Path) -> None:
    spans = {"T1": (0, 1), "T2": (2, 3), "T3": (4, 5), "T4": (6, 7), "T5": (8, 9), "T6": (10, 11)}
    concepts = {"T1": ("D1",), "T2": ("D2",), "T3": ("D2",), "T4": (), "T5": ("-1",), "T6": ("-1",)}
    mentions = tuple(Mention(name, "Drug", (span,), "a", concepts[name]) for name, span in spans.items())
    pairs = [("R1", "T1", "T2"), ("R2", "T1", "T3"), ("R3", "T1", "T4"), ("R4", "T1", "T5"), ("R5", "T1", "T6")]
    relations = tuple(Relation(name, "slows", (("Arg1", one), ("Arg2", two))) for name, one, two in pairs)
    document = Document("1", "a a a a a a", mentions=mentions, relations=relations)
    write_documents([document], tmp_path / "p.txt", "pubtator")
    (read,) = pubtator.read(tmp_path / "p.txt")
    found = [[value for _, value in relation.arguments] for relation in read.relations]
    assert found == [["D1", "D2"], ["D1", "T3"], ["D1", "T4"], ["D1", "T5"]]


@pytest.mark.parametrize("end", ["txt", "pubtator", "xml", "json", "jsonl"])
def test_compressed_documents_are_read_as_plain_ones(tmp_path: Path, end: str) -> None:
    plain = tmp_path / f"plain.{end}"
    document = Document("plain", "Aspirin stops pain.")
    if end == "txt":
        plain.write_text(document.text)
    else:
        write_documents([document], plain, target_format(plain, "text"))
    packed = tmp_path / "packed" / f"plain.{end}.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert source_format(packed) == source_format(plain)
    assert list(read_documents(packed, source_format(packed))) == list(read_documents(plain, source_format(plain)))
    packed.write_bytes(packed.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"plain\.\w+\.gz.*can't be unpacked"):
        list(read_documents(packed, source_format(plain)))


def test_compressed_brat_files(tmp_path: Path) -> None:
    mention = Mention("T1", "Drug", ((0, 7),), "Aspirin")
    documents = [Document(name, "Aspirin stops pain.", mentions=(mention,)) for name in ("a", "b", "c.d")]
    folder = tmp_path / "brat"
    write_documents(documents, folder, "brat")
    expected = list(read_documents(folder, "brat"))
    assert len(expected) == 3
    assert all(document.mentions for document in expected)
    for name in ("a.txt", "a.ann", "b.ann", "c.d.txt"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert source_format(folder) == "brat"
    assert list(read_documents(folder, "brat")) == expected
    for name in ("a.txt.gz", "a.ann.gz", "b.txt", "b.ann.gz"):
        assert source_format(folder / name) == "brat"
        (document,) = read_documents(folder / name, "brat")
        assert (document.id, document.mentions) == (name[0], (mention,))
    packed = folder / "a.txt.gz"
    packed.write_bytes(packed.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"a\.txt\.gz.*can't be unpacked"):
        list(read_documents(folder, "brat"))
