"""MT-DNN's data: canonical TSV without a header, JSON lines of texts, and JSON lines of word pieces.

All become rows with our field names. The canonical columns are ``uid, label, premise``, ``… hypothesis``,
``uid, ruid, label, premise, hypothesis…`` and, for tags, lists in JSON or Python's notation; the label of a question is
``start:::end:::impossible:::answer``.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, OnError
from biomtl.formats.delimited import Row
from biomtl.mtdnn.pieces import Pieces
from biomtl.storage.files import read_lines
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.types.checks import WEIGHT

KEYS = frozenset({"uid", "premise"})
PIECE_KEYS = frozenset({"uid", "token_id"})
PIECE_MARKS = ("X", "CLS", "SEP")
"""Its tags of continuation pieces and special positions, after all others."""
LONGEST_LIST = 1 << 20  # characters of a list in Python's notation


@dataclass(frozen=True)
class Reading:
    """How a task's files are read.

    Attributes:
        gold: the gold field: ``label``, ``score`` or ``tags``.
        ranking: whether a label is the index of the right candidate.
        labels: the labels in order, for files that hold their numbers; empty if unknown.
        vocabulary: a BERT's ``vocab.txt``, for files of word pieces.
    """

    gold: str
    ranking: bool = False
    labels: tuple[str, ...] = ()
    vocabulary: Path | None = None


def is_mtdnn(record: Any) -> bool:
    """Whether a JSON record has MT-DNN's keys."""
    return isinstance(record, dict) and (record.keys() >= KEYS or record.keys() >= PIECE_KEYS)


def read_rows(path: Path, reading: Reading, on_error: OnError) -> Iterator[Row]:
    """Stream a file's rows with our field names: ``id``, the texts or tokens, and the gold field.

    Raises:
        InputError: a file that can't be read, or of word pieces without a vocabulary; a bad row, unless ``on_error``
            takes it.
    """
    first = next((line for _, line in read_lines(path, on_error) if line.strip()), "")
    if first.lstrip().startswith("{"):
        pieces: list[Pieces] = []
        for number, record in parse_jsonl(read_lines(path, on_error), path, on_error):
            if "token_id" in record and not pieces:
                pieces.append(_pieces(path, reading))
            yield from _row(path, number, on_error, partial(_json_fields, record, reading, pieces))
        return
    for number, line in read_lines(path, on_error):
        if line.strip():
            yield from _row(path, number, on_error, partial(_fields, line.split("\t"), reading))


def _row(path: Path, number: int, on_error: OnError, make: Callable[[], dict[str, Any]]) -> Iterator[Row]:
    try:
        row = Row(number, make())
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError) as error:
        problem = str(error).splitlines()[0] if isinstance(error, ValueError) and str(error) else "a malformed row"
        on_error(
            InputError(problem, path=path, line=number, expected="a row as MT-DNN writes it", fix="correct the row")
        )
        return
    yield row


def _pieces(path: Path, reading: Reading) -> Pieces:
    if reading.vocabulary is None:
        fix = "name it in the recipe: vocabulary: vocab.txt"
        raise InputError("word pieces by number", path=path, expected="the vocabulary of their tokenizer", fix=fix)
    return Pieces.read(reading.vocabulary)


def _fields(cells: list[str], reading: Reading) -> dict[str, Any]:
    """The fields of a canonical row."""
    if reading.gold == "tags":
        if len(cells) not in (3, 4):
            raise ValueError(f"{len(cells)} column(s), expected uid, tags, tokens and perhaps offsets")
        tags, tokens, *offsets = (_list(cell) for cell in cells[1:])
        return {"id": cells[0], **_tagged(tokens, tags, offsets[0] if offsets else None, reading)}
    if reading.ranking:
        if len(cells) < 6:
            raise ValueError(f"{len(cells)} column(s), expected uid, ruid, label, premise and two or more hypotheses")
        return {"id": cells[0], "label": _right(cells[2]), "text": cells[3], "candidates": cells[4:]}
    if len(cells) not in (3, 4):
        raise ValueError(f"{len(cells)} column(s), expected uid, label, premise and for a pair the hypothesis")
    if reading.gold == "start":
        return {"id": cells[0], **_answer(cells[1]), "text_a": cells[2], "text_b": cells[3]}
    texts = {"text": cells[2]} if len(cells) == 3 else {"text_a": cells[2], "text_b": cells[3]}
    return {"id": cells[0], reading.gold: _gold(cells[1], reading), **texts}


def _json_fields(record: dict[str, Any], reading: Reading, pieces: list[Pieces]) -> dict[str, Any]:
    """The fields of a row in JSON, of texts or of word pieces."""
    uid, label = str(record["uid"]), record.get("label")
    if WEIGHT in record:
        plain = {key: value for key, value in record.items() if key != WEIGHT}
        return {**_json_fields(plain, reading, pieces), WEIGHT: record[WEIGHT]}
    if "token_id" in record:
        return {"id": uid, **_from_pieces(record, reading, pieces[0])}
    premise, hypothesis = record["premise"], record.get("hypothesis")
    if reading.gold == "tags":
        return {"id": uid, **_tagged(premise, label, record.get("offset"), reading)}
    if reading.ranking:
        return {"id": uid, "label": _right(label), "text": premise, "candidates": hypothesis}
    texts = {"text": premise} if hypothesis is None else {"text_a": premise, "text_b": hypothesis}
    return {"id": uid, reading.gold: _gold(label, reading), **texts}


def _from_pieces(record: dict[str, Any], reading: Reading, pieces: Pieces) -> dict[str, Any]:
    ids, types, label = record["token_id"], record["type_id"], record.get("label")
    if reading.gold == "tags":
        names = [_gold(value, reading) for value in label or ()]
        tokens, tags = pieces.tagged(ids, names)
        return {"tokens": tokens, "tags": tags}
    if reading.ranking:
        pairs = [pieces.texts(row, kinds) for row, kinds in zip(ids, types, strict=True)]
        return {"label": _right(label), "text": pairs[0][0], "candidates": [pair[1] for pair in pairs]}
    texts = pieces.texts(ids, types)
    gold = {reading.gold: _gold(label, reading)}
    if len(texts) == 1:
        return {**gold, "text": texts[0]}
    return {**gold, "text_a": texts[0], "text_b": texts[1]}


def _gold(value: Any, reading: Reading) -> Any:
    """A label by name or number, or a score."""
    if reading.gold == "score":
        return float(value)
    if reading.labels and str(value) not in reading.labels and str(value).isdigit():
        number = int(value)
        if number >= len(reading.labels):
            raise ValueError(f"label {number} of {len(reading.labels)}, expected 0 to {len(reading.labels) - 1}")
        return reading.labels[number]
    return str(value)


def _answer(label: str) -> dict[str, Any]:
    """A span from ``start:::end:::impossible:::answer``."""
    start, end, impossible, *_ = label.split(":::")
    if int(impossible) or int(start) < 0:
        return {"start": None, "end": None}
    return {"start": int(start), "end": int(end)}


def _tagged(tokens: Any, tags: Any, offsets: Any, reading: Reading) -> dict[str, Any]:
    if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags):
        raise ValueError("expected lists of as many tokens as tags")
    fields = {"tokens": [str(token) for token in tokens], "tags": [_gold(tag, reading) for tag in tags]}
    if offsets:
        starts = [int(str(offset).partition(";")[0]) for offset in offsets]
        fields["offsets"] = [[at, at + len(token)] for at, token in zip(starts, fields["tokens"], strict=True)]
    return fields


def _right(value: Any) -> int:
    """The index of the right candidate: given, or that of the largest of several labels."""
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    if isinstance(value, list):
        numbers = [float(item) for item in value]
        return numbers.index(max(numbers))
    return int(value)


def _list(cell: str) -> Sequence[Any]:
    """A list in JSON, or in Python's notation, of which only literals are read."""
    try:
        value = json.loads(cell)
    except ValueError:
        if len(cell) > LONGEST_LIST:
            raise ValueError(f"a list of over {LONGEST_LIST:,} characters") from None
        value = ast.literal_eval(cell.strip())
    if not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__}, expected a list")
    return value
