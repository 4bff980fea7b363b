"""A type that another package registers: one class, with an entry point, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from biomtl.encoders import load_encoder
from biomtl.errors import InputError
from biomtl.heads.build import build_head, builder
from biomtl.scoring import score_records
from biomtl.scoring.metrics import metrics_of
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import check_record, task_type, type_names

CODE = """
from biomtl.tasks.types.classification import Classification
class Graded(Classification):
    name = "graded"

class Odd(Graded):
    name = "odd"

def head(task, encoder, choice):
    from biomtl.heads.build import classification
    built = classification(task, encoder, choice)
    built.own = True
    return built
"""
GRADED = Task(name="grade", type="graded", inputs="text", labels=("low", "mid", "high"), metric="macro_f1")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package as pip leaves it: a module, and what its metadata say."""
    (tmp_path / "graded_types.py").write_text(CODE)
    metadata = tmp_path / "graded_types-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: graded-types\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[biomtl.task_types]\ngraded = graded_types:Graded\nodd = graded_types:Odd\n"
        "[biomtl.heads]\nodd = graded_types:head\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (task_type, type_names, builder):
        cached.cache_clear()
    yield
    for cached in (task_type, type_names, builder):
        cached.cache_clear()


def test_its_head_is_its_own_or_its_parent_s(bert: Path) -> None:
    encoder = load_encoder(bert)
    inherited = build_head(GRADED, encoder, HeadChoice())
    assert type(inherited) is type(
        build_head(GRADED.model_copy(update={"type": "classification"}), encoder, HeadChoice())
    )
    assert build_head(GRADED.model_copy(update={"type": "odd"}), encoder, HeadChoice()).own
    with pytest.raises(InputError, match=r"no head for tasks of type new, register .* docs/own-tasks\.md"):
        builder(("new",))


def test_its_kind_is_that_of_the_class_it_derives_from() -> None:
    assert task_type("graded").family == ("graded", "classification")
    assert task_type("graded").answer == "label"
    assert task_type("span").family == ("span",)
    assert task_type("span").answer == "other"
    with pytest.raises(InputError, match="unknown type 'nothing'"):
        task_type("nothing")


def test_records_are_checked_as_those_of_its_kind() -> None:
    record = {"id": "1", "doc_id": "1", "text": "a", "label": "mid"}
    assert check_record(GRADED, record) is None
    assert "unknown label 'hi'" in (check_record(GRADED, record | {"label": "hi"}) or "")
    assert "without 'label'" in (check_record(GRADED, {"id": "1", "doc_id": "1", "text": "a"}) or "")


def test_metrics_of_its_kind_fit_and_others_do_not() -> None:
    gold = [{"id": str(i), "doc_id": str(i), "label": label} for i, label in enumerate(("low", "mid", "high", "low"))]
    predicted = [{"id": str(i), "label": "low"} for i in range(4)]
    score = score_records(GRADED, gold, predicted)
    assert score.metrics["macro_f1"].value == pytest.approx((2 / 3) / 3)
    assert score.confusion is not None
    with pytest.raises(InputError, match=r"metric pearson is for regression, the task is graded, metrics for graded"):
        metrics_of(GRADED.model_copy(update={"metric": "pearson"}))


def test_it_is_trained_scored_and_predicted(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "".join(f"pola {i}\t{'xy'[i % 2]}\n" for i in range(8)))
    recipe = tmp_path / "own.yaml"
    recipe.write_text("tasks: [{name: grade, type: graded, files: {train: rows.tsv, dev: rows.tsv}}]\n")
    out = tmp_path / "run"
    settings = (f"encoder={bert}", f"output={out}", "num_train_epochs=1", "max_length=32", "save_strategy=no")
    trained = command("train", recipe, *settings)
    assert trained.code == 0, trained.err
    assert json.loads((out / "metrics.json").read_text())["tasks"]["grade"]["dev"]["metric"] == "accuracy"
    assert command("evaluate", out, "--data", recipe, "--split", "dev", "--out", tmp_path / "again").code == 0
    found = json.loads(command("predict", out, "-", stdin=b"pola rimu\n").out)
    assert found["tasks"]["grade"]["label"] in ("x", "y")
