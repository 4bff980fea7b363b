"""``biomtl evaluate``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import biomtl
import tiny
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Task

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
    assert ended.err == f"biomtl: error: {tmp_path / 'out'}: the output already exists, " + (
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

    assert "not a biomtl model" in refused(tmp_path, "--data", small_suite)
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
    assert 'test.jsonl:7: id "cls-text.1" already occurs in line 2' in refused(small_model, "--data", broken)


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


def test_tasks_without_the_split_are_named(
    command: Command, small_model: Path, small_suite: Path, tmp_path: Path
) -> None:
    suite = shutil.copytree(small_suite, tmp_path / "suite")
    (suite / "cls-text" / "dev.jsonl").unlink()
    tiny.write_suite(suite, ("multi-pair",))
    base = ["evaluate", small_model, "--data", suite, "--split", "dev", "--out", tmp_path / "out"]
    ended = command(*base)
    assert ended.code == 0, ended.err
    assert "not scored: cls-text: the data have no dev split of it\n" in ended.out
    assert "not scored: multi-pair: the model has no head for it\n" in ended.out
    assert "not scored: reg-apart: the data have no such task\n" in ended.out
    assert ended.out.count("not scored") == 3
    ended = command(*base, "--task", "cls-text", "--task", "tag-drug", "--overwrite")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "task cls-text has no dev split, expected one of: train, test" in ended.err


def test_own_data_need_not_contain_every_label(command: Command, bert: Path, tmp_path: Path) -> None:
    """Labels, tags and the score's range are the model's; the order of the labels, too."""
    labels = {"kind": ("zeta", "alpha", "none"), "tags": ("O", "B-Drug", "I-Drug", "B-Illness", "I-Illness")}
    tasks = [
        Task(name="kind", labels=labels["kind"], metric="accuracy"),
        Task(name="tags", type="tagging", inputs="tokens", labels=labels["tags"], metric="entity_f1_spans"),
        Task(name="score", type="regression", metric="pearson", score_range=(0, 9)),
    ]
    MultiTaskModel.from_encoder(bert, tasks, max_length=24).save_pretrained(tmp_path / "model")
    (tmp_path / "kind.tsv").write_text("text\tlabel\npola rimu\talpha\nvono\talpha\n")
    (tmp_path / "tags.conll").write_text("pola O\nzalpidine B-Drug\n\nvono O\n")
    (tmp_path / "score.tsv").write_text("text\tscore\npola rimu\t1\nvono\t2\nkorin\t3\n")
    own = tmp_path / "own.yaml"
    own.write_text(
        "tasks:\n  kind: {type: classification, files: {test: kind.tsv}}\n"
        "  tags: {type: tagging, files: {test: tags.conll}}\n  score: {type: regression, files: {test: score.tsv}}\n"
    )
    ended = command("evaluate", tmp_path / "model", "--data", own, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    scored = json.loads((tmp_path / "out" / "metrics.json").read_text())["tasks"]
    assert sorted(scored) == ["kind", "score", "tags"]
    (tmp_path / "kind.tsv").write_text("text\tlabel\npola rimu\talpha\nvono\tmaybe\n")
    ended = command("evaluate", tmp_path / "model", "--data", own, "--out", tmp_path / "other")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert (
        "task kind: the data's labels are not the model's, expected classification over alpha, none, zeta" in ended.err
    )
