"""``biomtl evaluate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import biomtl
import tiny
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.registry import known_tasks

Command = Callable[..., Any]


def test_a_folder_of_predictions_and_metrics(
    command: Command, small_model: Path, small_suite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "out"
    ended = command("evaluate", small_model, "--data", small_suite, "--out", out, "--seed", 5)
    assert ended.code == 0, ended.err
    assert "Scores on test" in ended.out
    assert sorted(path.name for path in out.iterdir()) == [".biomtl.json", "metrics.json", "predictions"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics) == ["format", "tasks", "mean", "provenance"]
    assert list(metrics["mean"]) == ["test"]
    suite = load_suite(small_suite)
    for name in tiny.FOUR:
        predicted = out / "predictions" / name / "test.jsonl"
        score = biomtl.score(suite.tasks[name], small_suite / name / "test.jsonl", predicted, seed=5)
        assert metrics["tasks"][name]["test"]["value"] == score.main.value
        assert metrics["tasks"][name]["test"]["metric"] == score.main.title
    assert metrics["provenance"]["model"] == str(small_model)
    assert metrics["provenance"]["data"] == suite.provenance()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_split_and_some_tasks(command: Command, small_model: Path, small_suite: Path, tmp_path: Path) -> None:
    some = ["--task", "cls-text", "--task", "tag-drug"]
    base = ["evaluate", small_model, "--data", small_suite, "--out", tmp_path / "out", *some, "--split", "dev"]
    ended = command(*base, "--max-length", "16")
    assert ended.code == 0, ended.err
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jsonl"))
    assert files == ["predictions/cls-text/dev.jsonl", "predictions/tag-drug/dev.jsonl"]
    ended = command(*base)
    assert ended.code == 2
    assert ended.err == f"biomtl: error: {tmp_path / 'out'}: the output exists already, " + (
        "choose another name or add --overwrite\n"
    )
    assert command(*base, "--overwrite").code == 0


def test_mistakes(command: Command, small_model: Path, small_suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(*given: object) -> str:
        ended = command("evaluate", *given, "--out", out)
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1
        assert not out.exists()
        return str(ended.err)

    assert "no biomtl model" in refused(tmp_path, "--data", small_suite)
    assert "no such folder" in refused(small_model, "--data", tmp_path / "nothing")
    assert "did you mean 'cls-text'?" in refused(small_model, "--data", small_suite, "--task", "cls-txt")
    said = refused(small_model, "--data", small_suite, "--max-length", "99")
    assert "max_length 99, expected at most the encoder's 64 positions" in said
    other = tiny.write_suite(tmp_path / "other", ("multi-pair",))
    assert "no task of the model has a test split in the data" in refused(small_model, "--data", other)
    said = refused(small_model, "--data", other, "--task", "multi-pair")
    assert "the model has no task 'multi-pair', did you mean 'multi-text'?" in said
    broken = tiny.write_suite(tmp_path / "broken", ("cls-text",))
    rows = broken / "cls-text" / "test.jsonl"
    rows.write_text(rows.read_text() + rows.read_text().splitlines()[1] + "\n")
    assert 'test.jsonl:7: id "cls-text.1" stands already in line 2' in refused(small_model, "--data", broken)


def test_the_sample_suite(command: Command, bert: Path, tmp_path: Path) -> None:
    MultiTaskModel.from_encoder(bert, [known_tasks()["biosses"]]).save_pretrained(tmp_path / "m")
    ended = command("evaluate", tmp_path / "m", "--data", "sample", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert (tmp_path / "out" / "predictions" / "biosses" / "test.jsonl").is_file()


def test_impossible_numbers(command: Command, small_model: Path, small_suite: Path, tmp_path: Path) -> None:
    for option, value in (("--seed", -1), ("--max-length", 0)):
        ended = command("evaluate", small_model, "--data", small_suite, "--out", tmp_path / "out", option, value)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert option in ended.err


def test_predictions_beside_gold(command: Command, small_model: Path, small_suite: Path, tmp_path: Path) -> None:
    base = ["evaluate", small_model, "--data", small_suite, "--out"]
    assert command(*base, tmp_path / "bare").code == 0
    assert command(*base, tmp_path / "full", "--with-gold").code == 0
    for name, inputs, gold in (
        ("cls-text", {"text"}, "label"),
        ("reg-pair", {"text_a", "text_b"}, "score"),
        ("tag-drug", {"tokens", "offsets"}, "tags"),
    ):
        place = f"predictions/{name}/test.jsonl"
        bare, full, records = (
            [json.loads(line) for line in path.read_text().splitlines()]
            for path in (tmp_path / "bare" / place, tmp_path / "full" / place, small_suite / name / "test.jsonl")
        )
        for one, other, record in zip(bare, full, records, strict=True):
            assert other["gold"] == {gold: record[gold]}
            assert {key: other[key] for key in inputs} == {key: record[key] for key in inputs}
            assert {key: other[key] for key in one} == one
        task = load_suite(small_suite).tasks[name]
        scores = [biomtl.score(task, records, tmp_path / out / place).main.value for out in ("bare", "full")]
        assert scores[0] == scores[1]
