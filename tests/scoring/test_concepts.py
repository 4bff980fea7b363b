"""Relations between concepts, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.scoring import score_records
from biomtl.tasks.task import Task

ROWS = [  # document, concepts of both mentions, gold, predicted
    ("d1", "C1", "C9", "cures", "none"),
    ("d1", "C1", "C9", "none", "cures"),  # the same pair of concepts: right, once
    ("d1", "C2", "C9", "none", "cures"),  # wrong
    ("d2", "C1", "C9", "none", "none"),  # another document: another pair
    ("d2", "C2|C3", "C9", "cures", "none"),  # composite: two pairs, both missed
    ("d2", "-1", "C9", "cures", "cures"),  # without a concept: left out
]


def task(metric: str = "micro_f1_positive", *, directed: bool = True) -> Task:
    relation = {"first": "drug", "second": "drug", "directed": directed}
    fields: dict[str, Any] = {"labels": ["cures", "none"], "negative": "none", "relation": relation}
    return Task(name="t", type="relation", metric=metric, metrics=["concept_pair_f1"], **fields)


def records(rows: list[tuple[str, ...]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    gold = [
        {
            "id": str(i),
            "doc_id": document,
            "label": label,
            "entities": [{"identifiers": [one]}, {"identifiers": [other]}],
        }
        for i, (document, one, other, label, _) in enumerate(rows)
    ]
    return gold, [{"id": str(i), "label": row[-1]} for i, row in enumerate(rows)]


def test_a_pair_of_concepts_has_a_label_if_any_pair_of_its_mentions_has_it() -> None:
    result = score_records(task(), *records(ROWS)).metrics["concept_pair_f1"]
    # gold: (d1 C1 C9), (d2 C2 C9), (d2 C3 C9); predicted: (d1 C1 C9), (d1 C2 C9)
    assert (result.precision, result.recall, result.support) == (pytest.approx(1 / 2), pytest.approx(1 / 3), 3)
    assert result.value == pytest.approx(2 / 5)
    assert result.notes == ("left out, without a concept identifier: 1 of 6 rows",)


def test_an_undirected_pair_is_one_whichever_comes_first() -> None:
    rows = [("d1", "C1", "C9", "cures", "none"), ("d1", "C9", "C1", "none", "cures")]
    values = [
        score_records(task(directed=directed), *records(rows)).metrics["concept_pair_f1"].value
        for directed in (True, False)
    ]
    assert values == [0.0, 1.0]


def test_without_concepts_it_is_left_out_or_refused() -> None:
    gold, predicted = records([("d1", "-", "", "cures", "cures")])
    assert list(score_records(task(), gold, predicted).metrics) == ["micro_f1_positive"]
    with pytest.raises(InputError, match="no concept identifiers for concept_pair_f1, expected entities with"):
        score_records(task("concept_pair_f1"), gold, predicted)
