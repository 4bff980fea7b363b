"""The suite ``blurb`` from its files to its score, on invented rows of all thirteen tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.report.console import table_console
from biomtl.report.tables import score_table
from biomtl.results import Results
from biomtl.tasks import SUITES
from blurb_data import lay, redistributed

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as BLURB's scripts leave it, with a second pair of sentences, without which there is no correlation."""
    folder = tmp_path_factory.mktemp("blurb")
    for files in redistributed().values():
        lay(files, folder)
    for table in folder.glob("BIOSSES/*.tsv"):
        table.write_text(table.read_text() + "79\tThree .\tFour .\t1.0\n")
    return folder


def test_prepare_audit_score_train_and_evaluate_take_the_suite(
    command: Command, corpora: Path, bert: Path, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    ended = command("prepare", corpora, "--out", prepared, "--tasks", "blurb")
    assert ended.code == 0, ended.err
    assert sorted(path.parent.name for path in prepared.glob("*/task.yaml")) == sorted(SUITES["blurb"])
    ended = command("audit", prepared)
    assert ended.code == 0, ended.err
    assert "INT" in ended.out  # elements of EBM-PICO, whose tags don't begin with B

    ended = command("score", prepared, prepared, "--suite", "blurb", "--resamples", 0)  # gold scored as predictions
    assert ended.code == 0, ended.err
    assert ended.out.count("1.0000") == len(SUITES["blurb"]) + 6 + 1  # tasks, parts, suite
    (tmp_path / "some").mkdir()
    for name in ("pubmedqa", "bioasq"):
        (prepared / name).rename(tmp_path / "some" / name)
    ended = command("score", tmp_path / "some", tmp_path / "some", "--suite", "blurb", "--json", "--resamples", 0)
    said = json.loads(ended.out)
    assert (said["value"], said["parts"]) == (None, {"question answering": 1.0})
    assert (len(said["missing"]), list(said["tasks"])) == (11, ["pubmedqa", "bioasq"])
    for name in ("pubmedqa", "bioasq"):
        (tmp_path / "some" / name).rename(prepared / name)

    tiny.write_recipe(tmp_path / "r.yaml", bert, prepared, max_length=24, max_steps=1, num_train_epochs=None)
    ended = command("train", tmp_path / "r.yaml", f"output={tmp_path / 'run'}")
    assert ended.code == 0, ended.err
    ended = command("evaluate", tmp_path / "run", "--data", prepared, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "blurb score" in ended.out
    results = Results.read(tmp_path / "out" / "metrics.json")
    whole = results.suites["blurb"]["test"]
    assert whole == Results.read(tmp_path / "run" / "metrics.json").suites["blurb"]["test"]
    assert whole.value == pytest.approx(sum(whole.parts.values()) / 6)
    ended = command("score", tmp_path / "run", "--suite", "blurb", "--json", "--resamples", 0)
    assert json.loads(ended.out)["value"] == pytest.approx(whole.value)
    table_console().print(score_table(results, "test"))


def test_mistakes(command: Command, corpora: Path, tmp_path: Path) -> None:
    ended = command("score", tmp_path, tmp_path, "--suite", "blue")
    assert (ended.code, ended.err) == (
        2, "biomtl: error: suite 'blue' has no score of its own, expected one of: blurb\n"
    )  # fmt: skip
    ended = command("score", tmp_path, "--suite", "blurb", "--task", "gad")
    assert (ended.code, ended.err.partition(",")[0]) == (2, "biomtl: error: both --task and --suite")
    command("prepare", corpora, "--out", tmp_path / "one", "--tasks", "gad")
    ended = command("score", tmp_path / "one", tmp_path, "--suite", "blurb")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "gad/test.jsonl: no such file" in ended.err
    ended = command("score", tmp_path / "one", "--suite", "blurb")
    assert "no predictions, expected a folder of predictions" in ended.err
    ended = command("prepare", corpora / "GAD", "--out", tmp_path / "two", "--tasks", "blue")
    assert "no data of suite blue, the tasks found are gad" in ended.err
