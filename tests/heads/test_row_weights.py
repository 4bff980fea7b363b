"""A record's weight is the factor of its loss, for every type and every head with a loss of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import Batch, collate, encode_examples
from biomtl.heads.soft import soft_of
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task

WEIGHTS = (2.0, 0.0, 0.25, 1.0)
SPAN = Task.model_validate({"name": "span", "type": "span", "inputs": "text", "metric": "span_exact_match"})
RANK = Task.model_validate({"name": "rank", "type": "ranking", "inputs": "candidates", "metric": "accuracy_at_1"})
OTHERS: dict[str, tuple[Task, list[dict[str, Any]]]] = {
    "span": (SPAN, [{"text": f"pola rimu {word} .", "start": 5, "end": 9} for word in tiny.WORDS[:4]]),
    "rank": (RANK, [{"text": word, "candidates": ["pola", "rimu"], "label": 1} for word in tiny.WORDS[:4]]),
}
HEADS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in (*tiny.TASKS, *OTHERS)),
    ("tag-drug", {"crf": True}),
    ("tag-drug", {"class_weights": [1, 2, 3]}),
    ("cls-text", {"class_weights": [1, 2]}),
    ("multi-text", {"class_weights": [1, 2, 3]}),
    ("reg-apart", {"compare": "distance"}),
]


def losses(model: MultiTaskModel, name: str, records: list[dict[str, Any]]) -> tuple[float, int]:
    batch = batch_of(model, name, records)
    answer = model(batch.inputs, batch.tasks)[name]
    assert answer.loss is not None
    return float(answer.loss), answer.count


def batch_of(model: MultiTaskModel, name: str, records: list[dict[str, Any]]) -> Batch:
    examples = encode_examples(model.processor, model.tasks, {name: records}, targets=True, choices=model.choices)
    return collate(examples, model.processor)


@pytest.mark.parametrize(("name", "options"), HEADS)
def test_weights_are_factors_of_single_losses(bert: Path, name: str, options: dict[str, Any]) -> None:
    task, records = OTHERS[name] if name in OTHERS else (tiny.task(name), tiny.records(name, 4))
    choice = tiny.head(name, **options) if name not in OTHERS else DEFAULT_HEAD
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(bert, [task], heads={name: choice}, max_length=40).eval()
    with torch.inference_mode():
        single = [losses(model, name, [record]) for record in records]
        total = sum(count for _, count in single)
        given = [{**record, "weight": weight} for record, weight in zip(records, WEIGHTS, strict=True)]
        found, count = losses(model, name, given)
        plain, _ = losses(model, name, [{**record, "weight": 1} for record in records])
    assert count == total
    expected = sum(w * loss * n for w, (loss, n) in zip(WEIGHTS, single, strict=True)) / total
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert plain == pytest.approx(sum(loss * n for loss, n in single) / total, rel=1e-4, abs=1e-6)


def test_methods_that_recompute_losses_weight_them_too(bert: Path) -> None:
    model = tiny.model(bert, ["tag-drug"], max_length=40).eval()
    records = tiny.records("tag-drug", 4)
    batch = batch_of(model, "tag-drug", [{**record, "weight": w} for record, w in zip(records, WEIGHTS, strict=True)])
    answer, rows = model(batch.inputs, batch.tasks)["tag-drug"], batch.tasks["tag-drug"]
    soft = soft_of(model.tasks["tag-drug"])
    assert soft is not None
    own = soft.mean(soft.loss(answer.outputs, soft.gold(answer.outputs, rows), rows), rows)
    torch.testing.assert_close(own, answer.loss)


def test_weights_of_one_change_nothing_and_choices_are_kept(bert: Path) -> None:
    model = tiny.model(bert, ["cls-text"], max_length=24)
    batch = batch_of(model, "cls-text", [{**record, "weight": 1.0} for record in tiny.records("cls-text", 3)])
    assert batch.tasks["cls-text"].weights is None
    assert isinstance(model.choices["cls-text"], HeadChoice)
