"""Tagging rows: sentences of small documents, offsets counted from the document's start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from biomtl.sample.grammar import Piece, Writer, grammar, tokens
from biomtl.tasks.task import Task

Record = dict[str, Any]


def tagging(name: str, tasks: Sequence[Task], writer: Writer, rows: int) -> Iterator[tuple[str, Record]]:
    """``(task, record)`` for ``rows`` sentences, two or three per document; every task tags the same sentences.

    Args:
        name: the grammar to use.
        tasks: the tasks that label the sentences; each tags the slots listed for it under the grammar's ``marks``.
        writer: the split's writer.
        rows: the number of sentences.
    """
    rules = grammar(name)
    document, number, start, length = 0, 0, 0, 2
    for _ in range(rows):
        pieces = _new_sentence(writer, rules["templates"])
        text = "".join(piece.text for piece in pieces)
        if number == length:
            document, number, start, length = document + 1, 0, 0, writer.rng.randrange(2, 4)
        doc_id = f"{writer.split}{document}"
        for task in tasks:
            head = {"id": f"{doc_id}.s{number}", "doc_id": doc_id}
            yield task.name, head | _tagged(pieces, start, rules["marks"][task.name], task.labels)
        number, start = number + 1, start + len(text) + 1


def _new_sentence(writer: Writer, templates: dict[str, list[str]]) -> list[Piece]:
    while True:
        pieces = writer.pieces(writer.choose(templates))
        if writer.are_new(["".join(piece.text for piece in pieces)]):
            return pieces


def _tagged(pieces: list[Piece], start: int, marks: list[str], labels: Sequence[str]) -> Record:
    begin = next(label for label in labels if label.startswith("B-"))
    inside = next(label for label in labels if label.startswith("I-"))
    mentions, end = [], start
    for piece in pieces:
        first, end = end, end + len(piece.text)
        if piece.slot is not None and piece.slot.rstrip("0123456789") in marks:
            mentions.append((first, end))
    record: Record = {"tokens": [], "offsets": [], "tags": []}
    for token, first, last in tokens("".join(piece.text for piece in pieces), start):
        mention = next((span for span in mentions if span[0] <= first and last <= span[1]), None)
        record["tokens"].append(token)
        record["offsets"].append([first, last])
        record["tags"].append("O" if mention is None else begin if first == mention[0] else inside)
    return record
