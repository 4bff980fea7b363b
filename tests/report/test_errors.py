"""What counts as an error, and of which kind."""

from __future__ import annotations

from typing import Any

import pytest

from biomtl.report.answers import Answers
from biomtl.report.errors import Case, Fault, cases, confused_types, fair_shares
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task

TAGS = Task(
    name="t", type="tagging", inputs="tokens", metric="entity_f1_spans", labels=("O", "B-X", "I-X", "B-Y", "I-Y")
)


def found(task: Task, gold: dict[str, Any], predicted: dict[str, Any]) -> list[Case]:
    return list(cases(Answers(task, "test", [{"id": "a", **gold}], [{"id": "a", **predicted}])))


def tagged(gold: str, predicted: str) -> list[Case]:
    tokens = [f"w{i}" for i in range(len(gold.split()))]
    offsets = [[3 * i, 3 * i + 2] for i in range(len(tokens))]
    return found(TAGS, {"tokens": tokens, "offsets": offsets, "tags": gold.split()}, {"tags": predicted.split()})


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("O B-X I-X", "O B-X I-X", []),
        ("O B-X I-X", "O I-X I-X", []),  # the same mention, written with other tags
        ("O B-X O", "O O O", [(("missed",), "X", "")]),
        ("O O O", "O B-Y O", [(("spurious",), "", "Y")]),
        ("O B-X I-X", "O B-X O", [(("boundary",), "X", "X")]),
        ("O B-X O", "O B-Y O", [(("type",), "X", "Y")]),
        ("O B-X I-X", "B-Y I-Y O", [(("boundary", "type"), "X", "Y")]),
        # One prediction over two mentions is the first one's; the second has none.
        ("B-X B-X O", "B-X I-X O", [(("boundary",), "X", "X"), (("missed",), "X", "")]),
        # A right mention isn't taken for a neighbour that was missed.
        ("B-X O B-Y", "B-X O O", [(("missed",), "Y", "")]),
    ],
)
def test_mentions(gold: str, predicted: str, expected: list[Any]) -> None:
    faults = [fault for case in tagged(gold, predicted) for fault in case.faults]
    assert faults == [Fault(*fault) for fault in expected]


def test_marks_are_offsets_in_the_shown_text() -> None:
    [case] = tagged("B-X I-X O", "B-X O B-Y")
    assert case.texts == ("w0 w1 w2",)
    [gold] = case.gold_marks
    assert (case.texts[0][gold.start : gold.end], gold.right) == ("w0 w1", False)
    assert [(case.texts[0][m.start : m.end], m.label) for m in case.predicted_marks] == [("w0", "X"), ("w2", "Y")]


def test_confused_types_are_counted() -> None:
    tokens = {"tokens": ["a", "b", "c"], "offsets": [[0, 1], [2, 3], [4, 5]]}
    gold = {"id": 1, **tokens, "tags": ["B-X", "B-Y", "B-Y"]}
    answers = Answers(TAGS, "test", [gold], [{"id": 1, "tags": ["B-Y", "B-Y", "O"]}])
    assert confused_types(answers) == {("X", "Y"): 1, ("Y", "Y"): 1, ("Y", ""): 1}


RELATION = Task(name="r", metric="micro_f1_positive", labels=("a", "b", "none"), negative="none")
TOPICS = Task(name="m", type="multilabel", metric="micro_f1", labels=("a", "b", "c"))
SCORES = Task(name="s", type="regression", inputs="pair", metric="pearson", score_range=(0, 5))
PAIR = {"text_a": "one", "text_b": "two"}


@pytest.mark.parametrize(
    ("task", "gold", "predicted", "expected"),
    [
        (RELATION, {"text": "x", "label": "a"}, {"label": "a"}, []),
        (RELATION, {"text": "x", "label": "a"}, {"label": "b"}, [(("type",), "a", "b")]),
        (RELATION, {"text": "x", "label": "a"}, {"label": "none"}, [(("missed",), "a", "none")]),
        (RELATION, {"text": "x", "label": "none"}, {"label": "b"}, [(("spurious",), "none", "b")]),
        (
            TOPICS,
            {"text": "x", "labels": ["a", "b"]},
            {"labels": ["b", "c"]},
            [(("missed",), "a", ""), (("spurious",), "", "c")],
        ),
        (SCORES, {**PAIR, "score": 2}, {"score": 2.49}, []),
        (SCORES, {**PAIR, "score": 2}, {"score": 2.6}, [(("score",), "", "")]),
        (
            Task(name="k", type="ranking", inputs="candidates", metric="mean_reciprocal_rank"),
            {"text": "q", "candidates": ["u", "v"], "label": 0},
            {"label": 1},
            [(("type",), "", "")],
        ),
        (
            Task(name="q", type="span", metric="span_token_f1"),
            {"text": "one two three", "start": 4, "end": 7},
            {"start": 4, "end": 13, "answer": "two three", "probability": 0.5},
            [(("boundary",), "", "")],
        ),
        (
            Task(name="q", type="span", metric="span_token_f1"),
            {"text": "one two three", "start": 0, "end": 3},
            {"start": 4, "end": 7, "answer": "two", "probability": 0.5},
            [(("missed",), "", "")],
        ),
        (
            Task(name="q", type="span", metric="span_token_f1", unanswerable=True),
            {"text": "one two three", "start": 0, "end": 3},
            {"start": None, "end": None, "answer": "", "no_answer": 0.9},
            [(("missed",), "", "")],
        ),
        (
            Task(name="q", type="span", metric="span_token_f1", unanswerable=True),
            {"text": "one two three", "start": None, "end": None},
            {"start": 0, "end": 3, "answer": "one", "no_answer": 0.1},
            [(("spurious",), "", "")],
        ),
    ],
)
def test_other_types(task: Task, gold: dict[str, Any], predicted: dict[str, Any], expected: list[Any]) -> None:
    faults = [fault for case in found(task, gold, predicted) for fault in case.faults]
    assert faults == [Fault(*fault) for fault in expected]


def test_a_probability_that_is_not_a_number_is_left_out() -> None:
    gold = {"text": "x", "label": "a"}
    [known] = found(RELATION, gold, {"label": "b", "probabilities": {"a": 0.1, "b": 0.9, "none": 0.0}})
    [broken] = found(RELATION, gold, {"label": "b", "probabilities": {"b": float("nan")}})
    assert (known.sure, broken.sure) == (0.9, None)


def test_small_tasks_are_shown_whole() -> None:
    assert fair_shares([5, 100, 100], 105) == [5, 50, 50]
    assert fair_shares([5, 6], 100) == [5, 6]
    assert fair_shares([], 100) == []


@pytest.mark.parametrize(("directed", "labels"), [(True, ["1 gene", "2 gene"]), (False, ["gene", "gene"])])
def test_both_arguments_of_a_relation_can_be_told(directed: bool, labels: list[str]) -> None:
    """Which is the first, where the pair the other way round is another record; and one inside the other."""
    relation = RelationArguments(first=("gene",), second=("gene",), directed=directed)
    names = ("yes", "none")
    task = Task(name="r", type="relation", relation=relation, labels=names, negative="none", metric="accuracy")
    entities = [{"type": "gene", "start": 0, "end": 3}, {"type": "gene", "start": 8, "end": 11}]
    record = {"text": "abc met def", "label": "yes", "entities": entities}
    [case] = found(task, record, {"label": "none"})
    assert [mark.label for mark in case.arguments] == labels
    assert case.texts == ("abc met def",)
    inside = [{"type": "gene", "start": 0, "end": 11}, entities[1]]
    [case] = found(task, {**record, "entities": inside}, {"label": "none"})
    assert case.texts == ("abc met def", f"abc met def ({labels[0]}), def ({labels[1]})")
