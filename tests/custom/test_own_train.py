"""From a recipe with only own tasks to a run, its scores, and other commands that accept the same recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from biomtl.cli.main import app
from biomtl.storage.checksums import sha256
from biomtl.training.recipe_io import load_recipe

DATA = Path(__file__).parents[1] / "data/custom"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run over every sample of docs/own-tasks.md, and what the command printed."""
    folder = tmp_path_factory.mktemp("own") / "run"
    settings = [f"encoder={bert}", f"output={folder}", "num_train_epochs=1", "max_length=32", "save_strategy=no"]
    return folder, run("train", str(DATA / "own.yaml"), *settings)


def test_the_plan_says_what_was_inferred_and_what_is_shared(trained: tuple[Path, str]) -> None:
    _, output = trained
    assert "task certainty: 2 labels (sure, unsure), inferred from " in output
    assert "warning: rows in training that are also scored" in output
    assert "of 4 training rows share a" in " ".join(output.split())


def test_every_task_has_a_score_and_every_file_a_checksum(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["tasks"]) == [
        "effect",
        "certainty",
        "inference",
        "similarity",
        "topics",
        "drugs",
        "reaction",
        "answer",
        "where",
    ]
    assert metrics["tasks"]["answer"]["dev"]["metric"] == "mean reciprocal rank of the right candidate"
    data = metrics["provenance"]["data"]
    assert list(data["where"]["train"].values()) == [sha256(DATA / "span.tsv")]
    assert len(data["drugs"]["train"]) == 4
    assert metrics["provenance"]["overlap"]["exclude_overlap"] is False
    assert metrics["provenance"]["overlap"]["rows"]["effect"] == 4
    rows = [json.loads(line) for line in (folder / "predictions/where/dev.jsonl").read_text().splitlines()]
    assert [set(row) for row in rows] == [{"id", "start", "end", "answer", "probability"}] * 4


def test_the_runs_recipe_is_self_contained(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    assert (
        load_recipe(folder / "recipe.yaml").own_tasks["effect"].files
        == load_recipe(DATA / "own.yaml").own_tasks["effect"].files
    )


def test_the_recipe_serves_evaluate_and_finetune_as_data(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = trained
    run("evaluate", str(folder), "--data", str(DATA / "own.yaml"), "--split", "dev", "--out", str(tmp_path / "scores"))
    again = json.loads((tmp_path / "scores/metrics.json").read_text())["tasks"]
    first = json.loads((folder / "metrics.json").read_text())["tasks"]
    assert {name: task["dev"]["value"] for name, task in again.items()} == pytest.approx(
        {name: task["dev"]["value"] for name, task in first.items()}, abs=1e-6
    )
    options = ["--task", "topics", "--data", str(DATA / "own.yaml"), "--out", str(tmp_path / "topics")]
    run("finetune", str(folder), *options, "num_train_epochs=1", "save_strategy=no")
    assert list(json.loads((tmp_path / "topics/metrics.json").read_text())["tasks"]) == ["topics"]


def test_raw_questions_with_candidates_are_ranked(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = trained
    (tmp_path / "in.jsonl").write_bytes((DATA / "ranking.jsonl").read_bytes())
    run("predict", str(folder), str(tmp_path / "in.jsonl"), "--task", "answer", "--out", str(tmp_path / "out.jsonl"))
    found = [json.loads(line)["tasks"]["answer"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [len(answer["probabilities"]) for answer in found] == [2, 3, 2, 2]
    for answer in found:  # written probabilities have six digits, so that two may be equal
        assert answer["probabilities"][answer["label"]] == max(answer["probabilities"])


def test_own_relations_are_scored_and_audited(trained: tuple[Path, str]) -> None:
    folder, output = trained
    assert "task reaction: train: 1 of 2 relations are not covered" in " ".join(output.split())
    said = run(
        "score",
        str(DATA / "own.yaml"),
        str(folder / "predictions/reaction/dev.jsonl"),
        "--task",
        "reaction",
        "--split",
        "dev",
    )
    assert "micro-averaged F1 without the negative class" in said
    assert "macro-averaged F1 without the negative class" in said
    assert "reaction train" in run("audit", str(DATA / "own.yaml"))
