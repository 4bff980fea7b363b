"""Evaluation: all gold scored, by the same scores as ``biomtl score``."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import biomtl
import tiny
from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.inference.evaluate import evaluate, shared_tasks
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite


@pytest.fixture(scope="module")
def model(small_model: Path) -> MultiTaskModel:
    return MultiTaskModel.from_pretrained(small_model)


def test_scores_are_those_of_the_written_predictions(model: MultiTaskModel, small_suite: Path, tmp_path: Path) -> None:
    suite = load_suite(small_suite)
    result = evaluate(model, suite, "test", resamples=50, seed=3)
    result.write_predictions(tmp_path)
    assert result.mean == pytest.approx(sum(s.main.value for s in result.scores.values()) / 4)
    for name in tiny.FOUR:
        gold, predicted = small_suite / name / "test.jsonl", tmp_path / name / "test.jsonl"
        ids = [[json.loads(line)["id"] for line in path.read_text().splitlines()] for path in (gold, predicted)]
        assert ids[0] == ids[1]
        again = biomtl.score(suite.tasks[name], gold, predicted, seed=3, resamples=50)
        assert again == result.scores[name]


def test_predictions_that_are_known_are_not_made_again(
    model: MultiTaskModel, small_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(small_suite)
    known = predict_records(model, {name: suite[name].records("dev") for name in suite.tasks})
    monkeypatch.setattr("biomtl.inference.evaluate.predict_records", None)
    assert evaluate(model, suite, "dev", predictions=known, resamples=0).predictions == known


def test_every_gold_mention_of_a_long_sentence_is_scored(bert: Path, tmp_path: Path) -> None:
    """A sentence of many windows; a perfect tagger's score counts each of its mentions."""
    rng = random.Random(0)
    folder = tiny.write_suite(tmp_path / "suite", ("tag-drug",))
    tokens = [word for _ in range(30) for word in tiny.sentence(rng)]
    offsets = [[3 * i, 3 * i + len(token)] for i, token in enumerate(tokens)]
    at = 0
    for i, token in enumerate(tokens):
        offsets[i] = [at, at + len(token)]
        at += len(token) + 1
    tags = ["B-Drug" if token in tiny.DRUGS else "O" for token in tokens]
    record = {"id": "long", "doc_id": "long", "tokens": tokens, "offsets": offsets, "tags": tags}
    tiny.write_rows(folder / "tag-drug" / "test.jsonl", [record])
    suite = load_suite(folder)
    model = MultiTaskModel.from_encoder(bert, suite.tasks, heads=suite.heads, max_length=16)
    result = evaluate(model, suite, "test", resamples=0)
    assert len(result.predictions["tag-drug"][0]["tags"]) == len(tokens) > 150
    assert result.scores["tag-drug"].main.support == tags.count("B-Drug") > 20


def test_batches_don_t_change_predictions(model: MultiTaskModel, small_suite: Path) -> None:
    suite = load_suite(small_suite)
    records = {name: suite[name].records("train") for name in suite.tasks}
    small, large = (predict_records(model, records, batch_tokens=tokens) for tokens in (24, 100_000))
    for name in records:
        for first, second in zip(small[name], large[name], strict=True):
            assert first.keys() == second.keys()
            for key in first:
                if key in ("score", "probabilities"):
                    assert first[key] == pytest.approx(second[key], abs=1e-5)
                else:
                    assert first[key] == second[key]


def test_the_tasks_in_common(model: MultiTaskModel, small_suite: Path, tmp_path: Path) -> None:
    suite = load_suite(small_suite)
    assert list(shared_tasks(model, suite, asked=False, split="dev").tasks) == sorted(tiny.FOUR)
    more = tiny.write_suite(tmp_path / "more", ("cls-text", "multi-pair"))
    assert list(shared_tasks(model, load_suite(more), asked=False, split="dev").tasks) == ["cls-text"]
    with pytest.raises(InputError, match="the model has no task 'multi-pair'"):
        shared_tasks(model, load_suite(more), asked=True, split="dev")
    none = load_suite(more).only(["multi-pair"])
    with pytest.raises(InputError, match="no task of the model has a dev split in the data"):
        shared_tasks(model, none, asked=False, split="dev")
    (more / "cls-text" / "dev.jsonl").unlink()
    with pytest.raises(InputError, match="no task of the model has a dev split"):
        shared_tasks(model, load_suite(more), asked=False, split="dev")


def relabelled(folder: Path, name: str, labels: list[str]) -> Path:
    """A suite of one task whose record lists these labels."""
    tiny.write_suite(folder, (name,))
    (folder / name / "task.yaml").write_text(yaml.safe_dump({"name": name, **tiny.TASKS[name], "labels": labels}))
    return folder


def test_other_labels_are_refused(model: MultiTaskModel, tmp_path: Path) -> None:
    folder = relabelled(tmp_path / "suite", "cls-text", ["none", "drug", "both"])
    message = "task cls-text: the data's labels are not the model's, expected classification over drug, none"
    with pytest.raises(InputError, match=message):
        shared_tasks(model, load_suite(folder), asked=False, split="dev")


def test_the_order_of_labels_is_the_model_s_own(model: MultiTaskModel, small_suite: Path, tmp_path: Path) -> None:
    folder = relabelled(tmp_path / "suite", "cls-text", ["drug", "none"])
    suite = shared_tasks(model, load_suite(folder), asked=False, split="dev")
    found = evaluate(model, suite, "dev", resamples=0)
    expected = evaluate(model, load_suite(small_suite, ["cls-text"]), "dev", resamples=0)
    assert found.predictions == expected.predictions
    assert found.scores["cls-text"].main.value == expected.scores["cls-text"].main.value


def test_a_tagger_with_marks_of_pieces_is_scored(bert: Path, tmp_path: Path) -> None:
    suite = load_suite(tiny.write_suite(tmp_path / "suite", ("tag-drug",)))
    labels = ("O", "B-Drug", "I-Drug", "X", "CLS", "SEP")
    model = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug").model_copy(update={"labels": labels})])
    result = evaluate(model, shared_tasks(model, suite, asked=True, split="dev"), "dev", resamples=0)
    assert {tag for row in result.predictions["tag-drug"] for tag in row["tags"]} <= set(labels[:3])


def test_outputs_that_are_not_finite(bert: Path, small_suite: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")])
    with torch.no_grad():
        next(model.head("cls-text").parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="outputs for task cls-text are not finite numbers, it diverged in training"):
        evaluate(model, load_suite(small_suite, ["cls-text"]), "dev")


@pytest.mark.parametrize("name", ["rel-spans", "rel-mask"])
def test_the_data_may_have_other_names_of_argument_types(name: str, bert: Path, tmp_path: Path) -> None:
    """They are translated as the data's own `types` say, whether or not the model knows them."""
    rows = tiny.records(name, 6)
    renamed = [
        {**row, "entities": [{**e, "type": e["type"].replace("Drug", "Pola")} for e in row["entities"]]} for row in rows
    ]
    model = tiny.model(bert, [name], max_length=48)

    def predicted(rows: list[dict[str, Any]], **relation: Any) -> list[dict[str, Any]]:
        files = Files(test=str(tiny.write_rows(tmp_path / "own.jsonl", rows)))
        arguments = {"first": "drug", "second": "illness", **relation}
        definition = TaskDefinition(type="relation", files=files, relation=arguments)
        suite = load_suite("nowhere", [name], {name: definition}, known=model.tasks)
        return evaluate(model, shared_tasks(model, suite, asked=True, split="test"), "test", resamples=0).predictions[
            name
        ]

    assert predicted(renamed, types={"Pola": "drug"}) == predicted(rows)
    if name == "rel-spans":  # which has a vector for each type
        with pytest.raises(
            InputError, match=r"not trained on mentions of type pola, expected drug, illness, translate"
        ):
            predicted(renamed, first="pola")
    else:
        assert predicted(renamed, first="pola") != predicted(rows)  # its placeholder is another one
