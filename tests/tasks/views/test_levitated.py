"""Markers beside a text: the text is read as without them, pairs are read each by itself, and no pair is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import elmo_data
import tiny
from biomtl.batch import Batch, collate, encode_examples
from biomtl.encoders.transformer import MARKED_FAMILIES, TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.text.levitated import GROUPS, POSITIONS
from biomtl.text.transformer import TransformerProcessor

NAME = "rel-levitated"
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 48}


@pytest.fixture(scope="module")
def processor(bert: Path) -> TransformerProcessor:
    return TransformerProcessor.load(bert, 48)


def batch_of(processor: TransformerProcessor, records: list[dict[str, Any]]) -> Batch:
    tasks, choices = {NAME: tiny.task(NAME)}, {NAME: tiny.head(NAME)}
    return collate(encode_examples(processor, tasks, {NAME: records}, targets=True, choices=choices), processor)


def encoder_of(family: str, processor: TransformerProcessor, attention: str | None = None) -> TransformerEncoder:
    # RoBERTa and its like count positions from the padding's number on.
    special = {"vocab_size": len(processor.tokenizer), "pad_token_id": 3, "max_position_embeddings": 120}
    config = transformers.AutoConfig.for_model(family, **SIZES, **special, attn_implementation=attention)
    torch.manual_seed(0)
    encoder = TransformerEncoder.from_config(config).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(4)
    return encoder


def states(encoder: TransformerEncoder, inputs: Mapping[str, Tensor], bf16: bool = False) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        return encoder(inputs).hidden


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("family", MARKED_FAMILIES)
def test_text_states_are_those_without_markers(processor: TransformerProcessor, family: str, bf16: bool) -> None:
    encoder = encoder_of(family, processor)
    inputs = batch_of(processor, tiny.records(NAME, 10)).inputs
    text, groups = inputs["attention_mask"].bool(), inputs[GROUPS]
    assert (groups[~text] > 0).any()
    found = states(encoder, inputs, bf16)
    assert torch.isfinite(found).all()
    # With other markers, to the bit; without any, the network is called as ever and may round otherwise.
    other = {**inputs, "input_ids": torch.where(groups > 0, 7, inputs["input_ids"])}
    assert not torch.equal(states(encoder, other, bf16)[groups > 0], found[groups > 0])
    assert torch.equal(states(encoder, other, bf16)[text], found[text])
    plain = {name: value for name, value in inputs.items() if name not in (GROUPS, POSITIONS)}
    plain["input_ids"] = torch.where(text, inputs["input_ids"], 3)
    if not bf16:
        torch.testing.assert_close(states(encoder, plain)[text], found[text], atol=1e-5, rtol=1e-5)
        # A network that adds masks to its scores reads the same.
        torch.testing.assert_close(states(encoder_of(family, processor, "eager"), inputs), found, atol=1e-4, rtol=1e-4)


def test_a_marker_attends_only_to_the_text_and_its_pair(processor: TransformerProcessor) -> None:
    encoder = encoder_of("bert", processor)
    inputs = batch_of(processor, tiny.records(NAME, 4)).inputs
    (groups,) = inputs[GROUPS]
    found = states(encoder, inputs)[0]
    first, second = (groups == 1).nonzero().flatten().tolist()
    for changed in ("input_ids", POSITIONS):
        value = inputs[changed].clone()
        value[0, groups > 1] = 1
        alike = states(encoder, {**inputs, changed: value})[0]
        assert torch.equal(alike[groups < 2], found[groups < 2])
        value = inputs[changed].clone()
        value[0, second] = 1
        assert not torch.equal(states(encoder, {**inputs, changed: value})[0, first], found[first])


def test_markers_share_the_positions_of_their_mentions(processor: TransformerProcessor) -> None:
    records = tiny.records(NAME, 4)
    batch = batch_of(processor, records)
    (row,), (groups,), (places,) = (batch.inputs[name] for name in ("input_ids", GROUPS, POSITIONS))
    read = batch.tasks[NAME].word_positions
    assert read is not None
    assert read.shape == (4, 6, 2)
    for number, (one, _, other, _, *markers) in enumerate(read[..., 1].tolist(), 1):
        assert places[markers].tolist() == [one, other]
        assert groups[markers].tolist() == [number, number]
        assert not batch.inputs["attention_mask"][0, markers].any()
    length = int(batch.inputs["attention_mask"].sum())
    assert batch.real_tokens == batch.padded_tokens == len(row) == length + 8


@pytest.fixture
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    return tiny.model(bert, [NAME, "tag-drug"], max_length=24).eval()


def test_very_many_pairs_take_several_rows(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    records = tiny.records(NAME, 10)
    together = predict_records(model, {NAME: records})[NAME]
    monkeypatch.setattr("biomtl.batch.MOST_MARKERS", 6)
    text = records[0]["text"]
    tagged = {"id": "t", "doc_id": "d", "tokens": [text], "offsets": [[0, len(text)]], "tags": ["O"]}
    given = {NAME: records, "tag-drug": [tagged]}
    examples = encode_examples(model.processor, model.tasks, given, targets=True, choices=model.choices)
    assert [len(example.rows[0].markers) for example in examples if example.rows[0].markers is not None] == [
        6,
        2,
    ] * 2 + [4]
    assert sorted(asked.index for e in examples for asked in e.task_examples if asked.task == NAME) == list(range(10))
    assert [example.tasks for example in examples].count({NAME, "tag-drug"}) == 1
    for one, other in zip(together, predict_records(model, {NAME: records})[NAME], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_windows_have_the_markers_of_what_they_hold(model: MultiTaskModel) -> None:
    words = ["zalpidine", *["pola"] * 40, "korinosis"]
    text = " ".join(words)
    ends = [(0, 9), (len(text) - 9, len(text))]
    entities = [{"type": kind, "start": a, "end": b} for kind, (a, b) in zip(("Drug", "Illness"), ends, strict=True)]
    record = {"id": "1", "doc_id": "1", "text": text, "label": "treats", "entities": entities}
    (example,) = encode_examples(model.processor, model.tasks, {NAME: [record]}, targets=True, choices=model.choices)
    assert [0 if row.markers is None else len(row.markers) for row in example.rows] == [
        1,
        *[0] * (len(example.rows) - 2),
        1,
    ]
    read = collate([example], model.processor).tasks[NAME].word_positions
    assert read is not None
    assert np.unique(read[0, [0, 4], 0]).tolist() == [0]
    assert np.unique(read[0, [2, 5], 0]).tolist() == [len(example.rows) - 1]
    (prediction,) = predict_records(model, {NAME: [record]})[NAME]
    assert prediction["label"] in model.tasks[NAME].labels


@pytest.mark.parametrize(
    ("family", "named"), [("deberta", "deberta-v2"), ("modernbert", "modernbert"), ("elmo", "elmo")]
)
def test_encoders_without_such_attention(encoders: dict[str, Path], family: str, named: str, tmp_path: Path) -> None:
    folder = elmo_data.write_bilm(tmp_path / "bilm") if family == "elmo" else encoders[family]
    families = ", ".join(MARKED_FAMILIES)
    said = f"task {NAME}: view levitated over {named}, expected one of the families {families}, use view: spans"
    with pytest.raises(InputError, match=said):
        tiny.model(folder, [NAME])
