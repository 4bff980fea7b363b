"""Rows of texts, as BLURB's tables and LinkBERT's JSON lines have them: relations, pairs, abstracts with labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from biomtl.corpora.blue.hoc import decode_labels
from biomtl.corpora.blue.relations import document_of, masked_entities
from biomtl.corpora.blurb.layout import Format, is_json, split_of
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.checks import unknown_label


class TableRow(NamedTuple):
    """A row's fields by BLURB's column names, and where it stands."""

    where: str
    line: int
    fields: dict[str, Any]

    def text(self, key: str) -> str:
        """A text of the row.

        Raises:
            InputError: there is none.
        """
        value = self.fields[key]
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"no {key}", path=self.where, line=self.line, expected="a text")
        return value.strip()


def rows(source: Source, name: str, known: Format) -> Iterator[TableRow]:
    """The rows of a file; those without an id are numbered from 0."""
    where = source.where(name)
    pairs = parse_jsonl(source.lines(name), where) if is_json(name) else _cells(source, name, known)
    for count, (line, fields) in enumerate(pairs):
        fields.setdefault("id", str(count))
        fields["id"] = str(fields["id"]).strip()
        if missing := [column for column in known.columns if column not in fields]:
            expected = f"an object with {', '.join(known.columns)}"
            raise InputError(f"no {missing[0]!r}", path=where, line=line, expected=expected)
        yield TableRow(where, line, fields)


def _cells(source: Source, name: str, known: Format) -> Iterator[tuple[int, dict[str, Any]]]:
    where, skip = source.where(name), bool(known.header)
    for line, text in source.lines(name):
        if not text.strip():
            continue
        if skip:  # the header, which `layout.fits` has seen
            skip = False
            continue
        cells = text.split("\t")
        if len(cells) != len(known.columns):
            expected = f"{len(known.columns)}: {', '.join(known.columns)}"
            raise InputError(f"{len(cells)} tab-separated columns", path=where, line=line, expected=expected)
        yield line, dict(zip(known.columns, cells, strict=True))


def read_relations(source: Source, name: str, task: Task, split: Split, known: Format) -> Iterator[Located]:
    """Sentences with two masked mentions; the label 0 is the negative class, 1 the only other one."""
    positive = [label for label in task.labels if label != task.negative]
    numbers = {"0": task.negative, **({"1": positive[0]} if len(positive) == 1 else {})}
    for row in rows(source, name, known):
        sentence, identifier = row.text("sentence"), row.fields["id"]
        label = _label(row, task, numbers)
        document = document_of(split_of(task) or task.name, identifier)
        fields = {"id": identifier, "doc_id": document, "text": sentence, "label": label}
        yield Located((row.where, row.line), **fields, **masked_entities(sentence))


def read_pairs(source: Source, name: str, task: Task, split: Split, known: Format) -> Iterator[Located]:
    """Questions with the passages that answer them."""
    for row in rows(source, name, known):
        texts = {"text_a": row.text("sentence1"), "text_b": row.text("sentence2")}
        names = {"id": row.fields["id"], "doc_id": row.fields["id"]}
        yield Located((row.where, row.line), **names, **texts, label=_label(row, task, {}))


def read_similarity(source: Source, name: str, task: Task, split: Split, known: Format) -> Iterator[Located]:
    """Pairs of sentences with a score; the id is the pair's number."""
    for row in rows(source, name, known):
        texts = {"text_a": row.text("sentence1"), "text_b": row.text("sentence2")}
        try:
            score = float(row.fields["label"])
        except (TypeError, ValueError):
            problem = f"score {row.fields['label']!r:.40}"
            raise InputError(problem, path=row.where, line=row.line, expected="a number") from None
        names = {"id": row.fields["id"], "doc_id": f"{known.folder}.{row.fields['id']}"}
        yield Located((row.where, row.line), **names, **texts, score=score)


def read_abstracts(source: Source, name: str, task: Task, split: Split, known: Format) -> Iterator[Located]:
    """Abstracts; a table has a row for each sentence (``PMID_s0``), which make one record with all their labels."""
    for pmid, group in groupby(rows(source, name, known), key=lambda row: row.fields["id"].partition("_")[0]):
        sentences = list(group)
        marked = {label for row in sentences for label in _labels(row, task)}
        text = " ".join(row.text("sentence") for row in sentences)
        first = sentences[0]
        labels = [label for label in task.labels if label in marked]
        yield Located((first.where, first.line), id=pmid, doc_id=pmid, text=text, labels=labels)


def _label(row: TableRow, task: Task, numbers: dict[str, str | None]) -> str:
    given = row.fields["label"]
    label = str(given).strip()
    label = label if label in task.labels else numbers.get(label) or label
    if problem := unknown_label(label, task.labels):
        raise InputError(problem, path=row.where, line=row.line)
    return label


def _labels(row: TableRow, task: Task) -> list[str]:
    """Labels as ``0_0,1_1,…``, or as a list of 0 and 1."""
    given = row.fields["label"]
    cell = ",".join(f"{i}_{value}" for i, value in enumerate(given)) if isinstance(given, list) else str(given)
    try:
        return decode_labels(cell, task.labels)
    except ValueError as error:
        raise InputError(str(error), path=row.where, line=row.line) from error
