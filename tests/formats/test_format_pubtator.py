from __future__ import annotations

from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Passage, Relation, bioc, pubtator

SAMPLE = """7|t|Aspirin for |t|headache
7|a|It|a|helps.
7\t0\t7\tAspirin\tChemical\tD001241
7\t15\t23\theadache\tDisease\tD006261|D000001\thead ache|ache
7\tCID\tD001241\tD006261

8|t|Nothing.
8|a|
8\t0\t7\tNothing\tThing
8\tAssociation\tA\tB\tNovel"""


def read(tmp_path: Path, content: str | bytes) -> list[Document]:
    path = tmp_path / "x.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(pubtator.read(path))


def test_sample(tmp_path: Path) -> None:
    first, second = read(tmp_path, SAMPLE)
    assert first == Document(
        "7",
        "Aspirin for |t|headache It|a|helps.",
        (Passage("title", 0, 23), Passage("abstract", 24, 35)),
        (
            Mention("T0", "Chemical", ((0, 7),), "Aspirin", ("D001241",)),
            Mention("T1", "Disease", ((15, 23),), "headache", ("D006261", "D000001"), (("names", "head ache|ache"),)),
        ),
        (Relation("R0", "CID", (("arg1", "D001241"), ("arg2", "D006261"))),),
    )
    assert second.text == "Nothing. "
    assert second.mentions[0].identifiers == ()
    assert second.relations[0].attributes == (("note", "Novel"),)


@pytest.mark.parametrize("change", [lambda s: s.replace("\n", "\r\n"), lambda s: "\ufeff" + s, lambda s: s + "\n\n\n"])
def test_line_ends_bom_and_blank_lines_change_nothing(tmp_path: Path, change) -> None:
    assert read(tmp_path, change(SAMPLE)) == read(tmp_path, SAMPLE)


def test_title_alone(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "7|t|Title\n")
    assert (document.text, document.passages) == ("Title", (Passage("title", 0, 5),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("7|t|ab\n7|a|c\n7\t0\t9\tab\tX\tY\n", r"x.txt:3: mention T0 at 0-9 of a text of 4 characters"),
        ("7|t|ab\n7|a|c\n7\t1\t1\t\tX\tY\n", r"x.txt:3: mention T0 at 1-1"),
        ("7|t|ab\n7|a|c\n7\t0\t2\tax\tX\tY\n", r"x.txt:3: mention T0 'ax', expected 'ab' as in the text, check the"),
        ("7|t|ab\n7|a|c\n7\t-1\t2\tab\tX\tY\n", r"x.txt:3: '-1' for an offset"),
        ("7|t|ab\n7|a|c\n7\t٣\t2\tab\tX\tY\n", r"x.txt:3: '٣' for an offset"),
        ("7|t|ab\n7|a|c\n7\t0\n", r"x.txt:3: 2 tab-separated column"),
        ("7|t|ab\n7|a|c\n7 0 2 ab X Y\n", r"x.txt:3: a line of document '7 0 2 ab X Y' inside '7'"),
        ("7|t|ab\n7|a|c\n8\t0\t2\tab\tX\tY\n", r"x.txt:3: a line of document '8' inside '7', separate documents"),
        ("7|t|ab\n7|a|c\n8|t|ab\n", r"x.txt:3: a second \|t\| line"),
        ("7\t0\t2\tab\tX\tY\n", r"x.txt:1: a block without text"),
        (b"7|t|\xff\n", r"x.txt:1: byte 0xff at column 5 is not UTF-8"),
        (b"7|t|a\n7|a|\0\n", r"x.txt:2: a NUL byte"),
        ("7|t|\ud800".encode("utf-8", "surrogatepass"), r"x.txt:1: byte 0xed"),
        (b"7|t|" + b"x" * 40_000_000, r"x.txt:1: a line of over 33,554,432 bytes"),
    ],
    ids=range(14),
)  # fmt: skip
def test_bad_input_names_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("7", "abc", (), (Mention("T1", "X", ((0, 1), (2, 3)), "a c"),)), "mention T1 .* has 2 pieces"),
        (Document("7|8", "abc"), "document id '7|8'"),
        (Document(" ", "abc"), "document id"),
        (Document("7", "abc", (), (Mention("T1", "X\tY", ((0, 1),), "a"),)), "holds a tab"),
        (Document("7", "abc", (), (Mention("T1", "X", ((0, 9),), "a"),)), "at 0-9 of a text of 3"),
        (Document("7", "a\0c"), r"character U\+0000"),
        (Document("7", "abc", (), (), (Relation("R1", "X", (("a", "b"),)),)), "relation R1 .* has 1 arguments"),
    ],
)
def test_what_the_format_cannot_hold(tmp_path: Path, document: Document, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pubtator.write([document], tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_written_text_keeps_its_offsets(tmp_path: Path) -> None:
    text = "First\tline\nsecond\r\nline"
    mention = Mention("a", "X", ((0, 10),), "First\tline", ("D1",))
    relation = Relation("r", "Y", (("s", "a"), ("t", "a")))
    pubtator.write([Document("7", text, (), (mention,), (relation,))], tmp_path / "out.txt")
    content = (tmp_path / "out.txt").read_text()
    assert content == "7|t|First line\n7|a|second  line\n7\t0\t10\tFirst line\tX\tD1\n7\tY\tD1\tD1\n"
    with pytest.raises(InputError, match="already exists"):
        pubtator.write([], tmp_path / "out.txt")


def test_real_files_survive_a_round_trip(shared: Path, tmp_path: Path) -> None:
    source = shared / "data/bc5cdr/CDR_TestSet.PubTator.txt"
    documents = list(pubtator.read(source))
    assert (len(documents), sum(len(document.mentions) for document in documents)) == (500, 5385 + 4424)
    pubtator.write(documents, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().strip() == source.read_text().strip()


@pytest.mark.parametrize("name", ["bioc.xml", "bioc.json"])
def test_real_files_survive_a_detour_through_bioc(shared: Path, tmp_path: Path, name: str) -> None:
    documents = list(pubtator.read(shared / "data/bc5cdr/CDR_TestSet.PubTator.txt"))
    assert sum(len(document.relations) for document in documents) == 1066
    bioc.write(documents, tmp_path / name)
    assert list(bioc.read(tmp_path / name)) == documents
