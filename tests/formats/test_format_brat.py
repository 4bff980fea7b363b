from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation, brat

TEXT = "Left and right\r\natrium bind β."
ANN = """T1\tOrgan 0 4;16 22\tLeft atrium
T2\tOrgan 9 22\tright atrium
T3\tVerb 23 27\tbind
R1\tPartOf Arg1:T1 Arg2:T2
E1\tBinding:T3 Theme:T1 Theme2:T2
*\tEquiv T1 T2
A1\tNegation E1
M1\tSure T1 yes
N1\tReference T2 FMA:7099\tatrium
N2\tReference T2 X:1
#1\tAnnotatorNotes R1\tsee also: nothing
#2\tComment T3\tone\ttwo
"""


def put(folder: Path, ann: str, text: str | bytes = TEXT, name: str = "a") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / f"{name}.ann").write_bytes(ann.encode())
    return folder


def test_sample(tmp_path: Path) -> None:
    ann = ANN.replace("9 22\tright atrium", "9 22\tright  atrium")  # CR and LF are two blanks
    (document,) = brat.read(put(tmp_path / "in", ann))
    assert document == Document(
        "a",
        TEXT,
        (),
        (
            Mention("T1", "Organ", ((0, 4), (16, 22)), "Left atrium", (), (("Sure", "yes"),)),
            Mention("T2", "Organ", ((9, 22),), "right\r\natrium", ("FMA:7099", "X:1"), (("N:FMA:7099", "atrium"),)),
            Mention("T3", "Verb", ((23, 27),), "bind", (), (("Comment", "one\ttwo"),)),
        ),
        (
            Relation("R1", "PartOf", (("Arg1", "T1"), ("Arg2", "T2")), (("AnnotatorNotes", "see also: nothing"),)),
            Relation("E1", "Binding", (("trigger", "T3"), ("Theme", "T1"), ("Theme2", "T2")), (("Negation", ""),)),
            Relation("*1", "Equiv", (("", "T1"), ("", "T2"))),
        ),
    )
    brat.write([document], tmp_path / "out")
    (again,) = brat.read(tmp_path / "out")
    assert again.relations == document.relations
    assert again.mentions[:2] == document.mentions[:2]


def test_what_is_read_is_written_and_read_again(tmp_path: Path) -> None:
    """The names of identifiers are written first, wherever they were."""
    ann = ANN.replace("one\ttwo", "one two").replace("right atrium\n", "right  atrium\n", 1)
    late = "M2\tSure T2 no\nN3\tReference T2 Y:2\tatrium\n"
    documents = list(brat.read(put(tmp_path / "in", ann + late)))
    brat.write(documents, tmp_path / "out")
    assert list(brat.read(tmp_path / "out")) == documents


def test_folders_and_single_files(tmp_path: Path) -> None:
    put(tmp_path / "in", "", "x", "b.1")
    put(tmp_path / "in" / "deep", "", "y", "c")
    (tmp_path / "in" / "d.txt").write_text("z")
    assert [document.id for document in brat.read(tmp_path / "in")] == ["b.1", "d", "deep/c"]
    assert next(brat.read(tmp_path / "in/b.1.txt")).text == "x"
    assert next(brat.read(tmp_path / "in/b.1.ann")).id == "b.1"
    brat.write(brat.read(tmp_path / "in"), tmp_path / "out")
    assert [document.text for document in brat.read(tmp_path / "out")] == ["x", "z", "y"]


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        ("T1\tX 0 99\tLeft", r"a.ann:1: mention T1 at 0-99 of a text of 30 characters"),
        ("T1\tX 0 4;5 2\tLeft", r"a.ann:1: mention T1 at 5-2"),
        ("T1\tX 0 4\tRight", r"a.ann:1: mention T1 'Right', expected 'Left' as in the text"),
        ("T1\tX 0\tLeft", r"a.ann:1: '' for an offset"),
        ("T1\tX 0 4 5\tLeft", r"a.ann:1: '4 5' for an offset"),
        ("T1 X 0 4 Left", r"a.ann:1: 'T1 X 0 4 Left', expected a line of brat"),
        ("T1\tX 0 4\tLeft\nT1\tX 0 4\tLeft", r"a.ann:2: a second 'T1'"),
        ("R1\tX Arg1:T1 Arg2:T2", r"a.ann:1: reference to 'T1'"),
        ("T1\tX 0 4\tLeft\nR1\tX Arg1:T1 T1", r"a.ann:2: 'X Arg1:T1 T1', expected 'Type Arg1"),
        ("T1\tX 0 4\tLeft\nE1\tX Arg1:T1", r"a.ann:2: 'X Arg1:T1'"),
        ("A1\tX T9", r"a.ann:1: reference to 'T9'"),
        ("T1\tX 0 4\tLeft\nA1\tX T1 two words", r"a.ann:2: 'A1"),
        ("#1\tAnnotatorNotes A1\tno", r"a.ann:1: reference to 'A1'"),
        ("Z1\twhat", r"a.ann:1: 'Z1"),
        ("*", r"a.ann:1: '\*', expected a line of brat"),
    ],
)
def test_bad_annotations_name_file_and_line(tmp_path: Path, ann: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(brat.read(put(tmp_path / "in", ann)))


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"a\nb\xff", r"a.txt:2: byte 0xff is not UTF-8"), (b"a\nb\nc\0", r"a.txt:3: a NUL byte")],
)
def test_bad_texts(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(brat.read(put(tmp_path / "in", "", text)))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x.txt: can't be read"):
        list(brat.read(tmp_path / "x.ann"))
    with pytest.raises(InputError, match=r"no .txt file"):
        list(brat.read(tmp_path))
    (tmp_path / "y.ann").touch()
    with pytest.raises(InputError, match=r"y.txt: can't be read .*put .txt and .ann together"):
        list(brat.read(tmp_path))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a//b", "a\\b", "", ".", "a\nb", "c:x", "x" * 300, ".hidden"])
def test_an_id_that_is_not_a_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="document id"):
        brat.write([Document(name, "x")], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_brat_cannot_hold(tmp_path: Path) -> None:
    for document, message in (
        (Document("a", "x", (), (Mention("T1", "two words", ((0, 1),), "x"),)), "expected a single word"),
        (
            Document("a", "x", (), (Mention("T1", "y", ((0, 1),), "x"),), (Relation("R1", "CPR:3", (("a", "T1"),)),)),
            "'CPR:3', expected a single word without a colon",
        ),
        (Document("a", "x", (), (), (Relation("R0", "CID", (("a", "D1"), ("b", "D2"))),)), "between 'D1' and others"),
    ):
        with pytest.raises(InputError, match=message):
            brat.write([document], tmp_path / "out")
    with pytest.raises(InputError, match="a second document 'A'"):
        brat.write([Document("a", "x"), Document("A", "y")], tmp_path / "out")


def test_other_ids_are_renumbered(tmp_path: Path) -> None:
    mentions = (Mention("7", "X", ((0, 1),), "x"), Mention("8", "Y", ((0, 1),), "x"))
    relation = Relation("r", "Z", (("Arg1", "8"), ("Arg2", "7")))
    brat.write([Document("a", "x", (), mentions, (relation,))], tmp_path / "out")
    lines = "T1\tX 0 1\tx\nT2\tY 0 1\tx\n"
    assert (tmp_path / "out/a.ann").read_text() == lines + "R1\tZ Arg1:T2 Arg2:T1\n"
    same = replace(relation, id="8")  # a mention's, too, as in BioC
    brat.write([Document("a", "x", (), mentions, (same,))], tmp_path / "same")
    assert (tmp_path / "same/a.ann").read_text() == lines + "R1\tZ Arg1:T2 Arg2:T1\n"
    doubled = tuple(replace(mention, id="7") for mention in mentions)
    brat.write([Document("a", "x", (), doubled)], tmp_path / "doubled")
    assert (tmp_path / "doubled/a.ann").read_text() == lines
    with pytest.raises(InputError, match="document a: a relation of '7', the id of two mentions, expected one"):
        brat.write([Document("a", "x", (), doubled, (relation,))], tmp_path / "never")
