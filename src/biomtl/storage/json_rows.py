"""Objects from JSON lines, or from one JSON list, each with its number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, OnError, fail

MAX_LIST = 64 * 1024 * 1024  # characters of a JSON list, which is read at once


def parse_jsonl(
    lines: Iterable[tuple[int, str]], path: str | Path, on_error: OnError = fail
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based line number, object) for numbered lines; blank lines are skipped.

    If the first line begins with ``[``, the lines are one JSON list of objects, numbered from 1.

    Args:
        lines: (number, text).
        path: their file, for errors.
        on_error: called with the error of each bad row; if it returns, the row is skipped.
    """
    filled = ((number, line) for number, line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return
    numbered = chain([first], filled)
    is_list = first[1].lstrip().startswith("[")
    for number, value, escapes in _items(numbered, path) if is_list else _lines(numbered):
        try:
            yield number, _object(value, path, number, escapes)
        except InputError as error:
            on_error(error)


def _lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Any, bool]]:
    """Each line's value, or the error if it has none, and whether it holds escaped surrogates."""
    for number, line in lines:
        value: Any
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            value = error
        yield number, value, "\\ud" in line.lower()


def _items(lines: Iterable[tuple[int, str]], path: str | Path) -> Iterator[tuple[int, Any, bool]]:
    """The same for the items of a JSON list, numbered from 1."""
    parts: list[str] = []
    size = 0
    for _, line in lines:
        parts.append(line)
        if (size := size + len(line)) > MAX_LIST:
            raise InputError(f"a JSON list of over {MAX_LIST:,} characters", path=path, fix="write JSON lines")
    text = "\n".join(parts)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line_number = getattr(error, "lineno", 1)
        raise InputError(f"not JSON ({error})", path=path, line=line_number, expected="a list of objects") from error
    escapes = "\\ud" in text.lower()
    yield from ((number, item, escapes) for number, item in enumerate(value, 1))


def _object(value: Any, path: str | Path, number: int, escapes: bool) -> dict[str, Any]:
    if isinstance(value, Exception):
        raise InputError(f"not JSON ({value})", path=path, line=number, expected="one JSON object") from value
    if not isinstance(value, dict):
        raise InputError(f"a JSON {type(value).__name__}", path=path, line=number, expected="a JSON object")
    if escapes:
        _refuse_half_characters(value, path, number)
    return value


def _refuse_half_characters(value: Any, path: str | Path, number: int) -> None:
    """JSON can escape half of a surrogate pair, which is not a character and can't be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError("half a surrogate pair", path=path, line=number, expected="whole characters") from error
