"""Named-entity files in every layout. All text is invented."""

from __future__ import annotations

import json
from typing import Any

import pytest

from biomtl.errors import InputError

BLUE = (
    "Zanolin\t11\t0\tB\nhelps\t-\t8\tO\n\n"
    'The\t11\t15\tO\n""""\t-\t19\tO\nred\t-\t20\tO\nacid\t-\t24\tB\nester\t-\t29\tI\n""""\t-\t34\tO\n\n'
    "Pain\t12\t0\tO"
)
TYPED = BLUE.replace("\tB\n", "\tB-Chemical\n").replace("\tI\n", "\tI-Chemical\n")
SECOND = {
    "id": "11.15",
    "doc_id": "11",
    "tokens": ["The", '"', "red", "acid", "ester", '"'],
    "offsets": [[15, 18], [19, 20], [20, 23], [24, 28], [29, 34], [34, 35]],
    "tags": ["O", "O", "O", "B-Chemical", "I-Chemical", "O"],
}


@pytest.mark.parametrize("text", [BLUE, TYPED, BLUE.replace("\n", "\r\n"), BLUE + "\n\n\n", "\n" + BLUE + "\n"])
def test_four_columns(read: Any, text: str) -> None:
    records = read({"BC5CDR-chem/devel.tsv": text})["bc5cdr-chem"]["dev"]
    assert [record["id"] for record in records] == ["11.0", "11.15", "12.0"]
    assert records[1] == SECOND
    assert records[2]["tokens"] == ["Pain"]  # no blank line follows: not lost


def test_a_sentence_without_id_belongs_to_the_last_document(read: Any) -> None:
    text = "Pain\t12\t0\tO\n\nit\t-\t5\tO\n"
    records = read({"shareclefe/Test.tsv": text})["shareclefe"]["test"]
    assert [(record["id"], record["doc_id"]) for record in records] == [("12.0", "12"), ("12.5", "12")]


def test_inside_after_outside_stays(read: Any) -> None:
    text = "left\tn\t0\tB\nand\t-\t5\tO\nedema\t-\t9\tI\n"
    assert read({"clefe/Training.tsv": text})["shareclefe"]["train"][0]["tags"] == ["B-Disease", "O", "I-Disease"]


def test_hash_sign_document_marks_are_skipped(read: Any) -> None:
    text = "###MEDLINE:1\nPain\tn\t0\tO\n###\nAche\t-\t5\tO\n"
    records = read({"clefe/Training.tsv": text})["shareclefe"]["train"]
    assert [record["tokens"] for record in records] == [["Pain"], ["Ache"]]


@pytest.mark.parametrize("separator", ["\t", " "])
def test_two_columns(read: Any, separator: str) -> None:
    lines = [separator.join(pair) for pair in (("Red", "O"), ('"', "B-Chemical"))]
    records = read({"BC5CDR-chem-IOB/devel.tsv": "\n".join(lines) + "\n\nNo" + separator + "O\n\n\n"})
    assert records["bc5cdr-chem"]["dev"] == [
        {
            "id": "dev-0.0",
            "doc_id": "dev-0",
            "tokens": ["Red", '"'],
            "offsets": [[0, 3], [4, 5]],
            "tags": ["O", "B-Chemical"],
        },
        {"id": "dev-1.0", "doc_id": "dev-1", "tokens": ["No"], "offsets": [[0, 2]], "tags": ["O"]},
    ]


def test_canonical(read: Any) -> None:
    ends = [
        start + len(token) + 3 * (token == '"')
        for token, (start, _) in zip(SECOND["tokens"], SECOND["offsets"], strict=True)
    ]
    tokens = ['""""' if token == '"' else token for token in SECOND["tokens"]]
    offsets = [f"{start};{end}" for (start, _), end in zip(SECOND["offsets"], ends, strict=True)]
    row = "\t".join(["11.15", *map(json.dumps, (SECOND["tags"], tokens, offsets))])
    assert read({"canonical_data/bc5cdr-chemical_dev.tsv": row + "\n"})["bc5cdr-chem"]["dev"] == [SECOND]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\t1\t0\tO\nb\t-\tO\n", 2, "3 columns, expected 4"),
        ("a\tO\nb\t1\t2\tO\n", 2, "4 columns, expected 2"),
        ("a\tb\tc\td\te\n", 1, "5 columns"),
        ("a\t1\t-3\tO\n", 1, "offset '-3'"),
        ("a\t1\tx\tO\n", 1, "offset 'x'"),
        ("a\t1\t0\tO\nb\t-\t2\tB-Gene\n", 2, "unknown label 'B-Gene', expected one of O, B-Chemical, I-Chemical"),
        ("a\t1\t0\tX\n", 1, "unknown label 'X'"),
        ("a\t-\t0\tO\n", 1, "a sentence without a document id"),
        ("a\t1\t0\tO\nb\t2\t2\tO\n", 2, "document '2' in a sentence of '1'"),
        ("\t1\t0\tO\n", 1, "an empty token"),
        ("", 0, "an empty file"),
        ('1.0\t["O"]\t["a", "b"]\t["0;1"]\n', 1, "a malformed row"),
        ('1.0\t["O"]\t["a"]\t[7]\n', 1, "a malformed row"),
        ('1.0\t["O"]\t["a"]\t["0;1"\n', 1, "a malformed row"),
    ],
)
def test_bad_rows(read: Any, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read({"bc5cdr-chem/train.tsv": text})
    assert message in str(caught.value)
    assert "bc5cdr-chem/train.tsv:" + (f"{line}: " if line else "") in str(caught.value)
