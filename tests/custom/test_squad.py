"""SQuAD 1.1 and 2.0 as own data: reading, unanswerable questions in training and prediction, the official scores."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import biomtl
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.formats.squad import read_squad
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.scoring import score_records
from biomtl.suite import load_suite
from biomtl.tasks.calibration import Calibration
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.training.calibrate import fit_null

QA = Task(name="qa", type="span", inputs="pair", metric="squad_f1", metrics=("squad_exact_match",), unanswerable=True)
CONTEXT = "Milo takes the Zalpidine, twice a day. Rimu takes nothing."


def question(number: int, answers: list[str], **keys: Any) -> dict[str, Any]:
    given = [{"text": text, "answer_start": CONTEXT.index(text)} for text in answers]
    return {"id": f"q{number}", "question": f"What is {number}?", "answers": given, **keys}


def data(*questions: dict[str, Any], version: str = "v2.0") -> dict[str, Any]:
    return {"version": version, "data": [{"title": "Milo", "paragraphs": [{"context": CONTEXT, "qas": [*questions]}]}]}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


THREE = data(
    question(1, ["the Zalpidine", "Zalpidine"], is_impossible=False),
    question(2, [], is_impossible=True, plausible_answers=[{"text": "Rimu", "answer_start": 39}]),
    question(3, ["twice a day"], is_impossible=False),
)


def test_both_versions_are_read(tmp_path: Path) -> None:
    rows = [row for _, row in read_squad(write(tmp_path / "a.json", THREE))]
    assert rows[0] == {
        "id": "q1", "doc_id": "Milo", "text_a": CONTEXT, "text_b": "What is 1?", "start": 11, "end": 24,
        "answers": ["the Zalpidine", "Zalpidine"],
    }  # fmt: skip
    assert (rows[1]["start"], rows[1]["end"], rows[1]["answers"]) == (None, None, [])
    own = {name: TaskDefinition(type="span", files=Files(train=(str(tmp_path / "a.json"),))) for name in ("qa",)}
    entry = load_suite("nowhere", ["qa"], own)["qa"]
    assert (entry.task.unanswerable, entry.task.metric) == (True, "squad_f1")
    assert entry.task.metrics == ("squad_exact_match",)
    assert "task qa: 1 of 3 questions have no answer" in entry.notes
    assert len(entry.records("train")) == 3
    write(tmp_path / "a.json", {"data": data(question(1, ["Rimu"]))["data"], "version": "1.1"})
    old = load_suite("nowhere", ["qa"], own)["qa"]
    assert (old.task.unanswerable, old.records("train")[0]["start"]) == (False, 39)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (data(question(1, []), version="1.1"), "question 1: no answers, expected one or more"),
        (data({**question(1, []), "answers": [{"text": "Rimu", "answer_start": 0}]}), "isn't at answer_start"),
        (data({**question(1, []), "answers": [{"text": "Rimu"}]}), "without text and answer_start"),
        (data({"id": "q", "answers": []}), "no context or no question"),
        ({"version": "v2.0", "data": [{"title": "x"}]}, "another shape"),
        ({"version": "v2.0", "data": ["x"]}, "another shape"),
    ],
)
def test_json_that_is_not_squad_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    own = {"qa": TaskDefinition(type="span", files=Files(train=(str(write(tmp_path / "a.json", value)),)))}
    with pytest.raises(InputError, match=message):
        load_suite("nowhere", ["qa"], own)["qa"].records("train")


def test_other_types_refuse_it_and_tables_may_leave_answers_empty(tmp_path: Path) -> None:
    files = Files(train=(str(write(tmp_path / "a.json", THREE)),))
    with pytest.raises(InputError, match="a SQuAD file for a task of type classification, expected type: span"):
        load_suite("nowhere", ["qa"], {"qa": TaskDefinition(type="classification", files=files)})
    (tmp_path / "a.tsv").write_text("text_a\ttext_b\tstart\tend\nMilo sat.\tWho?\t0\t4\nMilo sat.\tWhy?\t\t\n")
    entry = load_suite(
        "nowhere", ["qa"], {"qa": TaskDefinition(type="span", files=Files(train=(str(tmp_path / "a.tsv"),)))}
    )["qa"]
    assert entry.task.unanswerable
    assert [row["start"] for row in entry.records("train")] == [0, None]
    (tmp_path / "b.tsv").write_text("text_a\ttext_b\tstart\tend\nMilo sat.\tWho?\t0\t\n")
    with pytest.raises(InputError, match="expected a span of the text"):
        load_suite(
            "nowhere", ["qa"], {"qa": TaskDefinition(type="span", files=Files(train=(str(tmp_path / "b.tsv"),)))}
        )["qa"].records("train")
    canonical = (
        f"q1\t11:::24:::0:::the Zalpidine\t{CONTEXT} EOSEOS\tWhat?\nq2\t-1:::-1:::1:::\t{CONTEXT} EOSEOS\tWhy?\n"
    )
    (tmp_path / "squad_train.tsv").write_text(canonical)
    definition = TaskDefinition(type="span", format="mtdnn", files=Files(train=(str(tmp_path / "squad_train.tsv"),)))
    rows = load_suite("nowhere", ["qa"], {"qa": definition})["qa"].records("train")
    assert [(row["start"], row["end"]) for row in rows] == [(11, 24), (None, None)]


def official(golds: list[str], found: str) -> tuple[float, float]:
    """Exact match and F1 of a question, from the rules of the official script for version 2.0."""

    def tokens(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
        return [word for word in kept.split() if word not in ("a", "an", "the")]

    golds = [gold for gold in golds if tokens(gold)] or [""]
    values = []
    for gold in golds:
        one, other = tokens(gold), tokens(found)
        left, shared = list(one), 0
        for word in other:
            if word in left:
                left.remove(word)
                shared += 1
        if not one or not other:
            values.append((float(one == other), float(one == other)))
        elif shared == 0:
            values.append((0.0, 0.0))
        else:
            precision, recall = shared / len(other), shared / len(one)
            values.append((float(one == other), 2 * precision * recall / (precision + recall)))
    return max(exact for exact, _ in values), max(f1 for _, f1 in values)


CASES = [
    (["the Zalpidine", "Zalpidine, twice"], "zalpidine!", 1.0, 1.0),
    (["twice a day"], "takes twice day", 0.0, 0.8),
    ([], "", 1.0, 1.0),
    ([], "Rimu", 0.0, 0.0),
    (["Rimu"], "", 0.0, 0.0),
    (["the"], "an", 1.0, 1.0),
    (["day day night"], "day", 0.0, 0.5),
]


def test_scores_are_those_of_the_official_rules(tmp_path: Path, command: Callable[..., Any]) -> None:
    gold = [
        {
            "id": str(i),
            "doc_id": str(i),
            "text_a": "x",
            "start": 0 if a else None,
            "end": 1 if a else None,
            "answers": a,
        }
        for i, (a, _, _, _) in enumerate(CASES)
    ]
    found = [{"id": str(i), "answer": text} for i, (_, text, _, _) in enumerate(CASES)]
    for answers, text, exact, f1 in CASES:
        assert official(answers, text) == pytest.approx((exact, f1))
    result = score_records(QA, gold, found)
    assert result.main.value == pytest.approx(sum(f1 for *_, f1 in CASES) / 7)  # 4.3 of 7: 0.6143
    assert result.main.value == pytest.approx(0.614286, abs=1e-6)
    assert result.metrics["squad_exact_match"].value == pytest.approx(3 / 7)
    assert "0.6667 for 3 without" in result.main.notes[0]
    # Files: the data as they stand, and the official file of answers, in one line or indented.
    recipe = tmp_path / "qa.yaml"
    write(tmp_path / "dev.json", THREE)
    recipe.write_text("tasks:\n  qa: {type: span, files: {train: dev.json}}\n")
    answers = {"q1": "Zalpidine", "q2": "", "q3": "day"}
    for indent in (None, 1):
        (tmp_path / "answers.json").write_text(json.dumps(answers, indent=indent))
        ended = command("score", "--task", f"{recipe}:qa", tmp_path / "dev.json", tmp_path / "answers.json", "--json")
        assert ended.code == 0, ended.err
        values = json.loads(ended.out)["metrics"]
        assert values["squad_exact_match"]["value"] == pytest.approx(2 / 3)
        assert values["squad_f1"]["value"] == pytest.approx((1 + 1 + 2 / 3) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_random_answers_score_alike(seed: int) -> None:
    rng = random.Random(seed)
    words = ["the", "a", "Zalpidine", "day,", "twice", "...", "DAY"]

    def text() -> str:
        return " ".join(rng.choices(words, k=rng.randint(1, 4)))

    gold = [{"id": str(i), "start": 0, "end": 1, "answers": [text(), text()][: rng.randint(1, 2)]} for i in range(60)]
    found = [{"id": str(i), "answer": rng.choice(["", text()])} for i in range(60)]
    by_hand = [official(g["answers"], f["answer"]) for g, f in zip(gold, found, strict=True)]
    result = score_records(QA, gold, found, resamples=0)
    assert result.metrics["squad_exact_match"].value == pytest.approx(sum(exact for exact, _ in by_hand) / 60)
    assert result.main.value == pytest.approx(sum(f1 for _, f1 in by_hand) / 60)


def test_the_older_metrics_handle_missing_answers() -> None:
    task = QA.model_copy(update={"metric": "span_token_f1", "metrics": ("span_exact_match",)})
    gold = [
        {"id": str(i), "text_a": CONTEXT, "start": s, "end": e} for i, (s, e) in enumerate([(0, 4), (None, None)] * 2)
    ]
    found = [
        {"id": str(i), "start": s, "end": e} for i, (s, e) in enumerate([(0, 4), (None, None), (None, None), (0, 4)])
    ]
    result = score_records(task, gold, found)
    assert (result.main.value, result.metrics["span_exact_match"].value) == (0.5, 0.5)


def test_no_answer_begins_and_ends_at_the_first_special_position(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [QA], max_length=40).eval()
    rows = [
        {"id": "1", "doc_id": "1", "text_a": "pola rimu vono", "text_b": "milo", "start": None, "end": None},
        {"id": "2", "doc_id": "2", "text_a": "pola rimu vono", "text_b": "milo", "start": 5, "end": 9},
    ]
    (example,) = encode_examples(model.processor, {"qa": QA}, {"qa": rows}, targets=True)
    first, second = example.task_examples
    assert first.target is not None
    assert second.target is not None
    assert (first.target.tolist(), second.target.tolist()) == ([0, 0, 0, 3], [0, 3, 0, 0])
    assert first.word_positions is not None
    assert first.word_positions[-1].tolist() == [[0, 0]]
    batch = collate([example], model.processor)
    answer = model(batch.inputs, batch.tasks)["qa"]
    assert answer.outputs.shape == (8, 2)
    np.testing.assert_allclose(answer.outputs.detach().exp()[:4].sum(0), [1, 1], atol=1e-5)
    assert answer.loss is not None
    by_hand = -(answer.outputs[3].sum() + answer.outputs[5].sum()) / 4
    torch.testing.assert_close(answer.loss, by_hand)


def test_decisions_and_their_bias() -> None:
    outputs = np.log(np.array([[0.2, 0.5], [0.4, 0.1], [0.4, 0.4]], dtype=np.float32))
    record = {"text_a": "ab cd", "text_b": "?"}
    kind = type_of(QA)
    # The best span is the first word, 0.2 * 0.5 = 0.1; no answer has 0.4 * 0.4 = 0.16.
    found = kind.predict(outputs, record, QA)
    assert (found["start"], found["end"], found["answer"]) == (None, None, "")
    assert found["no_answer"] == pytest.approx(0.16 / 0.26, abs=1e-5)
    head = HeadChoice(calibration=Calibration(negative_bias=-math.log(1.7)))
    found = kind.predict(outputs, record, QA, head)
    assert (found["start"], found["end"], found["answer"], found["probability"]) == (0, 2, "ab", pytest.approx(0.1))


def test_the_bias_is_fitted_on_dev() -> None:
    """Two questions: "no answer" leads by 2 for the one with an answer, and by 3 for the one without."""

    def outputs(lead: float) -> np.ndarray:
        return np.array([[-1.0, -1.0], [-1.0 + lead / 2, -1.0 + lead / 2]], dtype=np.float32)

    rows = [{"id": "1", "doc_id": "1", "text_a": "ab", "text_b": "?", "start": 0, "end": 2}]
    rows.append({**rows[0], "id": "2", "start": None, "end": None})
    found = fit_null(QA, HeadChoice(), rows, [outputs(2.0), outputs(3.0)])
    assert found.negative_bias == pytest.approx(-2.5)
    assert fit_null(QA, HeadChoice(), rows, [outputs(-1.0), outputs(3.0)]).negative_bias == 0


def squad_file(path: Path, count: int, seed: int) -> Path:
    """Questions after the drug of a sentence, of which every third has none."""
    rng, paragraphs = random.Random(seed), []
    for number in range(count):
        words = rng.sample(tiny.WORDS[:4], 3)
        qa: dict[str, Any] = {"id": f"q{number}", "question": "teksa", "answers": [], "is_impossible": number % 3 == 0}
        if number % 3:
            words.insert(rng.randint(0, 3), rng.choice(tiny.DRUGS))
            drug = next(word for word in words if word in tiny.DRUGS)
            qa["answers"] = [{"text": drug, "answer_start": " ".join(words).index(drug)}]
        paragraphs.append({"context": " ".join(words), "qas": [qa]})
    return write(path, {"version": "v2.0", "data": [{"paragraphs": paragraphs}]})


def test_no_answer_is_learnt_saved_and_calibrated(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    for split, count in (("train", 120), ("dev", 30)):
        squad_file(tmp_path / f"{split}.json", count, len(split))
    own = {
        "qa": TaskDefinition(
            type="span", files=Files(train=(str(tmp_path / "train.json"),), dev=(str(tmp_path / "dev.json"),))
        )
    }
    suite = load_suite("nowhere", ["qa"], own)
    keys: dict[str, Any] = {"encoder": str(bert), "max_length": 32, "num_train_epochs": 8, "learning_rate": 3e-3}
    keys |= {"batch_size": 16, "output": str(tmp_path / "run"), "save_strategy": "no", "calibrate": True}
    run = biomtl.train(keys, suite=suite)
    model = MultiTaskModel.from_pretrained(run.folder)
    assert model.tasks["qa"].unanswerable
    assert model.choices["qa"].calibration is not None
    gold = suite["qa"].records("dev")
    found = predict_records(model, {"qa": gold})["qa"]
    result = score_records(suite.tasks["qa"], gold, found)
    assert result.main.value > 0.7
    assert {row["start"] is None for row in found} == {True, False}
    assert all(0 <= row["no_answer"] <= 1 for row in found)
    (tmp_path / "own.yaml").write_text("tasks:\n  qa: {type: span, files: {train: train.json, dev: dev.json}}\n")
    asked = ["--data", tmp_path / "own.yaml", "--split", "dev", "--out", tmp_path / "out", "--format", "squad"]
    ended = command("evaluate", run.folder, *asked)
    assert ended.code == 0, ended.err
    answers = json.loads((tmp_path / "out" / "qa_dev.json").read_text())
    assert answers == {row["id"]: row["answer"] for row in found}
    ended = command("score", tmp_path / "own.yaml", tmp_path / "out" / "qa_dev.json", "--split", "dev", "--json")
    assert json.loads(ended.out)["metrics"]["squad_f1"]["value"] == pytest.approx(result.main.value)
