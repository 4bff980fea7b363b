"""Records and predictions as tables of other libraries, and back."""

from __future__ import annotations

import sys

import pytest

import biomtl
from biomtl.errors import InputError
from biomtl.frames import LIBRARIES, Library
from biomtl.inference.predictor import PredictedMention, Result

RESULTS = [
    {"mood": Result("mood", label="good", probabilities={"good": 0.9, "bad": 0.1}), "near": Result("near", score=2.5)},
    {"chem": Result("chem", mentions=(PredictedMention("Chemical", 0, 7, "Aspirin", 0.9),))},
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("task", ["bc5cdr-chem", "ddi2013", "biosses", "hoc"])
def test_records_come_back_as_they_were(library: Library, task: str) -> None:
    pytest.importorskip(library)
    records = biomtl.load_suite("sample", tasks=[task])[task].records("dev")
    back = biomtl.from_frame(biomtl.to_frame(records, library))
    assert back == records
    assert biomtl.score(task, records, back, resamples=0).main.value == pytest.approx(1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_predictions_are_a_row_per_text_and_task(library: Library) -> None:
    pytest.importorskip(library)
    assert biomtl.from_frame(biomtl.to_frame(RESULTS, library)) == [
        {"text": 0, "task": "mood", "label": "good", "probabilities": {"good": 0.9, "bad": 0.1}},
        {"text": 0, "task": "near", "score": 2.5},
        {
            "text": 1,
            "task": "chem",
            "mentions": [{"type": "Chemical", "start": 0, "end": 7, "text": "Aspirin", "probability": 0.9}],
        },
    ]
    assert len(biomtl.to_frame([], library)) == 0


def test_what_cannot_become_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="library 'dask', expected one of: pandas"):
        biomtl.to_frame([], "dask")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match=r"polars isn't installed.*biomtl\[frames\]"):
        biomtl.to_frame([], "polars")
    with pytest.raises(InputError, match="row 0 is of type str"):
        biomtl.from_frame(["text"])
