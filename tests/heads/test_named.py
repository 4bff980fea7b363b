"""Named losses against their formulas in plain arithmetic, and which task types have which."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.errors import InputError
from biomtl.heads.named import LOSSES, NamedLoss, compare, divergence_of, loss_names, set_loss
from biomtl.heads.rows import TaskRows
from biomtl.heads.soft import Classes, Labels, Scores, Spans, is_plain
from biomtl.model import MultiTaskModel
from biomtl.training import run
from biomtl.training.recipe import Recipe

LOGITS = [[2.0, 0.0, -1.0], [0.3, -0.2, 1.1]]
GOLD = [0, 1]


def rows(targets: torch.Tensor, weights: list[float] | None = None) -> TaskRows:
    ids = torch.arange(len(targets))
    given = None if weights is None else torch.tensor(weights)
    counts = (1,) * len(targets)
    return TaskRows(ids, ids, ids * 0, counts, targets=targets, loss_denominator=len(targets), weights=given)


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(value) for value in logits]
    return [power / sum(powers) for power in powers]


def kl(p: list[float], q: list[float]) -> float:
    """The divergence of ``q`` from ``p``, with no probability in a logarithm below 1e-6."""
    return sum(a * (math.log(max(a, 1e-6)) - math.log(max(b, 1e-6))) for a, b in zip(p, q, strict=True))


def by_hand(name: str, p: list[float], q: list[float]) -> float:
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    pairs = list(zip(p, q, strict=True))
    lengths = math.sqrt(sum(a * a for a in p)) * math.sqrt(sum(b * b for b in q))
    return {
        "cross_entropy": -sum(b * math.log(a) for a, b in pairs),
        "mse": sum((a - b) ** 2 for a, b in pairs),
        "sym_kl": kl(p, q) + kl(q, p),
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "hellinger": sum((math.sqrt(max(a, 1e-6)) - math.sqrt(max(b, 1e-6))) ** 2 for a, b in pairs) / 2,
        "cosine": 1 - sum(a * b for a, b in pairs) / lengths,
    }[name]


# The same from scipy (jensenshannon squared, cosine, rel_entr), so that both can't be wrong alike.
STATED = {
    "cross_entropy": 1.006626, "mse": 0.576545, "sym_kl": 7.158968, "js": 0.259808, "hellinger": 0.341788,
    "cosine": 0.384495,
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_against_gold_by_the_formula(name: str) -> None:
    """Largest difference from plain arithmetic: 3e-7."""
    outputs, asked = torch.tensor(LOGITS), rows(torch.tensor(GOLD))
    ones = [[float(i == gold) for i in range(3)] for gold in GOLD]
    expected = [by_hand(name, softmax(row), one) for row, one in zip(LOGITS, ones, strict=True)]
    assert sum(expected) / 2 == pytest.approx(STATED[name], abs=1e-3 if name == "hellinger" else 2e-5)
    loss = NamedLoss(Classes(), name)
    assert float(loss(outputs, asked)) == pytest.approx(sum(expected) / 2, abs=1e-6)
    weighted = rows(torch.tensor(GOLD), [3.0, 0.5])
    assert float(loss(outputs, weighted)) == pytest.approx((3 * expected[0] + 0.5 * expected[1]) / 2, abs=2e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_several_labels_are_each_a_distribution(name: str) -> None:
    outputs, gold = torch.tensor([[1.5, -0.4]]), torch.tensor([[1.0, 0.0]])
    each = [[1 / (1 + math.exp(-x)), 1 - 1 / (1 + math.exp(-x))] for x in (1.5, -0.4)]
    expected = (by_hand(name, each[0], [1.0, 0.0]) + by_hand(name, each[1], [0.0, 1.0])) / 2
    assert float(NamedLoss(Labels(), name)(outputs, rows(gold))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES[1:])
def test_divergences_between_two_passes(name: str) -> None:
    first, second = torch.tensor([LOGITS[0]]), torch.tensor([LOGITS[1]])
    asked = rows(torch.tensor([0]))
    found = float(compare(Classes(), name, second, first.softmax(-1), asked))
    assert found == pytest.approx(by_hand(name, softmax(LOGITS[1]), softmax(LOGITS[0])), abs=1e-6)
    assert float(compare(Classes(), name, first, first.softmax(-1), asked)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_confidently_wrong_output_still_learns(name: str) -> None:
    outputs = torch.tensor([[-20.0, 20.0, 0.0]], requires_grad=True)
    NamedLoss(Classes(), name)(outputs, rows(torch.tensor([0]))).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


def test_which_types_have_which_losses() -> None:
    assert loss_names(Scores(0, 5)) == ("mse",)
    assert loss_names(Spans()) == ("cross_entropy", "mse", "sym_kl", "js", "hellinger")
    assert loss_names(Classes()) == LOSSES


def test_heads_accept_and_refuse_them(bert: Path) -> None:
    names = ["cls-text", "tag-drug", "reg-pair"]
    model = tiny.model(bert, names, max_length=24).eval()
    for name in names[:2]:
        set_loss(model.tasks[name], model.head(name), "js", "hellinger")
        assert not is_plain(model.head(name))
    records = {name: tiny.records(name, 5) for name in names}
    batch = collate(encode_examples(model.processor, model.tasks, records, targets=True), model.processor)
    for name, answer in model(batch.inputs, batch.tasks).items():
        assert answer.loss is not None
        assert answer.loss.item() > 0
        if name != "reg-pair":
            assert answer.loss.item() <= math.log(2) + 1e-6  # the most of this divergence
            divergence = divergence_of(model.tasks[name], model.head(name))
            assert divergence is not None
            assert divergence(answer.outputs, answer.outputs, batch.tasks[name]).abs().max() < 1e-6
    with pytest.raises(InputError, match="loss js for type regression, expected mse"):
        set_loss(model.tasks["reg-pair"], model.head("reg-pair"), "js")
    crf = {"tag-drug": tiny.head("tag-drug", crf=True)}
    chain = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug")], heads=crf)
    with pytest.raises(InputError, match="its own loss"):
        set_loss(chain.tasks["tag-drug"], chain.head("tag-drug"), "js")


def test_a_run_trains_with_a_named_loss(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fit(model: MultiTaskModel, *given: Any, **options: Any) -> Any:
        seen.append(model.head("cls-text").objective)
        return runs_fit(model, *given, **options)

    runs_fit = run.fit
    monkeypatch.setattr(run, "fit", fit)
    keys = {"encoder": str(bert), "suite": str(small_suite), "max_length": 24, "max_steps": 2, "eval_strategy": "no"}
    tasks = {"cls-text": {"loss": "hellinger", "divergence": "js"}, "tag-drug": {"divergence": "sym_kl"}}
    recipe = Recipe.model_validate(
        {**keys, "tasks": tasks, "smart": {}, "predict_test": False, "output": str(tmp_path / "run")}
    )
    trained = run.train(recipe)
    [loss] = seen
    assert isinstance(loss, NamedLoss)
    assert not isinstance(trained.model.head("cls-text").objective, NamedLoss)  # its next run may have another
    assert loss.name == "hellinger"
    assert "loss: hellinger" in (tmp_path / "run" / "recipe.yaml").read_text()
