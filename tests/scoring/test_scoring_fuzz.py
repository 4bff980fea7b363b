"""Whatever a file contains, scoring raises only InputError."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.scoring import score

CALM = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
TASKS = ("biosses", "hoc", "chemprot", "mednli", "bc5cdr-chem")
CELLS = st.sampled_from(
    [
        "index",
        "label",
        "labels",
        "score",
        "id",
        "docid",
        "arg1",
        "arg2",
        "false",
        "CPR:3",
        "0_1",
        "1",
        "1.T1.T2",
        "nan",
        "-",
        "B",
        '"',
        '""',
        "",
        "é",
    ]
)
TABLES = st.lists(st.lists(CELLS, max_size=5).map("\t".join), max_size=5).map("\n".join).map(str.encode)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["a", "O", "B", "false", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "end"]), inner, max_size=2),
    max_leaves=5,
)
KEYS = st.sampled_from(["id", "doc_id", "docid", "label", "labels", "score", "tags", "offsets", "locations", "type"])
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, min_size=1), min_size=1, max_size=3)


@CALM
@given(st.sampled_from(TASKS), TABLES | st.binary(max_size=60))
def test_tables_and_bytes(tmp_path: Path, task: str, content: bytes) -> None:
    path = tmp_path / "any.tsv"
    path.write_bytes(content)
    said = ""
    try:
        assert 0 <= score(task, path, path, resamples=5).main.value <= 1
    except InputError as error:
        said = str(error)
    assert said == "" or said.startswith(str(path))
    assert "\n" not in said


@CALM
@given(st.sampled_from(TASKS), RECORDS, RECORDS)
def test_json_lines(
    tmp_path: Path, task: str, gold: list[dict[str, object]], predicted: list[dict[str, object]]
) -> None:
    paths = tmp_path / "gold.jsonl", tmp_path / "predicted.jsonl"
    for path, rows in zip(paths, (gold, predicted), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for first, second in (paths, (gold, predicted), (paths[0], paths[0])):
        try:
            result = score(task, first, second, resamples=5)
        except InputError:
            continue
        assert -1 <= result.main.value <= 1


def test_an_id_that_is_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="gold:1: id 5 is a number"):
        score("mednli", [{"id": 5, "label": "neutral"}], [])
