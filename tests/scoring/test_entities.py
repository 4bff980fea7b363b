"""conlleval's chunks and BLUE's document spans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomtl.scoring import score_records
from biomtl.scoring.entities import EntityKey, conlleval_counts, span_counts, tagged_mentions
from biomtl.tasks import Task, get_task
from biomtl.text.tags import chunks

CASES = [
    ("O O", []),
    ("", []),
    ("B-X I-X O", [(0, 2, "X")]),
    ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
    ("I-X I-X", [(0, 2, "X")]),  # I at the sentence start opens a chunk
    ("O I-X", [(1, 2, "X")]),  # I after O does
    ("B-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),  # so does a change of type
    ("I-X I-Y I-Y B-Y", [(0, 1, "X"), (1, 3, "Y"), (3, 4, "Y")]),
    ("B-X O I-X", [(0, 1, "X"), (2, 3, "X")]),  # a disjoint mention is two chunks
    ("B I I O B", [(0, 3, ""), (4, 5, "")]),  # BLUE's untyped tags
    ("O I", [(1, 2, "")]),
    ("B I-X", [(0, 1, ""), (1, 2, "X")]),
    ("B-a-b I-a-b", [(0, 2, "a-b")]),  # a type may hold a hyphen
    ("S-X B-X E-X I-X", [(0, 1, "X"), (1, 3, "X"), (3, 4, "X")]),  # conlleval knows IOBES too
    ("E-X E-X", [(0, 1, "X"), (1, 2, "X")]),
]


@pytest.mark.parametrize(("tags", "expected"), CASES)
def test_chunks_as_conlleval_counts_them(tags: str, expected: list[tuple[int, int, str]]) -> None:
    assert chunks(tags.split()) == expected


def test_conlleval_requires_boundaries_and_type() -> None:
    gold = [["B-X", "I-X", "O", "B-Y"], ["B-X"]]
    predicted = [["B-X", "O", "O", "B-X"], ["I-X"]]
    counts = conlleval_counts(("X", "Y"), gold, predicted, np.array([0, 1]))
    assert counts.gold.tolist() == [[1, 1], [1, 0]]
    assert counts.predicted.tolist() == [[2, 0], [1, 0]]
    assert counts.correct.tolist() == [[0, 0], [1, 0]]


def test_a_mention_that_a_sentence_boundary_cuts_is_one_span_and_two_chunks() -> None:
    sentences = [
        ("d", [(0, 4), (5, 9)], ["O", "B-X"]),
        ("d", [(10, 14), (15, 19)], ["I-X", "O"]),
        ("e", [(0, 4)], ["I-X"]),  # another document: not a continuation
    ]
    assert tagged_mentions(sentences) == [EntityKey("d", "X", ((5, 14),)), EntityKey("e", "X", ((0, 4),))]
    assert [len(chunks(tags)) for _, _, tags in sentences] == [1, 1, 1]
    assert tagged_mentions(reversed(sentences)) == tagged_mentions(sentences)


@pytest.mark.parametrize(
    ("last", "first", "spans"),
    [("B-X", "B-X", 2), ("O", "I-X", 1), ("B-Y", "I-X", 2), ("I-X", "I-X", 1), ("I-X", "O", 1)],
)
def test_only_i_of_the_same_type_continues_across_the_boundary(last: str, first: str, spans: int) -> None:
    assert len(tagged_mentions([("d", [(0, 1)], [last]), ("d", [(2, 3)], [first])])) == spans


def test_a_mention_may_span_three_sentences() -> None:
    rows = [("d", [(i, i + 1)], [tag]) for i, tag in enumerate(["B-X", "I-X", "I-X"])]
    assert tagged_mentions(rows) == [EntityKey("d", "X", ((0, 3),))]


def mention(start: int, end: int, doc: str = "d", kind: str = "X") -> EntityKey:
    return EntityKey(doc, kind, ((start, end),))


def test_duplicates_count_as_in_blue() -> None:
    # A repeated correct prediction is neither right nor wrong; a repeated wrong one is wrong twice; each repeated gold
    # mention is found.
    gold = [mention(0, 4), mention(6, 8), mention(6, 8)]
    predicted = [mention(0, 4), mention(0, 4), mention(6, 8), mention(9, 10), mention(9, 10)]
    counts = span_counts(("X",), ["d"], gold, predicted)
    assert (counts.gold.sum(), counts.correct.sum(), counts.predicted.sum()) == (3, 3, 3 + 2)


def test_spans_match_in_number_and_order_and_document() -> None:
    disjoint = EntityKey("d", "X", ((0, 4), (8, 10)))
    assert span_counts(("X",), ["d"], [disjoint], [disjoint]).correct.sum() == 1
    for other in (mention(0, 10), mention(0, 4), EntityKey("d", "X", ((8, 10), (0, 4)))):
        assert span_counts(("X",), ["d"], [disjoint], [other]).correct.sum() == 0
    assert span_counts(("X",), ["d", "e"], [mention(0, 4)], [mention(0, 4, "e")]).correct.sum() == 0


def test_blue_compares_no_types() -> None:
    gold, predicted = [mention(0, 4)], [mention(0, 4, kind="Y")]
    assert span_counts(("X", "Y"), ["d"], gold, predicted).correct.sum() == 0
    assert span_counts(("X", "Y"), ["d"], gold, predicted, typed=False).correct.sum() == 1


def sentence(name: str, tags: str, start: int = 0, doc: str = "d") -> dict[str, Any]:
    kinds = tags.split()
    offsets = [[start + 2 * i, start + 2 * i + 1] for i in range(len(kinds))]
    return {"id": name, "doc_id": doc, "tokens": ["x"] * len(kinds), "offsets": offsets, "tags": kinds}


def test_both_entity_metrics_of_a_task() -> None:
    gold = [sentence("s0", "O B-Chemical"), sentence("s1", "I-Chemical O B-Chemical", 10)]
    predicted = [{"id": "s1", "tags": ["I", "O", "O"]}, {"id": "s0", "tags": ["O", "B"]}]  # untyped, another order
    result = score_records(get_task("bc5cdr-chem"), gold, predicted)
    spans, conlleval = result.metrics.values()
    assert (spans.support, spans.precision, spans.recall) == (2, 1, 1 / 2)
    assert (conlleval.support, conlleval.precision, conlleval.recall) == (3, 1, 2 / 3)
    assert spans.labels[0].label == "Chemical"
    assert "F1" in spans.title
    assert spans.title != conlleval.title


def test_a_users_task_with_two_types_and_no_offsets() -> None:
    task = Task(
        name="own",
        type="tagging",
        inputs="tokens",
        labels=("O", "B-X", "I-X", "B-Y", "I-Y"),
        metric="entity_f1_conlleval",
    )
    gold, predicted = [{"id": "1", "tags": ["B-X", "B-Y"]}], [{"id": "1", "tags": ["B-X", "B-X"]}]
    result = score_records(task, gold, predicted)
    assert result.main.value == pytest.approx(0.5)
    assert [(row.label, row.support, row.predicted) for row in result.main.labels] == [("X", 1, 2), ("Y", 1, 0)]


def test_plain_tags_are_counted_under_the_name_of_their_task() -> None:
    task = Task(name="genes", type="tagging", inputs="tokens", labels=("O", "B", "I"), metric="entity_f1_spans")
    rows = [{"id": "1", "doc_id": "d", "tokens": ["a"], "offsets": [[0, 1]], "tags": ["B"]}]
    assert [row.label for row in score_records(task, rows, rows).main.labels] == ["genes"]
