"""What is written reads back equal, for any document that the format can hold."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Passage, Relation, bioc, brat, conll, delimited, jsonl, pubtator
from biomtl.formats.model import covered
from biomtl.text.tags import to_iob2

FEW = settings(max_examples=25, deadline=None)
WORD = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)
# What every format keeps: no NUL, no surrogates, no control characters of XML, no bare CR; blanks of all kinds.
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufeff") | st.sampled_from(
    " \t\nα"
)
TEXT = st.text(CHARACTERS, min_size=1, max_size=40)
LINE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp")), max_size=30)


@st.composite
def documents(
    draw: st.DrawFn, *, pieces: int = 1, related: bool = True, text: st.SearchStrategy[str] = TEXT
) -> Document:
    content = draw(text)
    mentions = []
    for i in range(draw(st.integers(0, 3))):
        cuts = sorted(draw(st.lists(st.integers(0, len(content)), min_size=2, max_size=2 * pieces, unique=True)))
        spans = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        identifiers = tuple(draw(st.lists(WORD, max_size=2)))
        attributes = tuple(draw(st.dictionaries(WORD, WORD, max_size=2)).items())
        mentions.append(Mention(f"T{i}", draw(WORD), spans, covered(content, spans), identifiers, attributes))
    relations = []
    if mentions and related:
        for i in range(draw(st.integers(0, 2))):
            ids = draw(st.lists(st.sampled_from([mention.id for mention in mentions]), min_size=2, max_size=2))
            arguments = tuple(zip(("Arg1", "Arg2"), ids, strict=True))
            relations.append(Relation(f"R{i}", draw(WORD), arguments))
    return Document(draw(WORD), content, (), tuple(mentions), tuple(relations))


def distinct(found: list[Document]) -> list[Document]:
    return [replace(document, id=f"{document.id}.{i}") for i, document in enumerate(found)]


def back(module: object, found: list[Document], name: str) -> list[Document]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        assert module.write(found, path) == len(found)
        return list(module.read(path))


@pytest.mark.parametrize("name", ["out.xml", "out.json"])
@given(st.lists(documents(pieces=3), max_size=3).map(distinct))
@FEW
def test_bioc(name: str, found: list[Document]) -> None:
    assert back(bioc, found, name) == found


@given(documents(pieces=2), st.data())
@FEW
def test_bioc_keeps_passages(document: Document, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(document.text)))
    passages = (Passage("title", 0, cut), Passage("abstract", cut, len(document.text)))
    mentions = tuple(sorted(document.mentions, key=lambda mention: 0 < cut <= mention.start))  # by passage
    document = replace(document, passages=passages, mentions=mentions)
    assert back(bioc, [document], "out.xml") == [document]


JSON = st.none() | st.booleans() | st.integers() | st.text(CHARACTERS)
KEYS = st.text(string.ascii_lowercase, min_size=1).map(lambda name: f"x{name}")


@given(
    st.lists(documents(pieces=3), max_size=3), st.dictionaries(KEYS, JSON | st.lists(JSON), max_size=2), st.integers()
)
@FEW
def test_jsonl(found: list[Document], fields: dict[str, object], number: int) -> None:
    """Everything is kept: passages, repeated attributes, keys of other programs, an id that is a number."""
    several = (("task", "a"), ("task", "b"), ("probability", "1"))
    shaped = [
        replace(
            document,
            passages=(Passage("title", 0, 1), Passage("abstract", 1, len(document.text))),
            mentions=tuple(replace(mention, attributes=several) for mention in document.mentions),
            fields=fields,
        )
        for document in found
    ]
    numbered = Document(str(number), "", fields={"id": number})
    assert back(jsonl, [*shaped, numbered], "out.jsonl") == [*shaped, numbered]


@given(st.lists(documents(pieces=3), min_size=1, max_size=3).map(distinct))
@FEW
def test_brat(found: list[Document]) -> None:
    assert back(brat, found, "out") == sorted(found, key=lambda document: document.id)


@given(documents(pieces=2), st.lists(LINE, min_size=1, max_size=2))
@FEW
def test_brat_keeps_notes_events_and_equivalences(document: Document, notes: list[str]) -> None:
    mentions = tuple(
        replace(mention, attributes=tuple(("AnnotatorNotes", note) for note in notes)) for mention in document.mentions
    )
    relations = ()
    if mentions:
        event = Relation("E1", "Binding", (("trigger", "T0"), ("Theme", "T0")), (("Negation", ""), ("Sure", "no")))
        same = Relation("*1", "Equiv", (("", "T0"), ("", "T0")))
        relations = (event, same, Relation("E2", "Up", (("trigger", "T0"), ("Theme", "E1"))))
    document = replace(document, mentions=mentions, relations=relations)
    assert back(brat, [document], "out") == [document]


ONE_LINE = LINE.filter(lambda text: text.strip() != "")


@given(st.lists(documents(related=False, text=ONE_LINE), max_size=3).map(distinct), st.data())
@FEW
def test_pubtator(found: list[Document], data: st.DataObject) -> None:
    shaped = []
    for document in found:
        gaps = [i for i, c in enumerate(document.text) if c == " "]
        cut = data.draw(st.sampled_from(gaps)) if gaps else len(document.text)
        passages = (Passage("title", 0, cut), Passage("abstract", cut + 1, len(document.text)))
        mentions = tuple(replace(mention, attributes=()) for mention in document.mentions)
        concepts = (Relation("R0", "CID", (("arg1", "D1"), ("arg2", "D2")), (("note", "Novel"),)),)
        shaped.append(replace(document, passages=passages[: 2 if gaps else 1], mentions=mentions, relations=concepts))
    assert back(pubtator, shaped, "out.txt") == shaped


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cn")), min_size=1, max_size=6)


@given(st.lists(st.lists(st.tuples(CELL, CELL, st.sampled_from(("O", "B", "B-x", "I-x"))), min_size=1), min_size=1))
@FEW
def test_conll_sentences(rows: list[list[tuple[str, str, str]]]) -> None:
    found = [conll.Sentence(f"d{i // 2}", 0, (), (), tuple(sentence)) for i, sentence in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.tsv"
        conll.write_sentences(found, path)
        again = list(conll.read_sentences(path))
    assert [(s.document, s.rows) for s in again] == [(s.document, s.rows) for s in found]
    for sentence in again:
        assert sentence.tokens == tuple(row[0] for row in sentence.rows)
        assert sentence.tags == tuple(to_iob2([row[2] for row in sentence.rows]))


@given(st.lists(st.lists(st.tuples(WORD, st.sampled_from(("O", "B-x", "I-x", "B-y"))), min_size=1), min_size=1))
@FEW
def test_conll_documents_keep_their_mentions(rows: list[list[tuple[str, str]]]) -> None:
    rows = [[(word.replace("-", "_"), tag) for word, tag in sentence] for sentence in rows]
    text = "\n".join(" ".join(word for word, _ in sentence) for sentence in rows)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        conll.write_sentences((conll.Sentence("d", 0, (), (), tuple(sentence)) for sentence in rows), first)
        found = list(conll.read(first))
        conll.write(found, second)
        assert list(conll.read(second)) == found
    assert found[0].text == text


FIELD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\ufeff"), max_size=8)


@pytest.mark.parametrize(("name", "plain"), [("out.csv", False), ("out.tsv", True)])
@given(st.lists(st.tuples(FIELD, FIELD.map(lambda cell: f"x{cell}")), max_size=5))
@FEW
def test_delimited(name: str, plain: bool, rows: list[tuple[str, str]]) -> None:
    clean: Callable[[str], str] = lambda cell: "".join(c for c in cell if c not in "\t\n") if plain else cell  # noqa: E731
    values = [{"a": clean(first), "b": clean(second)} for first, second in rows]
    with tempfile.TemporaryDirectory() as folder:
        assert delimited.write_rows(values, Path(folder) / name, ("a", "b")) == len(rows)
        again = list(delimited.read_rows(Path(folder) / name))
    assert [row.values for row in again] == values


@given(documents(pieces=3))
@FEW
def test_writers_raise_only_input_errors(document: Document) -> None:
    bad = replace(
        document, text=document.text + "\ud800", mentions=(*document.mentions, Mention("T9", "x", ((0, 99),), "x"))
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, module in enumerate((pubtator, bioc, brat, conll, jsonl)):
            path = Path(folder) / f"{number}"
            try:
                module.write([document], path)
            except InputError:
                assert not path.exists()
            with pytest.raises(InputError):
                module.write([bad], path, overwrite=True)
