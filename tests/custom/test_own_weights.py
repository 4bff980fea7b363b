"""Weights of rows in the user's own data: read, checked, counted in the plan, and trained with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.corpora.source import Source
from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.prepare.write import SplitWriter
from biomtl.storage.files import read_jsonl
from biomtl.suite import load_suite, read_records
from biomtl.tasks.task import Task

TABLE = "text\tlabel\tweight\nMilo sat.\tyes\t2\nRimu lay.\tno\t\nPola ran.\tno\t0.25\n"


NAMED = {"weight": "weight"}


def own(path: Path, kind: str = "classification", **keys: Any) -> list[dict[str, Any]]:
    definition = TaskDefinition(type=kind, files=Files(train=(str(path),)), **keys)
    return load_suite("nowhere", ["mine"], {"mine": definition})["mine"].records("train")


def test_a_column_or_a_key(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(TABLE)
    rows = own(tmp_path / "a.tsv", columns=NAMED)
    assert [row.get("weight") for row in rows] == [2.0, None, 0.25]  # an empty cell is 1, the default
    lines = '{"text": "Milo sat.", "label": "a", "weight": 3}\n{"text": "Rimu lay.", "label": "b"}\n'
    (tmp_path / "a.jsonl").write_text(lines)
    assert [row.get("weight") for row in own(tmp_path / "a.jsonl", columns=NAMED)] == [3, None]
    for name in ("a.tsv", "a.jsonl"):  # unless it is named, it may be anything, such as a patient's weight
        assert not any("weight" in row for row in own(tmp_path / name))
    (tmp_path / "b.tsv").write_text(TABLE.replace("weight", "trust"))
    assert "weight" not in own(tmp_path / "b.tsv")[0]
    assert own(tmp_path / "b.tsv", columns={"weight": "trust"})[0]["weight"] == 2
    lines = '{"uid": "1", "label": "a", "premise": "Milo.", "weight": 0.5}\n'
    (tmp_path / "m.json").write_text(lines + '{"uid": "2", "label": "b", "premise": "No."}\n')
    assert [row.get("weight") for row in own(tmp_path / "m.json")] == [0.5, None]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("-1", "weight -1.0, expected 0 to 1e"),
        ("nan", "weight nan, expected 0 to 1e"),
        ("inf", "weight inf"),
        ("70 kg", "'70 kg', expected a number"),
    ],
)
def test_bad_weights_are_refused_with_their_line(tmp_path: Path, cell: str, message: str) -> None:
    (tmp_path / "a.tsv").write_text(TABLE.replace("0.25", cell))
    with pytest.raises(InputError, match=message) as found:
        own(tmp_path / "a.tsv", columns=NAMED)
    assert found.value.line == 4


@pytest.mark.parametrize("value", ["true", '"2"', "null", "NaN", "-0.5", "[1]"])
def test_bad_weights_in_prepared_records(tmp_path: Path, value: str) -> None:
    task = Task(name="t", metric="accuracy", labels=("a", "b"))
    (tmp_path / "t.jsonl").write_text(f'{{"id": "1", "doc_id": "1", "text": "x", "label": "a", "weight": {value}}}\n')
    with pytest.raises(InputError, match=r"weight|NaN"):
        read_records(tmp_path / "t.jsonl", task)


def test_prepare_keeps_and_checks_them(tmp_path: Path) -> None:
    task = Task(name="t", metric="accuracy", labels=("a", "b"))
    record = {"id": "1", "doc_id": "1", "text": "x", "label": "a", "weight": 0.5}
    with SplitWriter(tmp_path / "t.jsonl", task, "train", Source(tmp_path)) as writer:
        writer.write(record)
        with pytest.raises(InputError, match="weight -1, expected 0 to"):
            writer.write({**record, "id": "2", "weight": -1})
    assert [row["weight"] for _, row in read_jsonl(tmp_path / "t.jsonl")] == [0.5]


def test_check_and_the_plan_count_them(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "a.tsv").write_text(TABLE)
    checked = command("check", tmp_path / "a.tsv", "--type", "classification", "--columns", "weight=weight")
    assert "2 of 3 rows have a weight other than 1" in checked.out
    assert "0.25 to 2, mean 1.08" in checked.out
    (tmp_path / "own.yaml").write_text(
        "tasks:\n  mine: {type: classification, files: {train: a.tsv}, columns: {weight: weight}}\n"
        "eval_strategy: no\npredict_test: false\n"
        f"max_steps: 2\nmax_length: 24\nencoder: {bert}\n"
    )
    ended = command("train", tmp_path / "own.yaml", f"output={tmp_path / 'run'}")
    assert ended.code == 0, ended.err
    assert "task mine: 2 of 3 rows have a weight other than 1" in " ".join(ended.out.split())
    (tmp_path / "a.tsv").write_text(TABLE.replace("\t2\n", "\t0\n").replace("\t\n", "\t0\n").replace("0.25", "0"))
    ended = command("train", tmp_path / "own.yaml", f"output={tmp_path / 'run2'}")
    assert (ended.code, "all its training rows have weight 0" in ended.err) == (2, True)
    assert not (tmp_path / "run2").exists()


def test_the_first_step_s_loss_is_the_weighted_mean(bert: Path, tmp_path: Path) -> None:
    """Doubling every row's weight doubles the loss; without weights the loss is unchanged."""
    import biomtl

    first: dict[float, float] = {}
    for weight in (1.0, 2.0):
        folder = tmp_path / str(weight)
        suite = tiny.write_suite(folder / "suite", ("cls-text", "tag-drug"), train=6, other=3)
        for name in ("cls-text", "tag-drug"):
            path = suite / name / "train.jsonl"
            tiny.write_rows(path, [{**row, "weight": weight} for _, row in read_jsonl(path)])
        keys = {"encoder": str(bert), "suite": str(suite), "max_length": 24, "max_steps": 1, "eval_strategy": "no"}
        biomtl.train({**keys, "predict_test": False, "dropout": 0.0, "output": str(folder / "run")})
        first[weight] = next(row["loss"] for _, row in read_jsonl(folder / "run" / "log.jsonl"))
    assert first[2.0] == pytest.approx(2 * first[1.0], abs=2e-6)
