"""The folders that ``elmoft`` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

import elmo_data
import tiny
from biomtl.elmoft.data import FOLDERS, folds, load_data, task_of
from biomtl.errors import InputError
from biomtl.tasks import get_task


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return elmo_data.write_layout(tmp_path / "data", ["ddi", "bc5cdr-chem", "hoc"])


def test_ten_tasks_and_their_folders() -> None:
    assert FOLDERS == elmo_data.FOLDERS
    assert len({task_of(name).name for name in FOLDERS}) == 10
    assert task_of("I2B2") is task_of("i2b2-2010") is get_task("i2b2")


def test_ner_sentences_end_at_blank_lines(layout: Path) -> None:
    data = load_data(task_of("bc5cdr-chem"), layout)["bc5cdr-chem"]
    records = data.records("train")
    assert len(records) == 12
    assert all(record["tokens"].count(".") == 2 for record in records)
    assert {tag for record in records for tag in record["tags"]} == {"O", "B-Chemical"}
    assert set(data.checksums) == {"train", "dev", "test"}


def test_own_folder_and_other_file_names(layout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(layout / "hoc", folder)
    (folder / "dev.tsv").rename(folder / "devel.tsv")
    assert len(load_data(task_of("hoc"), None, folder)["hoc"].records("dev")) == 6
    (folder / "dev.tsv").write_text("index\tsentence\tlabels\n1_s0\ta\t0_1\n")
    assert len(load_data(task_of("hoc"), None, folder)["hoc"].records("dev")) == 1


def test_a_prepared_suite_also_works(tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "suite", ("tag-drug",))
    place = (suite / "tag-drug").rename(suite / "bc5cdr-chem")
    record = {**tiny.TASKS["tag-drug"], "name": "bc5cdr-chem"}
    (place / "task.yaml").write_text(yaml.safe_dump(record))
    assert len(load_data(task_of("bc5cdr-chem"), suite)["bc5cdr-chem"].records("test")) == 6
    (place / "dev.jsonl").unlink()
    with pytest.raises(InputError, match="has no dev split"):
        load_data(task_of("bc5cdr-chem"), suite)


def test_bad_folders(layout: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_data(task_of("mednli"), layout)
    assert str(caught.value) == (
        f"{layout}/mednli: no such folder, expected mednli's folder with train.tsv, dev.tsv and test.tsv"
    )
    (layout / "hoc" / "dev.tsv").unlink()
    with pytest.raises(InputError, match=r"hoc: no dev\.tsv, expected hoc's folder"):
        load_data(task_of("hoc"), layout)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\tsentence\tlabel\n", "train.tsv: no rows"),
        ("", "train.tsv: an empty file"),
        ("index\tsentence\tlabel\na\tb\tDDI-none\n", "train.tsv:2: "),
        ("index\tsentence\tlabel\na\tb\tDDI-false\na\tc\tDDI-false\n", "train.tsv:3: id 'a' occurs twice"),
        ("index\tsentence\na\tb\n", "train.tsv:1: no column 'label'"),
    ],
)
def test_bad_rows(text: str, message: str, layout: Path) -> None:
    (layout / "ddi2013-type" / "train.tsv").write_text(text)
    data = load_data(task_of("ddi"), layout)["ddi2013"]
    with pytest.raises(InputError) as caught:
        data.records("train")
    assert message in str(caught.value)


def test_folds_hold_out_every_document_once(layout: Path) -> None:
    data = load_data(task_of("bc5cdr-chem"), layout)["bc5cdr-chem"]
    whole = [record["id"] for record in data.records("train")]
    parts = folds(data, 3, seed=1)
    held_out = [record["id"] for part in parts for record in part.records("test")]
    assert sorted(held_out) == sorted(whole)
    for part in parts:
        train, test = ({record["doc_id"] for record in part.records(split)} for split in ("train", "test"))  # type: ignore[arg-type]
        assert train
        assert test
        assert not train & test
        assert part.records("dev") == data.records("dev")
    with pytest.raises(InputError, match="--kfold 9 of 3 training documents"):
        folds(data, 9, seed=1)
