"""What each task type makes of records and outputs."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import tiny
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.tasks.types.base import TaskRows, task_types, type_of
from biomtl.tasks.types.classification import softmax

CLASSES, SCORES, LABELS, TAGS = (tiny.task(name) for name in ("cls-text", "reg-text", "multi-text", "tag-drug"))


def test_the_registered_types() -> None:
    assert {"classification", "regression", "multilabel", "tagging"} <= set(task_types())
    assert all(kind.name == name for name, kind in task_types().items())


def test_targets() -> None:
    assert type_of(CLASSES).target({"label": "drug"}, CLASSES).tolist() == [1]
    assert type_of(SCORES).target({"score": 3}, SCORES).tolist() == [3.0]
    assert type_of(LABELS).target({"labels": ["milo", "drug"]}, LABELS).tolist() == [[1, 0, 1]]
    assert type_of(LABELS).target({"labels": []}, LABELS).tolist() == [[0, 0, 0]]
    assert type_of(TAGS).target({"tags": ["O", "I-Drug", "B-Drug"]}, TAGS).tolist() == [0, 2, 1]


def test_classification_decodes_the_likeliest() -> None:
    decoded = type_of(CLASSES).decode(np.array([[1.0, 3.0]], dtype=np.float32), CLASSES)
    assert decoded["label"] == "drug"
    assert decoded["probabilities"] == pytest.approx({"none": 0.119203, "drug": 0.880797})


def test_classification_loss_is_the_mean_over_rows() -> None:
    outputs, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), torch.tensor([0, 0, 1])
    expected = sum(-functional.log_softmax(o, -1)[t] for o, t in zip(outputs, targets, strict=True)) / 3
    assert type_of(CLASSES).loss(outputs, targets, CLASSES) == pytest.approx(float(expected))


def test_regression_is_in_the_corpus_own_units() -> None:
    kind = type_of(SCORES)
    assert kind.decode(np.array([[4.5]], dtype=np.float32), SCORES) == {"score": 4.5}  # not clipped
    # An error of the whole range is 1 whatever the range.
    assert kind.loss(torch.tensor([[4.0]]), torch.tensor([0.0]), SCORES) == 1.0
    wide = SCORES.model_copy(update={"score_range": (0.0, 100.0)})
    assert kind.loss(torch.tensor([[100.0]]), torch.tensor([0.0]), wide) == 1.0


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_regression_starts_at_the_middle(encoders: dict[str, Path], family: str) -> None:
    encoder = TransformerEncoder.load(encoders[family])
    head = type_of(SCORES).build_head(SCORES, encoder).eval()
    biases = [m.bias for m in head.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 1]
    assert [bias.item() for bias in biases] == [2.0]


def test_multilabel_threshold_and_loss() -> None:
    kind = type_of(LABELS)
    outputs = np.array([[0.0, -0.1, 5.0]], dtype=np.float32)
    decoded = kind.decode(outputs, LABELS)
    assert decoded["labels"] == ["drug", "milo"]  # a half is enough
    assert decoded["probabilities"]["illness"] == pytest.approx(1 / (1 + math.exp(0.1)), abs=1e-6)
    assert kind.decode(np.full((1, 3), -9.0, dtype=np.float32), LABELS)["labels"] == []
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    logits = torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, -2.0]])
    expected = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum() / 6
    assert kind.loss(logits, targets, LABELS) == pytest.approx(float(expected))


def test_extreme_outputs_stay_numbers() -> None:
    huge = np.array([[1e30, -1e30, 0.0]], dtype=np.float32)
    assert softmax(huge).tolist() == [[1.0, 0.0, 0.0]]
    with np.errstate(over="raise"):
        values = type_of(LABELS).decode(huge, LABELS)["probabilities"]
    assert values == {"drug": 1.0, "illness": 0.0, "milo": 0.5}


def test_tagging_loss_leaves_words_without_piece_out() -> None:
    kind = type_of(TAGS)
    outputs = torch.tensor([[2.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    targets = torch.tensor([0, -100, 1])
    loss = kind.loss(outputs, targets, TAGS)
    assert loss.item() == pytest.approx(float(functional.cross_entropy(outputs[[0, 2]], targets[[0, 2]])))
    loss.backward()
    assert outputs.grad is not None
    assert outputs.grad[1].abs().sum() == 0
    assert kind.loss_denominator(targets) == 2
    assert kind.loss(outputs[:1], torch.tensor([-100]), TAGS) == 0


def test_tagging_reads_words_at_their_sites() -> None:
    class Head(torch.nn.Module):
        def forward(self, encoded: torch.Tensor) -> torch.Tensor:
            return encoded

    logits = torch.arange(24.0).view(2, 4, 3)
    sites = torch.tensor([[1, 2], [-1, -1], [0, 1]])
    rows = TaskRows(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.zeros(2), torch.tensor([3]), sites)
    outputs = type_of(TAGS).outputs(Head(), logits, rows)  # type: ignore[arg-type]
    assert outputs[[0, 2]].tolist() == [logits[1, 2].tolist(), logits[0, 1].tolist()]
    decoded = type_of(TAGS).decode(outputs.numpy(), TAGS)
    assert decoded["tags"][1] == "O"
    assert type_of(TAGS).decode(np.zeros((0, 3), dtype=np.float32), TAGS) == {"tags": [], "probabilities": []}


def test_mentions() -> None:
    record = {"tokens": ["a", "zal", "-", "pi", "b"], "offsets": [[10, 11], [12, 15], [15, 16], [16, 18], [20, 21]]}
    prediction = {"tags": ["O", "B-Drug", "I-Drug", "I-Drug", "B-Drug"], "probabilities": [1, 0.9, 0.5, 0.8, 0.7]}
    mentions = type_of(TAGS).describe(record, prediction, TAGS)["mentions"]
    assert mentions == [
        {"type": "Drug", "start": 12, "end": 18, "text": "zal-pi", "probability": 0.5},
        {"type": "Drug", "start": 20, "end": 21, "text": "b", "probability": 0.7},
    ]


def test_records_are_checked_by_the_type() -> None:
    rng = random.Random(0)
    for name in tiny.TASKS:
        task = tiny.task(name)
        assert type_of(task).check(tiny.record(name, rng, 0), task) is None
        assert type_of(task).check({"id": "1"}, task) is not None


def test_unknown_heads_and_options(bert: Path) -> None:
    encoder = TransformerEncoder.load(bert)
    with pytest.raises(InputError, match="no head 'sam' for type classification, expected default, san, stack"):
        type_of(CLASSES).build_head(CLASSES.model_copy(update={"head": "sam"}), encoder)
    with pytest.raises(InputError, match=r"options of the default head \(turns\)"):
        type_of(CLASSES).build_head(CLASSES.model_copy(update={"head_options": {"turns": 2}}), encoder)
    with pytest.raises(InputError, match="head_options"):
        type_of(CLASSES).build_head(CLASSES.model_copy(update={"head": "san", "head_options": {"turn": 2}}), encoder)


@pytest.mark.parametrize("name", ["reg-text", "reg-apart", "multi-text", "tag-drug"])
def test_a_head_that_a_type_does_not_have(bert: Path, name: str) -> None:
    """A SAN head gives log-probabilities of classes: no scores, no labels that hold together, no tags."""
    task, encoder = tiny.task(name), TransformerEncoder.load(bert)
    with pytest.raises(InputError, match=rf"no head 'san' for type {task.type}, expected default, stack"):
        type_of(task).build_head(task.model_copy(update={"head": "san"}), encoder)
    with pytest.raises(InputError, match=r"options of the default head \(crf\)"):
        type_of(task).build_head(task.model_copy(update={"head_options": {"crf": True}}), encoder)


def test_a_san_head_reads_one_sequence(bert: Path) -> None:
    task = tiny.task("cls-apart").model_copy(update={"head": "san"})
    with pytest.raises(InputError, match="a SAN head over texts that are encoded apart"):
        type_of(task).build_head(task, TransformerEncoder.load(bert))


@pytest.mark.parametrize("head", ["default", "stack"])
def test_a_word_without_piece_is_outside_wherever_that_tag_stands(bert: Path, head: str) -> None:
    options = {"head": "stack", "head_options": {"crf": True}} if head == "stack" else {}
    task = TAGS.model_copy(update={"labels": ("B-Drug", "I-Drug", "O"), **options})
    model = MultiTaskModel.from_encoder(bert, [task])
    record = {"id": "1", "tokens": ["\u200b", "\u200b"], "offsets": [[0, 1], [2, 3]]}
    assert predict_records(model, {"tag-drug": [record]})["tag-drug"][0]["tags"] == ["O", "O"]


def test_marks_of_pieces_are_no_tags() -> None:
    """MT-BlueBERT's taggers may choose the class of later pieces or of [CLS] for a word."""
    task = TAGS.model_copy(update={"labels": (*TAGS.labels, "X", "CLS", "SEP")})
    kind = type_of(task)
    assert kind.decode(np.eye(6, dtype=np.float32), task)["tags"] == ["O", "B-Drug", "I-Drug", "O", "O", "O"]
    assert kind.answers(task) == set(TAGS.labels)
