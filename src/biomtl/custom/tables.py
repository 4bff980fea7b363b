"""Rows of tables: TSV, CSV, JSON lines, Parquet, and folders written by ``save_to_disk`` of ``datasets``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biomtl.custom.config import Quoting
from biomtl.errors import InputError, OnError
from biomtl.formats import delimited
from biomtl.formats.delimited import Row
from biomtl.storage.files import read_lines
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.task import Split

# Other tools' names of the splits.
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test",),
}
STATE, DICT, INFO = "state.json", "dataset_dict.json", "dataset_info.json"


def read_table(
    path: Path, format: str, split: Split, *, header: bool, quoting: Quoting | None = None, on_error: OnError
) -> Iterator[Row]:
    """Stream the rows of a table.

    Args:
        path: the file or folder.
        format: ``tsv``, ``csv``, ``jsonl``, ``parquet`` or ``datasets``.
        split: the split to read from a saved dataset with several.
        header: whether the first row of a TSV or CSV names its columns; otherwise they are called "0", "1" …
        quoting: ``csv`` or ``none``, to override the default for TSV and CSV.
        on_error: called with the error of each row that can't be read.

    Raises:
        InputError: a file that can't be read at all.
    """
    if format in ("tsv", "csv"):
        rows = delimited.read_rows(
            path,
            delimiter="," if format == "csv" else "\t",
            quoted=format == "csv" if quoting is None else quoting == "csv",
            header=header,
            on_error=on_error,
        )
        yield from rows
    elif format == "jsonl":
        lines = parse_jsonl(read_lines(path, on_error), path, on_error)
        yield from (Row(number, value) for number, value in lines)
    else:
        yield from _arrow_rows(path, format, split)


def _arrow_rows(path: Path, format: str, split: Split) -> Iterator[Row]:
    """Rows of Arrow tables, with class labels by name; one batch is in memory at a time."""
    try:
        import pyarrow
    except ImportError as error:
        fix = "pip install biomtl[arrow]"
        raise InputError("Parquet and saved datasets need pyarrow", path=path, fix=fix) from error
    number = 0
    try:
        for batch, names in _parquet(path) if format == "parquet" else _saved(path, split):
            columns = batch.schema.names
            if twice := next((name for name in columns if columns.count(name) > 1), None):
                raise InputError(f"two columns named {twice!r}", path=path, fix="name each column once")
            for values in batch.to_pylist():
                number += 1
                yield Row(number, {key: _named(value, names.get(key)) for key, value in values.items()})
    except (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        file_type = "Parquet file" if format == "parquet" else "saved dataset"
        problem = f"not a readable {file_type} ({reason})"
        raise InputError(problem, path=path, line=number + 1, fix="write it again") from error


def _parquet(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        extra = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(extra).get("info", {}).get("features") or {}
        for batch in file.iter_batches(batch_size=1000):
            yield batch, features


def _saved(path: Path, split: Split) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The batches of a folder written by ``save_to_disk``: Arrow streams, listed in ``state.json``."""
    from pyarrow import ipc

    folder = dataset_folder(path, split)
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise InputError("rows selected by an index", path=folder, fix="call flatten_indices() before save_to_disk()")
    info = folder / INFO
    features = json.loads(info.read_text(encoding="utf-8")).get("features") or {} if info.is_file() else {}
    for entry in state["_data_files"]:
        file = folder / Path(entry["filename"]).name
        with file.open("rb") as source, ipc.open_stream(source) as stream:
            for batch in stream:
                yield batch, features


def dataset_folder(path: Path, split: Split) -> Path:
    """The folder of one split: ``path`` itself, or the subfolder named after the split.

    Raises:
        InputError: neither is a saved dataset.
    """
    if (path / STATE).is_file():
        return path
    for name in SPLIT_NAMES[split]:
        if (path / name / STATE).is_file():
            return path / name
    expected = f"{STATE} in it or in {' or '.join(SPLIT_NAMES[split])}/"
    raise InputError(f"no saved dataset for {split}", path=path, expected=expected, fix="use datasets' save_to_disk()")


def _named(value: Any, feature: Any) -> Any:
    """A value with class numbers replaced by the names in a Hugging Face feature, also inside lists."""
    if isinstance(feature, list):
        feature = {"feature": feature[0] if feature else None}
    if not isinstance(feature, dict) or value is None:
        return value
    names = feature.get("names")
    if isinstance(names, list) and isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else value
    if isinstance(value, list):
        return [_named(item, feature.get("feature")) for item in value]
    return value
