"""What each task type makes of records and outputs."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import tiny
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.types.base import task_type, type_names, type_of
from biomtl.tasks.types.classification import softmax

CLASSES, SCORES, LABELS, TAGS = (tiny.task(name) for name in ("cls-text", "reg-text", "multi-text", "tag-drug"))


def test_the_registered_types() -> None:
    assert {"classification", "regression", "multilabel", "tagging"} <= set(type_names())
    assert all(task_type(name).name == name for name in type_names())


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


def test_regression_is_in_the_corpus_own_units() -> None:
    kind = type_of(SCORES)
    assert kind.decode(np.array([[4.5]], dtype=np.float32), SCORES) == {"score": 4.5}  # not clipped


def test_multilabel_threshold() -> None:
    kind = type_of(LABELS)
    outputs = np.array([[0.0, -0.1, 5.0]], dtype=np.float32)
    decoded = kind.decode(outputs, LABELS)
    assert decoded["labels"] == ["drug", "milo"]  # a half is enough
    assert decoded["probabilities"]["illness"] == pytest.approx(1 / (1 + math.exp(0.1)), abs=1e-6)
    assert kind.decode(np.full((1, 3), -9.0, dtype=np.float32), LABELS)["labels"] == []
    strict = HeadChoice(name="mlp", options={"threshold": 0.6})
    assert kind.decode(outputs, LABELS, strict)["labels"] == ["milo"]


def test_extreme_outputs_stay_finite() -> None:
    huge = np.array([[1e30, -1e30, 0.0]], dtype=np.float32)
    assert softmax(huge).tolist() == [[1.0, 0.0, 0.0]]
    with np.errstate(over="raise"):
        values = type_of(LABELS).decode(huge, LABELS)["probabilities"]
    assert values == {"drug": 1.0, "illness": 0.0, "milo": 0.5}


def test_words_without_piece_do_not_count() -> None:
    assert type_of(TAGS).loss_denominator(np.array([0, -100, 1])) == 2
    assert type_of(TAGS).loss_denominator(np.array([-100])) == 0
    assert type_of(SCORES).loss_denominator(np.array([-100.0])) == 1  # a score like any other


def test_a_sentence_without_words_has_no_tags() -> None:
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


def test_marks_of_pieces_are_not_tags() -> None:
    """MT-BlueBERT's taggers may choose the class of later pieces or of [CLS] for a word."""
    task = TAGS.model_copy(update={"labels": (*TAGS.labels, "X", "CLS", "SEP")})
    kind = type_of(task)
    assert kind.decode(np.eye(6, dtype=np.float32), task)["tags"] == ["O", "B-Drug", "I-Drug", "O", "O", "O"]
    assert kind.answers(task) == set(TAGS.labels)
