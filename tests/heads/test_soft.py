"""Outputs as distributions: against gold they give the head's own loss, and a divergence is what its formula says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.heads.losses import SquaredError
from biomtl.heads.rows import TaskRows
from biomtl.heads.soft import Classes, Labels, Scores, Soft, Spans, counted, is_plain, soft_of
from biomtl.model import MultiTaskModel
from biomtl.tasks.task import Task

SPAN = Task.model_validate({"name": "answer", "type": "span", "inputs": "text", "metric": "span_exact_match"})
RANK = Task.model_validate({"name": "rank", "type": "ranking", "inputs": "candidates", "metric": "accuracy_at_1"})


def rows_of(model: MultiTaskModel, records: dict[str, list[dict[str, object]]]) -> tuple[object, dict[str, TaskRows]]:
    examples = encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    return batch.inputs, batch.tasks


@pytest.mark.parametrize("name", tiny.TASKS)
def test_against_gold_it_is_the_heads_own_loss(bert: Path, name: str) -> None:
    model = tiny.model(bert, [name], max_length=24).eval()
    inputs, tasks = rows_of(model, {name: tiny.records(name, 9)})
    answer = model(inputs, tasks)[name]
    soft = soft_of(model.tasks[name])
    assert soft is not None
    assert is_plain(model.head(name))
    rows = tasks[name]
    own = soft.mean(soft.loss(answer.outputs, soft.gold(answer.outputs, rows), rows), rows)
    torch.testing.assert_close(own, answer.loss)


def test_spans_and_candidates(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [SPAN, RANK], max_length=40).eval()
    texts = ["pola rimu zalpidine vono .", "milo dasu ."]
    spans = [{"id": str(i), "text": text, "start": 5, "end": 9} for i, text in enumerate(texts)]
    ranks = [
        {"id": "0", "text": texts[0], "candidates": ["pola", "rimu", "milo"], "label": 2},
        {"id": "1", "text": texts[1], "candidates": ["pola", "dasu"], "label": 0},
    ]
    inputs, tasks = rows_of(model, {"answer": spans, "rank": ranks})
    for name, answer in model(inputs, tasks).items():
        soft, rows = soft_of(model.tasks[name]), tasks[name]
        assert soft is not None
        own = soft.mean(soft.loss(answer.outputs, soft.gold(answer.outputs, rows), rows), rows)
        torch.testing.assert_close(own, answer.loss)
        other = answer.outputs + torch.randn_like(answer.outputs)
        other = other if name == "rank" else torch.cat([w.log_softmax(0) for w in other.split(rows.output_counts)])
        apart = soft.divergence(answer.outputs, other, rows)
        assert apart.isfinite().all()
        assert soft.mean(apart, rows) > 0
        assert soft.divergence(answer.outputs, answer.outputs, rows).abs().max() < 1e-6


def three() -> TaskRows:
    none = torch.zeros(3, dtype=torch.long)
    return TaskRows(torch.arange(3), torch.arange(3), none, (1, 1, 1), loss_denominator=3)


def test_divergences_by_their_formulas() -> None:
    torch.manual_seed(0)
    first, second, rows = torch.randn(3, 4), torch.randn(3, 4), three()
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    expected = (functional.kl_div(p, q, log_target=True, reduction="none").sum(-1)) / 2
    expected = expected + functional.kl_div(q, p, log_target=True, reduction="none").sum(-1) / 2
    torch.testing.assert_close(Classes().divergence(first, second, rows), expected)
    p, q = first.sigmoid(), second.sigmoid()
    both = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    both = both + q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
    torch.testing.assert_close(Labels().divergence(first, second, rows), both.mean(-1) / 2)
    squared = ((first[:, :1] - second[:, :1]) / 4).square().squeeze(-1)
    torch.testing.assert_close(Scores(0, 4).divergence(first[:, :1], second[:, :1], rows), squared)


def test_a_word_without_pieces_does_not_count() -> None:
    positions = torch.tensor([[[0, 1]], [[-1, -1]], [[0, 2]]])
    rows = TaskRows(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), (3,), word_positions=positions)
    assert counted(rows).tolist() == [1, 0, 1]
    rows.loss_denominator = 2
    assert Soft.mean(Classes(), torch.tensor([1.0, 100.0, 3.0]), rows) == 2


def test_heads_with_losses_of_their_own(bert: Path) -> None:
    tasks = [tiny.task(name) for name in ("tag-drug", "cls-text", "reg-apart")]
    heads = {
        "tag-drug": tiny.head("tag-drug", crf=True),
        "cls-text": tiny.head("cls-text", class_weights=(1.0, 2.0)),
        "reg-apart": tiny.head("reg-apart", compare="cosine"),
    }
    model = MultiTaskModel.from_encoder(bert, tasks, heads=heads, max_length=24)
    assert not any(is_plain(model.head(task.name)) for task in tasks)
    assert SquaredError(0, 2) == SquaredError(0, 2)
    assert isinstance(soft_of(SPAN), Spans)
