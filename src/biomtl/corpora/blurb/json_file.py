"""One JSON object from a corpus's file."""

from __future__ import annotations

import json
from typing import Any

from biomtl.corpora.source import Source
from biomtl.errors import InputError


def read_object(source: Source, name: str) -> dict[str, Any]:
    """The object in a file.

    Raises:
        InputError: not UTF-8, not JSON, or another value.
    """
    where = source.where(name)
    try:
        value = json.loads(source.read_bytes(name).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})", path=where, expected="one JSON object") from error
    if not isinstance(value, dict):
        raise InputError(f"a JSON {type(value).__name__}", path=where, expected="one JSON object")
    return value
