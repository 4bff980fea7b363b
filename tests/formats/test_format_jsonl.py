"""Documents as JSON lines: optional keys, and errors for lines that are not documents."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation, jsonl


def read(folder: Path, *lines: str) -> list[Document]:
    path = folder / "in.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return list(jsonl.read(path))


def test_only_the_text_is_required(tmp_path: Path) -> None:
    few, more = read(
        tmp_path,
        '{"text": "Pola rimu."}',
        '{"id": "a", "text": "Pola rimu.", "mentions": [{"type": "x", "start": 5, "end": 9}, '
        '{"id": "m", "spans": [[0, 2], [5, 6]], "attributes": {"sure": 0.5, "task": ["a", "b"]}}]}',
    )
    assert few == Document("1", "Pola rimu.")
    assert more.mentions == (
        Mention("T0", "x", ((5, 9),), "rimu"),
        Mention("m", "", ((0, 2), (5, 6)), "Po r", (), (("sure", "0.5"), ("task", "a"), ("task", "b"))),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "a JSON list, expected a JSON object"),
        ("{}", 'no text, expected "text": "…"'),
        ('{"text": 3}', "no text"),
        ('{"tokens": ["a"]}', "no text, .*join them into one text"),
        ('{"text": "a", "mentions": [{"start": 0}]}', "an object without 'end'"),
        ('{"text": "a", "mentions": ["a"]}', "a malformed value"),
        ('{"text": "a", "mentions": null}', "a malformed value"),
        (
            '{"text": "a", "mentions": [{"start": 0, "end": 1.0}]}',
            r"a malformed value \(offsets that are not integ",
        ),
        ('{"text": "a", "mentions": [{"spans": [[0]]}]}', "a malformed value"),
        ('{"text": "a", "mentions": [{"start": 0, "end": 2}]}', "mention T0 at 0-2 of a text of 1 characters"),
        ('{"text": "a", "mentions": [{"start": 0, "end": 1, "text": "b"}]}', "mention T0 'b', expected 'a'"),
        ('{"text": "a", "mentions": [{"start": 0, "end": 1, "attributes": []}]}', "a malformed value"),
        ('{"text": "a", "relations": [{"type": "x"}]}', "an object without 'arguments'"),
        ('{"text": "a", "relations": [{"arguments": [{"role": "x"}]}]}', "an object without 'id'"),
        ('{"text": "a", "passages": [{"type": "x", "start": 1, "end": 0}]}', "a passage at 1-0"),
        ('{"text": "\\u0000"}', r"U\+0000"),
    ],
)
def test_lines_that_are_not_documents(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"in.jsonl:2: .*{message}|in.jsonl: .*{message}"):
        read(tmp_path, '{"text": "a"}', line)


def test_null_is_missing(tmp_path: Path) -> None:
    mention = {"id": None, "type": None, "start": 0, "end": 1, "text": None, "identifiers": None}
    relation = {"id": None, "type": None, "arguments": [{"role": None, "id": "T0"}, {"id": "T1"}]}
    mentions = [mention, {**mention, "start": 2, "end": 3}]
    line = {"id": None, "text": "a b", "mentions": mentions, "relations": [relation]}
    (found,) = jsonl.read(tiny.write_rows(tmp_path / "a.jsonl", [line]))
    assert [(m.id, m.type, m.text, m.identifiers) for m in found.mentions] == [("T0", "", "a", ()), ("T1", "", "b", ())]
    assert found.relations == (Relation("R0", "", (("", "T0"), ("", "T1"))),)
    assert found.id == "1"


def test_errors_can_be_collected(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n{}\n{"text": "b"}\n')
    faults: list[InputError] = []
    assert [document.text for document in jsonl.read(path, faults.append)] == ["a", "b"]
    assert [fault.line for fault in faults] == [2]
