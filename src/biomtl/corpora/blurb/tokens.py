"""Files of tokens: two columns (BLURB's, BioBERT's, those of Crichton et al. 2017), or LinkBERT's JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from biomtl.corpora.blue.ner import TokenRows
from biomtl.corpora.blurb.layout import Format, is_json
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.formats import conll
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.checks import unknown_label
from biomtl.text.tags import parse_tag, to_iob2

Sentence = tuple[int, str, Sequence[str], Sequence[str]]  # line, document (may be empty), tokens, tags as written


def read_tokens(source: Source, name: str, task: Task, split: Split, known: Format) -> Iterator[Located]:
    """The sentences of one file.

    A document that is marked without an id is ``SPLIT-NUMBER``, and so is every sentence of a file without marks. Its
    text is its tokens, joined by single spaces.
    """
    where = source.where(name)
    sentences = _json_lines(source, name) if is_json(name) else _columns(source, name)
    before, start = "", 0
    for count, (line, mark, tokens, raw) in enumerate(sentences):
        marked = mark.removeprefix("MEDLINE:")
        document = f"{split}-{count}" if not marked else marked if len(marked) > 4 else f"{split}-{marked}"
        start = start if document == before else 0
        sentence = TokenRows(line)
        for token, tag in zip(tokens, written_tags(raw, task, known.types, where, line), strict=True):
            sentence.add(token, start, tag)
            start += len(token) + 1
        before = document
        yield sentence.record(where, document)


def _columns(source: Source, name: str) -> Iterator[Sentence]:
    for sentence in conll.parse(source.lines(name), source.where(name)):
        yield sentence.line, sentence.document, sentence.tokens, [row[-1] for row in sentence.rows]


def _json_lines(source: Source, name: str) -> Iterator[Sentence]:
    where = source.where(name)
    for line, record in parse_jsonl(source.lines(name), where):
        tokens, tags = record.get("tokens"), record.get("ner_tags")
        sound = isinstance(tokens, list) and isinstance(tags, list) and len(tokens) == len(tags) > 0
        if not (sound and all(isinstance(item, str) and item for item in [*(tokens or ()), *(tags or ())])):
            expected = "lists of equal length under tokens and ner_tags, of texts"
            raise InputError("a row without tokens and their tags", path=where, line=line, expected=expected)
        yield line, "", list(tokens or ()), list(tags or ())


def written_tags(raw: Sequence[str], task: Task, types: Sequence[str], where: str, line: int) -> list[str]:
    """A sentence's tags as the task has them.

    Untyped tags (``B``, ``I``) get the task's type, and ``types`` are that type too. A task without ``B`` has one tag
    for all words of a type.

    Raises:
        InputError: another type.
    """
    kinds = {label[2:].lower(): label[2:] for label in task.labels if label != "O"}
    if len(kinds) == 1:
        kinds |= dict.fromkeys(("", *types), *kinds.values())
    begins = any(label.startswith("B-") for label in task.labels)
    tags = []
    for number, tag in enumerate(to_iob2(raw) if begins else raw, start=line):
        prefix, name = parse_tag(tag)
        kind = kinds.get(name.lower(), name)
        tags.append("O" if prefix == "O" else f"{prefix if begins else 'I'}-{kind}")
        if problem := unknown_label(tags[-1], task.labels):
            raise InputError(problem, path=where, line=number)
    return tags
