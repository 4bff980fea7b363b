"""CoNLL columns and delimited tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, conll, delimited

SAMPLE = """-DOCSTART- -X- O O

EU NNP B-NP I-ORG
rejects VBZ B-VP O
# NN I-NP O

-DOCSTART- -X- O O

Peter NNP B-NP S-PER
"""


def read(tmp_path: Path, content: str, **options: int) -> list[conll.Sentence]:
    (tmp_path / "x.tsv").write_bytes(content.encode())
    return list(conll.read_sentences(tmp_path / "x.tsv", **options))


def test_many_columns_and_document_marks(tmp_path: Path) -> None:
    first, second = read(tmp_path, SAMPLE)
    assert (first.document, first.line, first.tokens) == ("1", 3, ("EU", "rejects", "#"))
    assert first.tags == ("B-ORG", "O", "O")
    assert first.rows[0] == ("EU", "NNP", "B-NP", "I-ORG")
    assert (second.document, second.tags) == ("2", ("B-PER",))
    assert read(tmp_path, SAMPLE, tag=2)[0].tags == ("B-NP", "B-VP", "B-NP")


def test_comments_and_named_documents(tmp_path: Path) -> None:
    content = "# newdoc id = d1\n# text = a # b\na\tO\n# in between\n#\tB\n\n###MEDLINE:95\nc\tI\n\n\n\nd\tO"
    found = [(s.document, s.tokens, s.tags) for s in read(tmp_path, content)]
    assert found == [("d1", ("a", "#"), ("O", "B")), ("MEDLINE:95", ("c",), ("B",)), ("MEDLINE:95", ("d",), ("O",))]


def test_crlf_and_bom(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + SAMPLE.replace("\n", "\r\n")) == read(tmp_path, SAMPLE)


def test_documents_from_sentences(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("heart\tB-D\nache\tI-D\n\nit\tO\nhurts\tB-S\n")
    (document,) = conll.read(tmp_path / "x.tsv")
    mentions = (Mention("T0", "D", ((0, 10),), "heart ache"), Mention("T1", "S", ((14, 19),), "hurts"))
    assert document == Document("1", "heart ache\nit hurts", (), mentions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\n", r"x.tsv:2: 1 column\(s\), expected 2 as in the rows before"),
        ("a\n", r"x.tsv:1: 1 column\(s\), expected at least a token and a tag"),
        ("a\tO\nb\tO\tO\n", r"x.tsv:2: 3 column"),
        ("a\tX-1\n", r"x.tsv:1: tag 'X-1', expected O or B-"),
        ("a\tB-\n", r"x.tsv:1: tag 'B-'"),
        ("\tO\n", r"x.tsv:1: an empty token"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_no_such_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x.tsv:1: column 5 of 2, columns count from 0"):
        read(tmp_path, "a\tO\n", tag=5)


def test_what_conll_cannot_hold(tmp_path: Path) -> None:
    for document, message in (
        (Document("a", "x", (), (Mention("T1", "two words", ((0, 1),), "x"),)), "type 'two words'"),
        (Document("a\nb", "x"), "document id"),
        (Document("a", "x  y", (), (Mention("T1", "z", ((1, 3),), "  "),)), "mention T1 .* covers no token"),
    ):
        with pytest.raises(InputError, match=message):
            conll.write([document], tmp_path / "out.tsv")
    with pytest.raises(InputError, match="-DOCSTART-"):
        conll.write_sentences([conll.Sentence("d", 0, (), (), (("-DOCSTART-", "O"),))], tmp_path / "out.tsv")


def test_real_iob_files_survive(shared: Path, tmp_path: Path) -> None:
    content = gzip.decompress((shared / "data/ner_extra/BC5CDR-disease-IOB/test.tsv.gz").read_bytes())
    (tmp_path / "x.tsv").write_bytes(content)
    sentences = list(conll.read_sentences(tmp_path / "x.tsv"))
    assert len(sentences) == 4797
    assert sum(tag == "B-Disease" for sentence in sentences for tag in sentence.tags) == 4424
    conll.write_sentences(sentences, tmp_path / "y.tsv")
    assert [s.rows for s in conll.read_sentences(tmp_path / "y.tsv")] == [s.rows for s in sentences]


# Delimited tables


def rows(tmp_path: Path, content: str, name: str = "x.csv", **options: object) -> list[tuple[int, dict[str, str]]]:
    (tmp_path / name).write_bytes(content.encode())
    return [(row.line, row.values) for row in delimited.read_rows(tmp_path / name, **options)]


def test_csv_with_quotes_line_ends_and_blank_lines(tmp_path: Path) -> None:
    content = 'id,text\r\n1,"a ""b"", c\r\nd"\r\n\r\n2,plain\r\n'
    assert rows(tmp_path, content) == [(2, {"id": "1", "text": 'a "b", c\r\nd'}), (5, {"id": "2", "text": "plain"})]


def test_line_ends_of_a_cell_are_the_text_s_own(tmp_path: Path) -> None:
    """As in Python's csv, whose writer ends rows with CR LF; offsets of mentions count every character."""
    for end in ("\n", "\r\n"):
        for cell in ("a\r\nb", "a\nb"):
            content = f'id,text{end}1,"{cell}"{end}2,c{end}'
            assert rows(tmp_path, content) == [(2, {"id": "1", "text": cell}), (4, {"id": "2", "text": "c"})]


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    assert rows(tmp_path, 'id\ttext\n1\t"a" b\n', "x.tsv") == [(2, {"id": "1", "text": '"a" b'})]
    assert rows(tmp_path, 'id\ttext\n1\t"a\tb"\n', "x.tsv", quoted=True) == [(2, {"id": "1", "text": "a\tb"})]


def test_no_header_and_another_delimiter(tmp_path: Path) -> None:
    found = rows(tmp_path, "1;a\n2;b\n", header=False, delimiter=";")
    assert found == [(1, {"0": "1", "1": "a"}), (2, {"0": "2", "1": "b"})]


def test_long_fields(tmp_path: Path) -> None:
    assert len(rows(tmp_path, f'id,text\n1,"{"x" * 200_000}"\n')[0][1]["text"]) == 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2,3\n", r"x.csv:2: 3 column\(s\), expected 2 as in the first row"),
        ("a,b\n1\n", r"x.csv:2: 1 column"),
        ("a,a\n1,2\n", r"x.csv:1: two columns named 'a'"),
        ('a,b\n1,2\n1,"2\n', r"x.csv:3: broken quotes"),
        ('a,b\n1,"2"x\n', r"x.csv:2: broken quotes"),
        ("a,b\n1,\0\n", r"x.csv:2: a NUL byte"),
    ],
)
def test_bad_tables_name_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(tmp_path, content)


def test_what_a_plain_table_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"field 'a\\tb', expected fields that fit \(row 1\)"):
        delimited.write_rows([{"x": "a\tb"}], tmp_path / "y.tsv", ("x",))
    with pytest.raises(InputError, match="row 1 without 'z'"):
        delimited.write_rows([{"x": "a"}], tmp_path / "y.tsv", ("x", "z"))
    assert not (tmp_path / "y.tsv").exists()
