"""What a record must hold."""

from __future__ import annotations

from typing import Any

import pytest

from biomtl.tasks import get_task
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import check_record
from biomtl.tasks.types.checks import unknown_label

TEXT = {"id": "1", "doc_id": "1", "text": "@DRUG$ and more", "label": "DDI-int"}
PAIR = {"id": "1", "doc_id": "1", "text_a": "One.", "text_b": "Two.", "score": 2.5}
TAGS = {"id": "1", "doc_id": "1", "tokens": ["a", "bc"], "offsets": [[0, 1], [1, 3]], "tags": ["O", "B-Chemical"]}
HOC = {"id": "1", "doc_id": "1", "text": "Cells.", "labels": ["cellular energetics"]}
GOOD = {"ddi2013": TEXT, "biosses": PAIR, "bc5cdr-chem": TAGS, "hoc": HOC}


def entity(start: Any, end: Any, text: str = "@DRUG$") -> dict[str, Any]:
    return {"entities": [{"id": "e1", "type": "DRUG", "start": start, "end": end, "text": text}]}


@pytest.mark.parametrize("task", GOOD)
def test_good(task: str) -> None:
    assert check_record(get_task(task), GOOD[task]) is None
    assert check_record(get_task(task), GOOD[task] | {"note": "more keys are welcome"}) is None


@pytest.mark.parametrize(("task", "key"), [(task, key) for task, record in GOOD.items() for key in record])
def test_missing_key(task: str, key: str) -> None:
    record = {name: value for name, value in GOOD[task].items() if name != key}
    assert f"without {key!r}" in str(check_record(get_task(task), record))


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("ddi2013", {"id": 7}, "id is a int, expected text"),
        ("ddi2013", {"text": " \n"}, "text is empty"),
        ("ddi2013", {"label": "DDI-itn"}, "unknown label 'DDI-itn', expected one of DDI-advise, DDI-effect"),
        ("ddi2013", {"label": ["DDI-int"]}, "unknown label ['DDI-int']"),
        ("ddi2013", entity(0, 7), "the text at [0, 7] is '@DRUG$ ', not '@DRUG$'"),
        ("ddi2013", entity(0, 99), "expected a span of the text"),
        ("ddi2013", entity(-1, 5), "expected a span of the text"),
        ("ddi2013", entity(3, 3, ""), "expected a span of the text"),
        ("ddi2013", {"entities": [{"id": "e1"}]}, "expected the keys id, type, start, end, text"),
        ("ddi2013", {"entities": "e1"}, "entities is a str"),
        ("biosses", {"text_b": None}, "text_b is a NoneType"),
        ("biosses", {"score": float("nan")}, "score is nan"),
        ("biosses", {"score": 10**400}, "score is 10000000000000000000, expected a number"),
        ("biosses", {"score": -1e39}, "score is -1e+39, expected a number"),
        ("biosses", {"score": float("inf")}, "score is inf"),
        ("biosses", {"score": "2"}, "score is a str"),
        ("biosses", {"score": True}, "score is a bool"),
        ("biosses", {"score": 4.5}, "score 4.5, expected 0 to 4"),
        ("hoc", {"labels": "cellular energetics"}, "labels is a str"),
        ("hoc", {"labels": ["cellular energy"]}, "did you mean 'cellular energetics'?"),
        ("hoc", {"labels": ["cellular energetics"] * 2}, "a label given twice"),
        ("bc5cdr-chem", {"tokens": [], "offsets": [], "tags": []}, "no tokens"),
        ("bc5cdr-chem", {"tags": ["O"]}, "2 tokens with 1 tags"),
        ("bc5cdr-chem", {"tags": ["O", "B"]}, "unknown label 'B'"),
        ("bc5cdr-chem", {"offsets": [[0, 1]]}, "2 tokens with 1 offsets"),
        ("bc5cdr-chem", {"offsets": [[0, 1], [1, 2]]}, "expected [start, end] with end - start = 2"),
        ("bc5cdr-chem", {"offsets": [[0, 1], [0, 2]]}, "starts before the end of the previous one"),
        ("bc5cdr-chem", {"offsets": [[0, 1], 5]}, "offsets 5 for the token 'bc'"),
        ("bc5cdr-chem", {"tokens": ["a", ""]}, "token '', expected text"),
        ("bc5cdr-chem", {"tokens": "a"}, "must be lists"),
    ],
)
def test_bad(task: str, change: dict[str, Any], message: str) -> None:
    assert message in str(check_record(get_task(task), GOOD[task] | change))


def test_unknown_label_is_reported_once() -> None:
    assert unknown_label("O", ("O", "B")) is None
    assert unknown_label("zzz", ("O", "B")) == "unknown label 'zzz', expected one of O, B"


@pytest.mark.parametrize("ends", [(1, 1), (4, 0), (0, float("inf")), (float("nan"), 1)])
def test_a_score_range_has_two_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="lowest and highest must differ"):
        Task(name="near", type="regression", metric="pearson", score_range=ends)
