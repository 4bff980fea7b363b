"""The tables in the run folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from biomtl.elmoft import tables
from biomtl.elmoft.reference import NAME
from biomtl.results import SplitScore
from biomtl.scoring import score_records
from biomtl.tasks import get_task


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


GOLD: dict[str, list[dict[str, Any]]] = {
    "ddi2013": [
        {"id": "d.s0.p0", "doc_id": "d", "text": '=1+1, "x"\n\x07 y', "label": "DDI-int"},
        {"id": "d.s1.p0", "doc_id": "d", "text": "z", "label": "DDI-false"},
    ],
    "hoc": [{"id": "1_s0", "doc_id": "1", "text": "z", "labels": ["evading growth suppressors"]}],
    "biosses": [{"id": "0", "doc_id": "0", "text_a": "a", "text_b": "b", "score": 1.5}],
    "bc5cdr-chem": [
        {
            "id": "7.0",
            "doc_id": "7",
            "tokens": ["a", "b"],
            "offsets": [[0, 1], [2, 3]],
            "tags": ["B-Chemical", "O"],
        }
    ],
}
PREDICTED: dict[str, list[dict[str, Any]]] = {
    "ddi2013": [{"id": "d.s0.p0", "label": "DDI-false"}, {"id": "d.s1.p0", "label": "DDI-false"}],
    "hoc": [{"id": "1_s0", "labels": ["cellular energetics"]}],
    "biosses": [{"id": "0", "score": 2.25}],
    "bc5cdr-chem": [{"id": "7.0", "tags": ["B-Chemical", "I-Chemical"]}],
}
EXPECTED: dict[str, list[dict[str, str]]] = {
    "ddi2013": [
        {"index": "d.s0.p0", "sentence": '=1+1, "x"\n\x07 y', "label": "DDI-false", "gold": "DDI-int"},
        {"index": "d.s1.p0", "sentence": "z", "label": "DDI-false", "gold": "DDI-false"},
    ],
    "hoc": [
        {
            "index": "1_s0",
            "sentence": "z",
            "labels": "0_0,1_0,2_1,3_0,4_0,5_0,6_0,7_0,8_0,9_0",
            "gold": "0_0,1_0,2_0,3_0,4_1,5_0,6_0,7_0,8_0,9_0",
        }
    ],
    "biosses": [{"index": "0", "sentence1": "a", "sentence2": "b", "score": "2.25", "gold": "1.5"}],
    "bc5cdr-chem": [
        {"token": "a", "docid": "7", "offset": "0", "label": "B-Chemical", "gold": "B-Chemical"},
        {"token": "b", "docid": "-", "offset": "2", "label": "I-Chemical", "gold": "O"},
    ],
}


@pytest.mark.parametrize("name", GOLD)
def test_tables_of_a_split(name: str, tmp_path: Path) -> None:
    task, gold, predicted = get_task(name), GOLD[name], PREDICTED[name]
    score = score_records(task, gold, predicted, resamples=0)
    rows = tables.write_tables(tmp_path, "test", task, gold, predicted, SplitScore.of(score), reference=True)
    stems = ("perf_reference_test", "perf_test", "pred_test")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{s}.{kind}" for s in stems for kind in ("csv", "xlsx")
    ]
    assert read(tmp_path / "pred_test.csv") == EXPECTED[name]
    perf = read(tmp_path / "perf_test.csv")
    assert perf[0]["name"] == score.main.title
    assert float(perf[0]["value"]) == score.main.value
    assert {row["protocol"] for row in perf} == {"BLUE"}
    assert {row["protocol"] for row in read(tmp_path / "perf_reference_test.csv")} == {NAME}
    assert {row["protocol"] for row in rows} == {NAME}
    for stem in stems:
        sheet = load_workbook(tmp_path / f"{stem}.xlsx").worksheets[0]
        assert sheet.max_row == 1 + len(read(tmp_path / f"{stem}.csv"))


def test_a_sheet_holds_text_as_text(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t", [{"a": "=1+1\x07", "b": 2.5, "c": None}])
    header, row = load_workbook(tmp_path / "t.xlsx").worksheets[0].iter_rows()
    assert [cell.value for cell in header] == ["a", "b", "c"]
    assert [(cell.value, cell.data_type) for cell in row] == [("=1+1 ", "s"), (2.5, "n"), (None, "n")]


def test_without_openpyxl_the_csv_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "can_write_xlsx", lambda: False)
    tables.write_table(tmp_path / "t", [{"a": 1}])
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
