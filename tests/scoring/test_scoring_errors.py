"""What scoring refuses, and that it names the row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.scoring import score, score_records
from biomtl.tasks import Task, get_task

GOLD = [{"id": "a", "label": "neutral"}, {"id": "b", "label": "entailment"}]


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (
            [],
            r"predicted: 2 of 2 gold ids have no prediction, first 'a' .gold:1., expected one prediction per gold row",
        ),
        ([GOLD[0]], "predicted: 1 of 2 gold ids have no prediction, first 'b'"),
        ([*GOLD, {"id": "c", "label": "neutral"}], "predicted:3: unknown id 'c', expected the ids of gold"),
        ([*GOLD, GOLD[0]], "predicted:3: id 'a' already occurs in row 1, expected each id once"),
        ([{"label": "neutral"}, GOLD[1]], 'predicted:1: no id, expected a text under "id"'),
        ([{"id": 1, "label": "neutral"}, GOLD[1]], 'predicted:1: id 1 is a number, expected text, write "id": "1"'),
        ([GOLD[0], {"id": "b"}], "predicted:2: no label, expected one of contradiction, entailment, neutral"),
        (
            [GOLD[0], {"id": "b", "label": "entails"}],
            r"predicted:2: unknown label 'entails', expected one of contradiction, entailment, neutral \(did you mean",
        ),
        ([GOLD[0], {"id": "b", "label": ["neutral"]}], r"predicted:2: label \['neutral'\]"),
    ],
)
def test_rows_of_a_classification(predicted: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score("mednli", GOLD, predicted)


def test_gold_is_checked_as_well() -> None:
    with pytest.raises(InputError, match="gold: no gold rows"):
        score("mednli", [], [])
    with pytest.raises(InputError, match="gold:2: id 'a' already occurs in row 1"):
        score("mednli", [GOLD[0], GOLD[0]], GOLD)
    with pytest.raises(InputError, match="gold:1: unknown label 'x'"):
        score("mednli", [{"id": "a", "label": "x"}], [{"id": "a", "label": "neutral"}])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300, 10**400, True, "3", None, [1]])
def test_scores_that_are_not_numbers(bad: Any) -> None:
    gold = [{"id": "a", "score": 1.0}, {"id": "b", "score": 2}]
    with pytest.raises(InputError, match=r"^predicted:2: "):
        score("biosses", gold, [{"id": "a", "score": 1.0}, {"id": "b", "score": bad}])


TAGGED = [{"id": "s", "doc_id": "d", "offsets": [[0, 1], [2, 3]], "tags": ["B-Chemical", "O"]}]


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        ({"tags": ["O"]}, "predicted:1: 1 tags for 's', expected 2, one per token"),
        ({"tags": ["O", "B-Disease"]}, "predicted:1: unknown tag 'B-Disease', expected one of O, B-Chemical"),
        ({"tags": ["O", "X"]}, "predicted:1: unknown tag 'X'"),
        ({"tags": "O O"}, "predicted:1: tags 'O O', expected a list of tags"),
        ({}, "predicted:1: no tags"),
        ({"tags": [1, 2]}, "predicted:1: tags "),
    ],
)
def test_rows_of_a_tagging_task(predicted: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score("bc5cdr-chem", TAGGED, [{"id": "s", **predicted}])


@pytest.mark.parametrize("offsets", [[[0, 1]], [[0, 1], [2]], [[0, 1], ["2", 3]], "x", [0, 1]])
def test_gold_offsets_that_fit_no_tags(offsets: Any) -> None:
    with pytest.raises(InputError, match="gold:1: offsets "):
        score("bc5cdr-chem", [{**TAGGED[0], "offsets": offsets}], TAGGED)


def test_records_without_offsets_are_scored_as_conlleval_does() -> None:
    bare = [{"id": "s", "tags": ["O", "B-Chemical"]}]
    result = score("bc5cdr-chem", bare, [{"id": "s", "tags": ["B-Chemical", "B-Chemical"]}])
    assert list(result.metrics) == ["entity_f1_conlleval"]
    assert result.main.precision == 0.5
    assert any("without offsets" in note for note in result.notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"locations": [{"start": 0, "end": 1}]}, "no document id"),
        ({"docid": "d", "locations": []}, "locations "),
        ({"docid": "d", "locations": [{"start": 0}]}, "locations "),
        ({"docid": "d", "locations": [[0, True]]}, "locations "),
        ({"docid": "d", "type": "Disease", "locations": [[0, 1]]}, "unknown type 'Disease', expected one of Chemical"),
        ({"docid": "e", "locations": [[0, 1]]}, "unknown document 'e', expected those of gold"),
    ],
)
def test_mentions(line: dict[str, Any], message: str) -> None:
    good = {"docid": "d", "locations": [[0, 1]]}
    with pytest.raises(InputError, match=f"^predicted:2: {message}"):
        score("bc5cdr-chem", TAGGED, [good, line])


def test_mentions_against_tags_without_offsets() -> None:
    gold = [{"docid": "d", "locations": [[0, 1]]}]
    with pytest.raises(InputError, match=r"predicted:1: no document id or no offsets"):
        score("bc5cdr-chem", gold, [{"id": "s", "tags": ["O"]}])
    assert score("bc5cdr-chem", gold, []).main.value == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "f1"}, r"task t: unknown metric 'f1', .*micro_f1"),
        ({"metric": "pearson"}, r"task t: metric pearson is for regression, the task is classification, metrics for"),
        ({"metric": "micro_f1_positive"}, r"needs a negative class, name it under `negative`"),
    ],
)
def test_metrics_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_records(Task(name="t", labels=("a",), **fields), [], [])


FILES = [
    ("ddi2013", b"", "an empty file"),
    ("ddi2013", b"index\tsentence\tlabel\n", "1: a header without rows"),
    ("ddi2013", b"a\tb\tDDI-int\n", "1: no header, expected a header with index and label"),
    ("ddi2013", b"index\tsentence\n1\tx\n", "1: no column 'label'"),
    ("ddi2013", b"sentence\tlabel\nx\tDDI-int\n", "1: no column 'index'"),
    ("ddi2013", b"index\tsentence\tlabel\n1\tDDI-int\n", "2: 2 columns, expected 3 columns"),
    ("ddi2013", b"index\tlabel\n1\tDDI-int\n2\tint\n", "3: unknown label 'int', expected one of DDI-advise"),
    ("ddi2013", b"index\tlabel\n1\tDDI-int\n1\tDDI-int\n", "3: "),
    ("ddi2013", b"index\tlabel\n1\t\xff\n", "2: byte 0xff"),
    ("ddi2013", b'{"id":"1","label":"DDI-int"}\n{"id":', "2: not JSON"),
    ("ddi2013", b'{"id":"1","label":"DDI-int"}\n[1]\n', "2: a JSON list"),
    ("biosses", b'[{"id": "0", "score": 1}]', "1: a JSON list, expected JSON lines"),
    ("ddi2013", b'[\n{"id": "0", "label": "DDI-int"}\n]', "1: a JSON list, expected JSON lines"),
    ("biosses", b"index\tscore\n0\t1\n1\tnan\n", "3: score nan, expected a finite number"),
    ("biosses", b"index\tscore\n0\t1,5\n", "2: score '1,5', expected a number"),
    ("biosses", b"1.0\n2.0\n", "1: no header, expected a header with index and score"),
    ("hoc", b"index\tlabels\n7_s0\tx\n", "2: unknown label 'x'"),
    ("hoc", b"index\tlabels\n7_s0\t0_1,0_0\n", "2: label 0 is given as both"),
    ("bc5cdr-chem", b"a\tb\tc\n", "1: 3 columns"),
    ("bc5cdr-chem", b"a\t1\tx\tB\n", "1: offset 'x'"),
    ("bc5cdr-chem", b"a\t1\t0\tB-Disease\n", "1: unknown label 'B-Disease'"),
]


@pytest.mark.parametrize(("task", "content", "message"), FILES)
@pytest.mark.parametrize("side", ["gold", "predicted"])
def test_files(task: str, content: bytes, message: str, side: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.tsv", tmp_path / "good.jsonl"
    bad.write_bytes(content)
    record = {"id": "x", "label": "DDI-int", "score": 1, "labels": [], "tags": []}
    good.write_text(json.dumps(record) + "\n")
    gold, predicted = (bad, good) if side == "gold" else (good, bad)
    # Gold is matched before labels are looked at, so a prediction table needs gold's ids to be told of its labels.
    if "unknown label 'int'" in message or "finite" in message:
        records = [{**record, "id": i} for i in (("0", "1") if "finite" in message else ("1", "2"))]
        good.write_text("".join(json.dumps(r) + "\n" for r in records))
    with pytest.raises(
        InputError, match=f"^{re.escape(str(bad))}:{re.escape(message) if message[0].isdigit() else '.*'}"
    ):
        score(task, gold, predicted)


def test_paths(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.tsv", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=message):
            score("hoc", path, path)


def test_an_unknown_task_is_reported_before_files_are_read() -> None:
    with pytest.raises(InputError, match="unknown task 'chemprod', did you mean 'chemprot'"):
        score("chemprod", "no-file", "no-file")


def test_probabilities_are_not_gold(tmp_path: Path) -> None:
    path = tmp_path / "test_results.tsv"
    path.write_text("0.2\t0.3\t0.5\n")
    with pytest.raises(InputError, match="expected gold labels with their ids"):
        score("mednli", path, path)
    assert get_task("mednli").labels[2] == "neutral"
