"""Adapters: what learns, and that a run's model is an ordinary one with what they have learned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import elmo_data
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.encoders.lora import add_lora, merge_lora, without_lora
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train

pytest.importorskip("peft")


def outputs(model: MultiTaskModel) -> dict[str, torch.Tensor]:
    records = {name: tiny.records(name, 4) for name in model.tasks}
    batch = collate(
        encode_examples(model.processor, model.tasks, records, targets=False, choices=model.choices), model.processor
    )
    with torch.no_grad():
        return {name: answer.outputs for name, answer in model.eval()(batch.inputs, batch.tasks).items()}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_learns(encoders: dict[str, Path], family: str) -> None:
    model = tiny.model(encoders[family], ["cls-text", "tag-drug"], max_length=24)
    before = outputs(model)
    configure(model, make_recipe({"lora": {"rank": 2}}))
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert any("lora_A" in name for name in learning)
    assert all("lora_" in n or "pooler" in n or n.startswith("heads.") for n in learning)
    for name, value in outputs(model).items():  # B is zero
        torch.testing.assert_close(value, before[name])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight += 0.1
    changed = outputs(model)
    assert not torch.allclose(changed["tag-drug"], before["tag-drug"])
    plain = without_lora(model.encoder.network)
    assert not any("lora_" in name for name in plain.state_dict())
    assert any("lora_" in name for name in model.encoder.state_dict())
    merge_lora(model.encoder)
    assert not any("lora_" in name for name in model.state_dict())
    for name, value in outputs(model).items():
        torch.testing.assert_close(value, changed[name], atol=1e-4, rtol=1e-3)


def test_a_run_gives_an_ordinary_model(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"lora": {"rank": 2, "attention_only": True}, "learning_rate": 1e-2, "max_length": 24}
    run = train(tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys), console=Console(quiet=True))
    saved = MultiTaskModel.from_pretrained(run.folder)
    assert saved.state_dict().keys() == MultiTaskModel.from_encoder(bert, run.model.tasks).state_dict().keys()
    for name, value in outputs(saved).items():
        torch.testing.assert_close(value, outputs(run.model)[name])
    start = MultiTaskModel.from_encoder(bert, []).encoder.state_dict()
    for name, value in saved.encoder.state_dict().items():
        if "pooler" not in name:
            assert torch.equal(value, start[name]) == (
                not ("attention" in name and name.endswith("weight") and value.ndim == 2)
            )


def test_what_is_refused(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elmo = MultiTaskModel.from_encoder(elmo_data.write_bilm(tmp_path / "bilm"), [tiny.task("cls-text")])
    with pytest.raises(InputError, match="lora: the encoder is not a transformer"):
        configure(elmo, make_recipe({"lora": {}}))
    with pytest.raises(InputError, match="lora and freeze_encoder are given, choose one"):
        make_recipe({"lora": {}, "freeze_encoder": True})
    layer = torch.nn.Module()
    layer.dense, layer.attention = torch.nn.Linear(2, 2), torch.nn.Parameter(torch.ones(2, 2))  # as in an XLNet
    network = torch.nn.Module()
    network.layers, network.get_input_embeddings = torch.nn.ModuleList([layer]), None
    encoder = torch.nn.Module()
    encoder.network = network
    with pytest.raises(InputError, match="lora: the encoder's attention has no linear layers for attention_only"):
        add_lora(encoder, rank=2, alpha=2.0, dropout=0.0, attention_only=True)
    layer.SelfAttention = torch.nn.Linear(2, 2)  # as in a T5
    add_lora(encoder, rank=2, alpha=2.0, dropout=0.0, attention_only=True)
    assert [name for name, _ in encoder.named_parameters() if "lora_A" in name] == [
        "network.layers.0.SelfAttention.lora_A.default.weight"
    ]
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r'lora needs peft, pip install "biomtl\[lora\]"'):
        configure(tiny.model(bert, ["cls-text"], max_length=24), make_recipe({"lora": {}}))
