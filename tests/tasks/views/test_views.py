"""What each view shows of a pair of mentions, and where it reads the pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.views import VIEWS, Argument, Pair
from biomtl.tasks.views.markers import marked
from biomtl.text.transformer import TransformerProcessor

RELATION = RelationArguments(first=("drug",), second=("illness",), types={"Chemical": "drug"})
TEXT = "pola zalpidine rimu korinosis vono"
BOTH = ("drug", "illness")
DRUG, ILLNESS = Argument("drug", (5, 14)), Argument("illness", (20, 29))


def test_mask() -> None:
    assert VIEWS["mask"].text(Pair(TEXT, DRUG, ILLNESS, RELATION)).texts == ("pola @drug$ rimu @illness$ vono",)
    whole = Argument("illness", (5, 19))
    assert VIEWS["mask"].text(Pair(TEXT, DRUG, whole, RELATION)).texts == ("pola @drug-illness$ korinosis vono",)


def test_an_undirected_pair_is_read_in_the_order_of_its_text() -> None:
    """A record in a table may have it the other way round, where pairs of documents never have."""
    types = {"first": BOTH, "second": BOTH}
    entities = [{"type": mention.type, "start": mention.span[0], "end": mention.span[1]} for mention in (ILLNESS, DRUG)]
    record = {"text": TEXT, "entities": entities}
    undirected, directed = (
        Pair.of(record, RelationArguments(**types, directed=directed)) for directed in (False, True)
    )
    assert (undirected.first, undirected.second) == (DRUG, ILLNESS)
    assert (directed.first, directed.second) == (ILLNESS, DRUG)
    apart = Pair.of(record, RelationArguments(first="illness", second="drug", directed=False))
    assert (apart.first, apart.second) == (ILLNESS, DRUG)


@pytest.mark.parametrize(
    ("first", "second", "given", "wanted"),
    [
        ("illness", "drug", {"first": ["drug"], "second": ["illness"]}, "@illness$ rimu @drug$"),
        ("drug", "drug", {"first": ["drug"], "second": ["drug"], "directed": False}, "@drug$ rimu @drug$"),
        ("drug", "drug", {"first": ["drug"], "second": ["drug"]}, "@drug2$ rimu @drug1$"),
        ("illness", "drug", {"first": BOTH, "second": BOTH}, "@illness2$ rimu @drug1$"),
        ("illness", "drug", {"first": BOTH, "second": BOTH, "masks": ["[A]", "[B {second}]"]}, "[B illness2] rimu [A]"),
    ],
)
def test_each_argument_has_its_own_placeholder(first: str, second: str, given: dict[str, Any], wanted: str) -> None:
    # The first argument is the mention on the right.
    pair = Argument(second, ILLNESS.span), Argument(first, DRUG.span)
    relation = RelationArguments(**given, mask_order="arguments")
    assert VIEWS["mask"].text(Pair(TEXT, *pair, relation)).texts == (f"pola {wanted} vono",)


def test_a_directed_pair_and_the_pair_the_other_way_round_are_two_texts() -> None:
    relation = RelationArguments(first=BOTH, second=BOTH, mask_order="arguments")
    one, other, inner = Argument("drug", DRUG.span), Argument("drug", ILLNESS.span), Argument("illness", (5, 9))

    def shown(*pair: Argument) -> tuple[str, ...]:
        return VIEWS["mask"].text(Pair(TEXT, *pair, relation)).texts

    assert shown(one, other) == ("pola @drug1$ rimu @drug2$ vono",)
    assert shown(other, one) == ("pola @drug2$ rimu @drug1$ vono",)
    assert shown(inner, one) == ("pola @illness1-drug2$ rimu korinosis vono",)
    assert shown(one, inner) == ("pola @illness2-drug1$ rimu korinosis vono",)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (DRUG, ILLNESS, "pola @ * drug * zalpidine @ rimu # ^ illness ^ korinosis # vono"),
        (ILLNESS, DRUG, "pola # ^ drug ^ zalpidine # rimu @ * illness * korinosis @ vono"),
        (DRUG, Argument("illness", (5, 29)), "pola # ^ illness ^ @ * drug * zalpidine @ rimu korinosis # vono"),
        (DRUG, Argument("illness", (5, 14)), "pola @ * drug * # ^ illness ^ zalpidine # @ rimu korinosis vono"),
        (DRUG, Argument("illness", (10, 19)), "pola @ * drug * zalpi# ^ illness ^ dine @ rimu # korinosis vono"),
    ],
)
def test_markers(first: Argument, second: Argument, wanted: str) -> None:
    text, (one, other) = marked(Pair(TEXT, first, second, RELATION))
    assert text == wanted
    assert (text[slice(*one)], text[slice(*other)]) == ("@", "#")


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.integers(0, len(TEXT)), min_size=4, max_size=4))
def test_markers_only_insert(places: list[int]) -> None:
    spans = [sorted(places[:2]), sorted(places[2:])]
    if any(start == end for start, end in spans):
        return
    first, second = (Argument("drug", (start, end)) for start, end in spans)
    text, opened = marked(Pair(TEXT, first, second, RELATION))
    for mark in ("@ * drug * ", "# ^ drug ^ ", " @", " #"):
        assert text.count(mark) == 1
        text = text.replace(mark, "", 1)
    assert text == TEXT
    assert opened[0] != opened[1]


@pytest.fixture(scope="module")
def processor(bert: Path) -> TransformerProcessor:
    return TransformerProcessor.load(bert, 16)


def test_spans_read_both_ends(processor: TransformerProcessor) -> None:
    view = VIEWS["spans"]
    shown = view.text(Pair(TEXT, DRUG, ILLNESS, RELATION))
    (encoded,) = processor.encode([shown])
    positions = view.positions(Pair(TEXT, DRUG, ILLNESS, RELATION), encoded.rows)
    assert positions is not None
    assert positions.shape == (1, 4, 2)
    offsets = [tuple(encoded.rows[row].offsets[place]) for row, place in positions[0]]
    assert (offsets[0][0], offsets[1][1], offsets[2][0], offsets[3][1]) == (5, 14, 20, 29)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (DRUG, ILLNESS, [1, 2, 0]),
        (ILLNESS, DRUG, [2, 1, 1]),
        (DRUG, Argument("gene", (10, 19)), [1, 0, 2]),
    ],
)
def test_features_are_types_and_order(first: Argument, second: Argument, wanted: list[int]) -> None:
    features = VIEWS["spans"].features(Pair(TEXT, first, second, RELATION))
    assert features is not None
    assert features.tolist() == [wanted]


def test_a_pair_is_read_from_one_window_that_holds_both(processor: TransformerProcessor) -> None:
    words = [f"pola{'x' * (i % 3)}" for i in range(30)]
    words[9], words[12] = "zalpidine", "korinosis"
    text = " ".join(words)
    spans = [(text.index(word), text.index(word) + len(word)) for word in ("zalpidine", "korinosis")]
    first, second = Argument("drug", spans[0]), Argument("illness", spans[1])
    (encoded,) = processor.encode([VIEWS["spans"].text(Pair(text, first, second, RELATION))])
    assert len(encoded.rows) > 1
    positions = VIEWS["spans"].positions(Pair(text, first, second, RELATION), encoded.rows)
    assert positions is not None
    assert (positions >= 0).all()
    held = [
        all(((row.offsets[:, 0] <= start) & (start < row.offsets[:, 1])).any() for start, _ in spans)
        for row in encoded.rows
    ]
    if any(held):
        assert len(np.unique(positions[0, :, 0])) == 1
        assert held[positions[0, 0, 0]]


def test_masked_records_are_for_the_mask_view_only() -> None:
    task = Task(name="own", type="relation", labels=("a", "b"), metric="accuracy", relation=RELATION)
    record = {"id": "1", "doc_id": "1", "text": "@drug$ pola @illness$", "label": "a"}
    relation = type_of(task)
    assert relation.check(record, task) is None
    assert relation.text(record, task, HeadChoice(view="mask")).texts == ("@drug$ pola @illness$",)
    with pytest.raises(InputError, match="record '1' has no entities, expected two mentions for view: spans"):
        relation.text(record, task, HeadChoice(view="spans"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"types": {"Chemical": "gene"}}, "'Chemical' stands for 'gene', which is neither argument's type"),
        ({"window": 20}, "window 20 with unit 'sentence'"),
    ],
)
def test_impossible_arguments(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RelationArguments.model_validate({"first": "drug", "second": ["illness"], **fields})


def test_types_are_translated() -> None:
    assert RELATION.type_of("CHEMICAL") == "drug"
    assert RELATION.type_of("Drug") == "drug"
    assert RELATION.type_of("Gene") == "gene"
    assert list(RELATION.accepted()) == ["drug", "illness", "chemical"]
