"""A biLM as the encoder of a multi-task model: every task type, frozen and trained, with a store, saved and loaded."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.encoders import load_encoder, load_processor
from biomtl.encoders.elmo import encode
from biomtl.encoders.elmo.encoder import ElmoEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.text.base import TextInput
from biomtl.text.elmo import ElmoProcessor

ALL = [tiny.task(name) for name in tiny.TASKS]


def records(count: int = 6) -> dict[str, list[dict[str, Any]]]:
    rng = random.Random(0)
    return {task.name: [tiny.record(task.name, rng, number) for number in range(count)] for task in ALL}


def batch_of(model: MultiTaskModel, rows: dict[str, list[dict[str, Any]]]) -> Any:
    return collate(encode_examples(model.processor, model.tasks, rows, targets=True), model.processor)


@pytest.fixture
def model(bilm_folder: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    return MultiTaskModel.from_encoder(bilm_folder, ALL)


def test_every_task_type_learns_with_a_frozen_bilm(model: MultiTaskModel) -> None:
    encoder = model.encoder
    assert isinstance(encoder, ElmoEncoder)
    assert encoder.frozen
    before = copy.deepcopy(encoder.network.state_dict())
    batch = batch_of(model, records())
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05)
    model.train()
    history = []
    for _ in range(30):
        losses = {name: answer.loss for name, answer in model(batch.inputs, batch.tasks).items()}
        assert losses.keys() == tiny.TASKS.keys()
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        history.append({name: value.item() for name, value in losses.items()})
    fell = [name for name in history[0] if history[-1][name] < history[0][name]]
    assert len(fell) >= len(ALL) - 2, (history[0], history[-1])
    assert all(torch.equal(value, before[name]) for name, value in encoder.network.state_dict().items())
    mixes = [value for name, value in model.heads.named_parameters() if name.endswith("mixes.0.weights")]
    assert len({tuple(value.tolist()) for value in mixes}) == len(mixes) == len(ALL)  # each task has its own


@pytest.mark.parametrize("bf16", [False, True])
def test_fine_tuning_reaches_every_weight(model: MultiTaskModel, bf16: bool) -> None:
    model.encoder.requires_grad_(True)
    batch = batch_of(model, records(3))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        losses = {name: answer.loss for name, answer in model(batch.inputs, batch.tasks).items()}
    torch.stack(list(losses.values())).sum().backward()
    for name, value in model.encoder.named_parameters():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all()
        assert value.grad.abs().sum() > 0, name


def test_predictions_do_not_depend_on_the_batch(model: MultiTaskModel) -> None:
    rows = records()
    together, apart = predict_records(model, rows), predict_records(model, rows, batch_tokens=1)
    for name in rows:
        for a, b in zip(together[name], apart[name], strict=True):
            assert a.keys() == b.keys()
            if "score" in a:
                assert a["score"] == pytest.approx(b["score"], abs=1e-4)
            else:
                assert a.get("label", a.get("tags", a.get("labels"))) == b.get("label", b.get("tags", b.get("labels")))


def test_saved_and_loaded_to_equal_outputs(model: MultiTaskModel, bilm_folder: Path, tmp_path: Path) -> None:
    model.encoder = ElmoEncoder(model.encoder.network, mixes=2, dropout=0.1)  # type: ignore[arg-type]
    for task in ALL:
        model.add_task(task)
    model.processor = ElmoProcessor(max_length=8, stride=3)
    model.save_pretrained(tmp_path / "model")
    again = MultiTaskModel.from_pretrained(tmp_path / "model")
    assert isinstance(again.encoder, ElmoEncoder)
    assert (again.encoder.mixes, again.encoder.dropout, again.encoder.frozen) == (2, 0.1, True)
    assert (again.processor.max_length, again.processor.stride) == (8, 3)  # type: ignore[attr-defined]
    batch = batch_of(model, records())
    model.eval()
    wanted, got = model(batch.inputs, batch.tasks), again(batch.inputs, batch.tasks)
    assert all(torch.equal(wanted[name].outputs, got[name].outputs) for name in wanted)


def test_the_store_gives_equal_outputs_without_running_the_bilm(
    model: MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = model.encoder
    assert isinstance(encoder, ElmoEncoder)
    model.eval()
    items = encode_examples(model.processor, model.tasks, records(), targets=True)
    batch = collate(items, model.processor)
    wanted = model(batch.inputs, batch.tasks)
    encoder.keep_activations(tmp_path, dtype="fp32")
    rows = [row for item in items for row in item.rows]
    said: list[str] = []
    encoder.prepare(rows, said.append)
    distinct = len({row.inputs["character_ids"].tobytes() for row in rows})
    assert f"computing {distinct} of {distinct} sentences" in said[0]
    encoder.prepare(rows, said.append)
    assert f"all {distinct} sentences are in" in said[1]

    def never(*_: Any) -> Any:
        raise AssertionError("the biLM was run")

    monkeypatch.setattr(encoder.network, "contextual", never)
    got = model(batch.inputs, batch.tasks)
    for name, answer in wanted.items():
        torch.testing.assert_close(got[name].outputs, answer.outputs, atol=1e-5, rtol=1e-5)
    # What the store gives can be trained on.
    torch.stack([answer.outputs.sum() for answer in got.values()]).sum().backward()


def test_unprepared_rows_are_stored_when_first_encoded(model: MultiTaskModel, tmp_path: Path) -> None:
    encoder = model.encoder
    assert isinstance(encoder, ElmoEncoder)
    encoder.keep_activations(tmp_path)
    assert encoder.store is not None
    batch = batch_of(model, records(2))
    model(batch.inputs, batch.tasks)
    assert len(encoder.store) > 0


def test_a_trained_bilm_leaves_the_store_alone(model: MultiTaskModel, tmp_path: Path) -> None:
    encoder = model.encoder
    assert isinstance(encoder, ElmoEncoder)
    encoder.keep_activations(tmp_path)
    encoder.requires_grad_(True)
    items = encode_examples(model.processor, model.tasks, records(2), targets=True)
    batch = collate(items, model.processor)
    encoder.prepare([row for item in items for row in item.rows], print)
    model(batch.inputs, batch.tasks)
    with torch.no_grad():
        model(batch.inputs, batch.tasks)
    assert encoder.store is not None
    assert len(encoder.store) == 0


def test_hidden_states_are_all_layers(bilm_folder: Path) -> None:
    encoder, processor = load_encoder(bilm_folder), load_processor(bilm_folder, None, None)
    rows = [row for text in processor.encode([TextInput(("Pola, x.",)), TextInput(("y",))]) for row in text.rows]
    encoded = encoder(processor.collate(rows))
    layers = next(encode(encoder.network, [["Pola", ",", "x", "."]]))  # type: ignore[arg-type]
    torch.testing.assert_close(encoded.hidden[0], layers.transpose(0, 1).flatten(1))
    assert encoded.mask.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert not encoded.hidden[1, 1:].any()


def test_processor_windows_words_and_pairs() -> None:
    processor = ElmoProcessor(max_length=4, stride=1)
    (text,) = processor.encode([TextInput(("a b c d e f g h",))])
    assert [row.offsets[:, 0].tolist() for row in text.rows] == [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14]]
    (own,) = processor.encode([TextInput(("a-b c",), words=((0, 3), (4, 5)))])
    assert own.rows[0].offsets.tolist() == [[0, 3], [4, 5]]
    (cut,) = processor.encode([TextInput(("a-b c",))])
    assert len(cut.rows[0]) == 4
    (pair,) = processor.encode([TextInput(("a", "b c"))])
    assert [(row.segment_id, row.sides.tolist()) for row in pair.rows] == [(0, [0]), (1, [1, 1])]
    (empty,) = processor.encode([TextInput(("",))])
    assert [(len(row), row.sides.tolist()) for row in empty.rows] == [(1, [-1])]
    for bad in ({"max_length": 0}, {"max_length": 3, "stride": 3}):
        with pytest.raises(InputError, match="max_length"):
            ElmoProcessor(**bad)
