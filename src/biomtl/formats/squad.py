"""SQuAD's JSON files of versions 1.1 and 2.0: questions about paragraphs with their answers, and predicted answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, OnError, fail
from biomtl.storage.files import open_binary
from biomtl.storage.structured import read_json

_START = re.compile(r'\s*\{\s*("version"\s*:\s*"[^"]*"\s*,\s*)?"data"\s*:\s*\[')
_LOOKED_AT = 4096  # bytes: the whole file may be one line
EXPECTED = "data: a list of articles with paragraphs, each with context and qas, as in SQuAD"


def is_squad(path: Path) -> bool:
    """Whether a file begins as SQuAD's data do."""
    with open_binary(path) as stream:
        return _START.match(stream.read(_LOOKED_AT).decode("utf-8-sig", "replace")) is not None


def read_squad(path: Path, on_error: OnError = fail) -> Iterator[tuple[int, dict[str, Any]]]:
    """Stream the questions in order, each with its number from 1, as records of a span task.

    A record has ``id``, ``doc_id`` (the article), ``text_a`` (the paragraph), ``text_b`` (the question), ``start`` and
    ``end`` of the first answer, both ``None`` if there is none, and the texts of all ``answers``.

    Raises:
        InputError: no such file, or another shape; a bad question, unless ``on_error`` takes it.
    """
    value = read_json(path, "SQuAD's JSON")
    version2 = str(value.get("version", "")).lower().lstrip("v").startswith("2")
    number = 0
    for article in _mappings(value.get("data"), path):
        for paragraph in _mappings(article.get("paragraphs"), path):
            for question in _mappings(paragraph.get("qas"), path):
                number += 1
                try:
                    yield number, _record(article, paragraph, question, number, version2)
                except ValueError as error:
                    on_error(InputError(f"question {number}: {error}", path=path, line=number, fix="correct it"))


def _mappings(value: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError("another shape", path=path, expected=EXPECTED)
    return value


def _record(
    article: Mapping[str, Any], paragraph: Mapping[str, Any], question: Mapping[str, Any], number: int, version2: bool
) -> dict[str, Any]:
    context, asked = paragraph.get("context"), question.get("question")
    if not isinstance(context, str) or not isinstance(asked, str):
        raise ValueError("no context or no question, expected texts")
    record: dict[str, Any] = {
        "id": str(question.get("id", number)),
        "doc_id": str(article.get("title") or question.get("id", number)),
        "text_a": context,
        "text_b": asked,
    }
    answers = question.get("answers") or []
    impossible = question.get("is_impossible", version2 and not answers)
    if impossible is True:
        return {**record, "start": None, "end": None, "answers": []}
    if not isinstance(answers, list) or not answers:
        raise ValueError("no answers, expected one or more, or is_impossible: true")
    spans = [_span(answer, context) for answer in answers]
    texts = list(dict.fromkeys(context[start:end] for start, end in spans))
    return {**record, "start": spans[0][0], "end": spans[0][1], "answers": texts}


def _span(answer: Any, context: str) -> tuple[int, int]:
    text, start = (answer.get("text"), answer.get("answer_start")) if isinstance(answer, dict) else (None, None)
    if not isinstance(text, str) or type(start) is not int:
        raise ValueError("an answer without text and answer_start")
    start += len(text) - len(text.lstrip())
    end = start + len(text.strip())
    if start < 0 or not text.strip() or context[start:end] != text.strip():
        shown = context[max(start, 0) : max(end, 0)]
        raise ValueError(f"the answer {text[:60]!r} isn't at answer_start, where the context has {shown[:60]!r}")
    return start, end


def read_answers(path: Path) -> dict[str, str] | None:
    """The texts in a file of predictions, one JSON object of answers by question; ``None`` for any other file.

    Raises:
        InputError: such a file, but broken.
    """
    with open_binary(path) as stream:
        first = stream.readline(1 << 20).decode("utf-8-sig", "replace").strip()
    if not first.startswith("{") or '"id"' in first:
        return None
    try:
        opened = json.loads(first)
    except ValueError:
        opened = None  # over several lines
    if isinstance(opened, dict) and not all(isinstance(value, str) for value in opened.values()):
        return None
    value = read_json(path, "answers by question")
    if not all(isinstance(answer, str) for answer in value.values()):
        return None
    return value
