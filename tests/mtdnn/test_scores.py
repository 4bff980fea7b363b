"""MT-DNN's score files against its gold files and ours, and the files that `evaluate` writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.scoring import score
from biomtl.tasks.task import Task

KIND = Task(name="kind", type="classification", labels=("no", "yes", "other"), metric="accuracy")
STS = Task(name="sts", type="regression", inputs="pair", metric="pearson", score_range=(0, 5))
NER = Task(name="ner", type="tagging", inputs="tokens", labels=("O", "B-X", "I-X"), metric="entity_f1_conlleval")
PREDICTED = {"metrics": {"ACC": 66.7}, "predictions": [1, 0, 2], "uids": [7, "8", "9"], "scores": [0.1, 0.8, 0.1] * 3}
TAGS = {"predictions": [[3, 1, 2, 0, 4], [5, 0, 1, 1, 0]], "uids": ["a", "b"], "scores": [0.5] * 60}
PIECES = [
    {"uid": "a", "label": [4, 1, 3, 0, 5], "token_id": [2, 4, 5, 6, 3], "type_id": [0] * 5},
    {"uid": "b", "label": [4, 0, 1, 2, 5], "token_id": [2, 4, 5, 6, 3], "type_id": [0] * 5},
]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "gold",
    [
        ["7\tyes\tMilo.", "8\tno\tRimu.", "9\tno\tVono."],
        [{"uid": n, "label": name, "premise": "Milo."} for n, name in ((7, "yes"), (8, "no"), (9, "no"))],
        [{"uid": n, "label": at, "token_id": [2], "type_id": [0]} for n, at in ((7, 1), (8, 0), (9, 0))],
        [{"id": str(n), "label": name, "text": "Milo."} for n, name in ((7, "yes"), (8, "no"), (9, "no"))],
    ],
)
def test_classes_against_every_form_of_gold(tmp_path: Path, gold: list[Any]) -> None:
    found = score(KIND, write(tmp_path / "gold", *gold), write(tmp_path / "scores.json", PREDICTED), resamples=0)
    assert found.main.value == pytest.approx(2 / 3)


def test_scores(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.tsv", "0\t1\tA\tB", "1\t2\tA\tB", "2\t4\tA\tB")
    rows = {"predictions": [0, 0, 0], "uids": [0, 1, 2], "scores": [2.0, 3.0, 5.0]}
    assert score(STS, gold, write(tmp_path / "s.json", rows), resamples=0).main.value == pytest.approx(1)


def test_lines_of_mt_bluebert(tmp_path: Path) -> None:
    """Its second file has a row per line; the scores of classes stand beside the wrong rows there."""
    gold = write(tmp_path / "gold.tsv", "7\tyes\tMilo.", "8\tno\tRimu.")
    rows = [{"uid": "7", "score": 0.1, "prediction": 1}, {"uid": "8", "score": 0.8, "prediction": 1}]
    assert score(KIND, gold, write(tmp_path / "p.json", *rows), resamples=0).main.value == pytest.approx(0.5)


def test_tags_of_pieces(tmp_path: Path) -> None:
    """Positions that gold marks are left out; a mark that is predicted for a word counts as O."""
    found = score(NER, write(tmp_path / "gold.json", *PIECES), write(tmp_path / "s.json", TAGS), resamples=0)
    # a: gold B O, predicted B O; b: gold O B I, predicted O B B.
    assert (found.main.precision, found.main.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (KIND, PREDICTED | {"uids": [7]}, "1 uids, 3 predictions, 9 scores, expected as many of each"),
        (KIND, PREDICTED | {"predictions": [1, 0, 3]}, "prediction 3, expected a label of no, yes, other"),
        (KIND, PREDICTED | {"predictions": [1, 0, None]}, "prediction None"),
        (KIND, PREDICTED | {"predictions": "abc"}, "values that are not lists"),
        (KIND, PREDICTED | {"uids": [7, 8, 10]}, "unknown id '10'"),
        (STS.model_copy(update={"type": "ranking"}), PREDICTED, "a score file for type ranking"),
    ],
)  # fmt: skip
def test_score_files_that_do_not_fit(tmp_path: Path, task: Task, rows: dict[str, Any], message: str) -> None:
    gold = write(tmp_path / "gold.jsonl", *({"id": str(n), "label": "no", "text": "A"} for n in (7, 8, 9)))
    task = task if task.type != "ranking" else task.model_copy(update={"metric": "accuracy_at_1", "score_range": None})
    with pytest.raises(InputError, match=message):
        score(task, gold, write(tmp_path / "s.json", rows), resamples=0)


def test_tags_of_pieces_need_the_pieces_of_gold(tmp_path: Path) -> None:
    gold = write(tmp_path / "g.jsonl", *({"id": name, "tokens": ["A", "B"], "tags": ["O", "O"]} for name in "ab"))
    with pytest.raises(InputError, match=r"5 predicted tags for 2 gold tags of 'a'.*JSON lines of word pieces"):
        score(NER, gold, write(tmp_path / "s.json", TAGS), resamples=0)


def test_evaluate_writes_what_score_reads(
    tmp_path: Path, small_model: Path, small_suite: Path, command: Callable[..., Any]
) -> None:
    out, call = tmp_path / "out", ["evaluate", small_model, "--data", small_suite, "--format", "mtdnn"]
    names = ("cls-text", "reg-pair", "tag-drug")
    ended = command(*call, "--out", out, *(word for name in names for word in ("--task", name)))
    assert ended.code == 0, ended.err
    metrics = json.loads((out / "metrics.json").read_text())["tasks"]
    for name in names:
        path, gold = out / f"{name}_test_scores.json", small_suite / name / "test.jsonl"
        content = json.loads(path.read_text())
        assert len(content["uids"]) == len(content["predictions"]) == len(gold.read_text().splitlines())
        found = score(Task.read(small_suite / name / "task.yaml"), gold, path, resamples=0)
        assert found.main.value == pytest.approx(metrics[name]["test"]["value"], nan_ok=True)
        assert all(isinstance(value, float | None) for value in content["metrics"].values())
        assert next(iter(content["metrics"])) in ("F1", "Pearson", "SeqEval", "entity_f1_spans")
    ended = command(*call, "--out", tmp_path / "b")
    assert ended.code == 2
    assert "task multi-text: MT-DNN has no score file for type multilabel" in ended.err
    ended = command(*call, "--out", tmp_path / "b", "--with-gold")
    assert "--with-gold and --format mtdnn" in ended.err
