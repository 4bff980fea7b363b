"""Records and predictions as tables of pandas, polars and ``datasets``, and back; each is imported on demand."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from biomtl.errors import InputError

Library = Literal["pandas", "polars", "datasets"]
LIBRARIES: tuple[Library, ...] = ("pandas", "polars", "datasets")


class Predicted(Protocol):
    """A result of a `Predictor`."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain values."""
        ...


Row = Mapping[str, Any] | Mapping[str, Predicted]


def to_frame(rows: Iterable[Row], library: Library = "pandas") -> Any:
    """Records, or the results of a `Predictor`, as a table.

    Args:
        rows: records, such as ``suite["ddi2013"].records("train")``, or what a `Predictor` returned for several texts;
            each of its results becomes a row with ``text`` (the text's number, from 0) and ``task``.
        library: whose table: ``pandas``, ``polars`` or ``datasets``.

    Returns:
        A ``DataFrame``, or a ``datasets.Dataset``; a field that a row lacks is missing there (NaN or null).

    Raises:
        InputError: an unknown library, or one that isn't installed.
    """
    if library not in LIBRARIES:
        raise InputError(f"library {library!r}", expected=f"one of: {', '.join(LIBRARIES)}")
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise InputError(f"{library} isn't installed", fix="pip install 'biomtl[frames]'") from error
    plain = [row for number, given in enumerate(rows) for row in _rows(number, given)]
    if library == "pandas":
        return module.DataFrame.from_records(plain)
    if library == "polars":
        return module.from_dicts(plain, infer_schema_length=None) if plain else module.DataFrame()
    columns = dict.fromkeys(key for row in plain for key in row)
    return module.Dataset.from_dict({key: [row.get(key) for row in plain] for key in columns})


def _rows(number: int, row: Row) -> Iterable[dict[str, Any]]:
    """A record as it stands, or a row per task of a text's results."""
    if row and all(hasattr(value, "to_dict") for value in row.values()):
        return [{"text": number, "task": task, **_plain(result.to_dict())} for task, result in row.items()]
    return [dict(row)]


def from_frame(frame: Any) -> list[dict[str, Any]]:
    """The rows of a table as records, for `score` and the like.

    Args:
        frame: a ``DataFrame`` of pandas or polars, a ``datasets.Dataset``, or any other iterable of mappings.

    Returns:
        A record per row, of plain Python values; missing values (None, NaN, NA) are left out.

    Raises:
        InputError: something else.
    """
    if hasattr(frame, "to_dicts"):  # polars
        rows: Iterable[Any] = frame.to_dicts()
    elif hasattr(frame, "to_dict") and hasattr(frame, "columns"):  # pandas
        rows = frame.to_dict("records")
    else:
        rows = frame
    records = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            problem = f"row {number} is of type {type(row).__name__}"
            raise InputError(problem, expected="a mapping, or a table of pandas, polars or datasets")
        records.append(_plain(row))
    return records


def _plain(value: Any) -> Any:
    """A value of Python's own types; what is missing in a mapping is left out."""
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if not _missing(inner)}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _missing(value: Any) -> bool:
    """Whether a table has nothing here: None, or a scalar that differs from itself (NaN) or says so (NA, NaT)."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )
