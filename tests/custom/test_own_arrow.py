"""Parquet files and folders of ``datasets``: rows, class names, broken files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.suite import load_suite

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["mild", "grave"], "_type": "ClassLabel"},
    "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "tags": {"feature": {"names": ["O", "B-Drug"], "_type": "ClassLabel"}, "_type": "Sequence"},
}
ROWS = {
    "text": ["Aspirin helped", "He fell ill"],
    "label": [1, 0],
    "tokens": [["Aspirin", "helped"], ["He", "fell", "ill"]],
    "tags": [[1, 0], [0, 0, 0]],
}


def saved(folder: Path, rows: dict[str, list[Any]] = ROWS) -> Path:
    """A dataset as ``save_to_disk`` of datasets 5 leaves it, in two files."""
    folder.mkdir(parents=True)
    table = pa.table(rows)
    names = [f"data-0000{i}-of-00002.arrow" for i in range(2)]
    for name, part in zip(names, (table.slice(0, 1), table.slice(1)), strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(part)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return folder


def read(path: Path, kind: str = "classification") -> list[dict[str, Any]]:
    definition = TaskDefinition(type=kind, files=Files(train=str(path)))
    return load_suite("nowhere", ["mine"], {"mine": definition})["mine"].records("train")


def test_a_saved_dataset_gives_class_names(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set")
    assert [(r["id"], r["text"], r["label"]) for r in read(folder)] == [
        ("set:1", "Aspirin helped", "grave"),
        ("set:2", "He fell ill", "mild"),
    ]
    assert [r["tags"] for r in read(folder, "tagging")] == [["B-Drug", "O"], ["O", "O", "O"]]


def test_splits_of_a_saved_dict_are_read_by_name(tmp_path: Path) -> None:
    for name, text in (("train", "seen"), ("validation", "unseen")):
        saved(tmp_path / "dict" / name, {**ROWS, "text": [f"{text} one", f"{text} two"]})
    (tmp_path / "dict/dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    both = Files(train=str(tmp_path / "dict"), dev=str(tmp_path / "dict"))
    entry = load_suite("nowhere", ["mine"], {"mine": TaskDefinition(type="classification", files=both)})["mine"]
    assert [r["text"] for r in entry.records("train")] == ["seen one", "seen two"]
    assert [r["text"] for r in entry.records("dev")] == ["unseen one", "unseen two"]
    absent = TaskDefinition(
        type="classification", files=Files(train=str(tmp_path / "dict"), test=str(tmp_path / "dict"))
    )
    with pytest.raises(InputError, match="no saved dataset for test"):
        load_suite("nowhere", ["mine"], {"mine": absent})["mine"].records("test")


def test_parquet_with_and_without_class_names(tmp_path: Path) -> None:
    table = pa.table({name: ROWS[name] for name in ("text", "label")})
    parquet.write_table(table, tmp_path / "plain.parquet")
    assert [r["label"] for r in read(tmp_path / "plain.parquet")] == ["1", "0"]
    about = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    parquet.write_table(table.replace_schema_metadata(about), tmp_path / "named.parquet")
    assert [r["label"] for r in read(tmp_path / "named.parquet")] == ["grave", "mild"]


def test_a_dataset_with_selected_rows_or_broken_files_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set")
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "_indices_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(InputError, match="flatten_indices"):
        read(folder)
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "data-00001-of-00002.arrow").write_bytes(b"\xff\xff\xff\xff broken")
    with pytest.raises(InputError, match="not a readable saved dataset"):
        read(folder)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(tmp_path / "bad.parquet")


@pytest.mark.parametrize("text", ["[]", '"x"', '{"features": "x"}', "[" * 100_000])
def test_odd_metadata_of_a_dataset_are_refused(tmp_path: Path, text: str) -> None:
    folder = saved(tmp_path / "set")
    (folder / "dataset_info.json").write_text(text)
    with pytest.raises(InputError, match="not a readable saved dataset"):
        read(folder)
    table = pa.table(ROWS).replace_schema_metadata({b"huggingface": f'{{"info": {text}}}'.encode()})
    parquet.write_table(table, tmp_path / "odd.parquet")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(tmp_path / "odd.parquet")


def test_duplicate_column_names_are_not_dropped_silently(tmp_path: Path) -> None:
    columns = [pa.array(["a", "b"]), pa.array(["c", "d"]), pa.array(["x", "y"])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["text", "text", "label"]), tmp_path / "two.parquet")
    with pytest.raises(InputError, match="two columns named 'text'"):
        read(tmp_path / "two.parquet")


def test_data_files_are_read_from_the_folder_only(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set")
    (tmp_path / "secret.arrow").write_bytes((folder / "data-00000-of-00002.arrow").read_bytes())
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret.arrow"}]}))
    with pytest.raises(InputError, match="not a readable saved dataset"):
        read(folder)
