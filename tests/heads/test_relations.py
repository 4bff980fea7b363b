"""Pairs of mentions read from shared rows: outputs don't depend on what else is in the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel

VIEWS = ("rel-mask", "rel-markers", "rel-spans", "rel-levitated")


@pytest.fixture
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    return tiny.model(bert, [*VIEWS, "tag-drug"], max_length=48).eval()


@pytest.mark.parametrize("name", VIEWS)
def test_a_pair_s_outputs_don_t_depend_on_the_others(model: MultiTaskModel, name: str) -> None:
    records = tiny.records(name, 12)
    together = predict_records(model, {name: records})[name]
    for record, wanted in zip(records, together, strict=True):
        (alone,) = predict_records(model, {name: [record]})[name]
        assert alone["label"] == wanted["label"]
        assert alone["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-4)


def test_one_row_for_all_pairs_of_a_text_and_its_taggers(model: MultiTaskModel) -> None:
    records = tiny.records("rel-spans", 8)
    tagged = []
    for number in (0, 4):
        text = records[number]["text"]
        tokens = text.split()
        offsets = [[text.index(token), text.index(token) + len(token)] for token in tokens]
        tagged.append(
            {"id": str(number), "doc_id": "d", "tokens": tokens, "offsets": offsets, "tags": ["O"] * len(tokens)}
        )
    given = {"rel-spans": records, "tag-drug": tagged}
    examples = encode_examples(model.processor, model.tasks, given, targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    assert len(batch.inputs["input_ids"]) == len(examples) == 2
    rows = batch.tasks["rel-spans"]
    assert (len(rows.rows), len(rows.output_counts), rows.outputs_per_row, batch.texts["rel-spans"]) == (2, 8, 4, 2)
    answer = model(batch.inputs, batch.tasks)["rel-spans"]
    assert answer.outputs.shape == (8, 3)
    assert (answer.count, answer.loss is not None) == (8, True)


def test_a_text_with_very_many_pairs_is_encoded_in_portions(model: MultiTaskModel) -> None:
    examples = encode_examples(
        model.processor, model.tasks, {"rel-spans": tiny.records("rel-spans", 4)}, targets=True, choices=model.choices
    )
    (example,) = examples
    assert [len(portion.task_examples) for portion in example.portions(3)] == [3, 1]
    assert example.portions(4) == [example]


def test_a_mention_without_pieces_is_not_trained_on(model: MultiTaskModel) -> None:
    record = tiny.records("rel-spans", 1)[0]
    text = "\u0001 " + record["text"]
    entities = [{**e, "start": e["start"] + 2, "end": e["end"] + 2} for e in record["entities"]]
    entities[0] = {**entities[0], "start": 0, "end": 1, "text": "\u0001"}
    damaged = {**record, "text": text, "entities": entities}
    for name in ("rel-spans",):
        (example,) = encode_examples(
            model.processor, model.tasks, {name: [damaged]}, targets=True, choices=model.choices
        )
        assert example.task_examples[0].loss_denominator == 0
        batch = collate([example], model.processor)
        answer = model(batch.inputs, batch.tasks)[name]
        assert answer.loss is not None
        assert float(answer.loss.detach()) == 0.0
        (prediction,) = predict_records(model, {name: [damaged]})[name]
        assert prediction["label"] in model.tasks[name].labels


def test_very_many_pairs_attend_to_their_row_in_chunks(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    # Four pairs of one text, two of another, one of a third.
    records = [tiny.records("rel-spans", 12)[i] for i in (0, 1, 2, 3, 4, 6, 9)]
    together = predict_records(model, {"rel-spans": records})["rel-spans"]
    for most in (1, 3):
        monkeypatch.setattr("biomtl.heads.relations.WIDEST", most)
        parts = predict_records(model, {"rel-spans": records})["rel-spans"]
        for one, other in zip(together, parts, strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
