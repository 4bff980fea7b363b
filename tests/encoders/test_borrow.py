"""``init_from``: tensors of another encoder, those that were taken and those that weren't."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

import biomtl
import tiny
from biomtl.encoders.borrow import borrow
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.recipe_io import make_recipe


@pytest.fixture(scope="module")
def other(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder like ``bert``, with other weights and the same vocabulary."""
    folder = tiny.write_encoder(tmp_path_factory.mktemp("other") / "other", seed=7)
    for path in bert.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def fresh(bert: Path) -> MultiTaskModel:
    return MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], max_length=24)


def take(model: MultiTaskModel, source: str) -> None:
    model.borrowed = borrow(model.encoder, model.processor, source)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_all_tensors_of_a_matching_encoder(bert: Path, other: Path) -> None:
    model = fresh(bert)
    take(model, str(other))
    assert model.borrowed is not None
    assert (model.borrowed.left, model.borrowed.unused) == ({}, ())
    theirs = weights(other)
    for name, value in model.encoder.network.named_parameters():  # type: ignore[union-attr,operator]
        torch.testing.assert_close(value.detach(), theirs[name])


def test_some_tensors_and_why_the_others_were_not_taken(bert: Path, other: Path, tmp_path: Path) -> None:
    """A file with one layer under another prefix, an embedding of another shape, and an unused head."""
    theirs = weights(other)
    part = {f"bert.{name}": value for name, value in theirs.items() if "layer.0" in name}
    part["bert.embeddings.position_embeddings.weight"] = torch.zeros(7, 32)
    part["cls.weight"] = torch.zeros(2)
    save_file(part, tmp_path / "part.safetensors")
    model, before = fresh(bert), weights(bert)
    take(model, str(tmp_path / "part.safetensors"))
    assert model.borrowed is not None
    assert all("layer.0" in name for name in model.borrowed.taken)
    assert len(model.borrowed.taken) == 16
    assert model.borrowed.left["embeddings.position_embeddings.weight"] == "of another shape"
    assert model.borrowed.left["encoder.layer.1.output.dense.weight"] == "not there"
    assert model.borrowed.unused == ("cls.weight",)
    note = model.borrowed.note()
    assert "16 of 39 tensors taken; not taken, not there: embeddings.word_embeddings.weight, " in note
    assert "not taken, of another shape: embeddings.position_embeddings.weight; unused: cls.weight" in note
    own = dict(model.encoder.network.named_parameters())  # type: ignore[union-attr,operator]
    name = "encoder.layer.1.output.dense.weight"
    torch.testing.assert_close(own[name].detach(), before[name])
    assert not torch.equal(own[name.replace("1", "0", 1)].detach(), before[name.replace("1", "0", 1)])


def test_word_embeddings_of_another_vocabulary_are_not_taken(bert: Path, tmp_path: Path) -> None:
    folder = tiny.write_encoder(tmp_path / "e", seed=3)
    path = folder / "tokenizer.json"
    written = json.loads(path.read_text())
    words = written["model"]["vocab"]
    words["pola"], words["rimu"] = words["rimu"], words["pola"]
    path.write_text(json.dumps(written))
    model = fresh(bert)
    take(model, str(folder))
    assert model.borrowed is not None
    assert model.borrowed.left == {"embeddings.word_embeddings.weight": "of another vocabulary"}


def test_a_run_reports_and_records_it(bert: Path, other: Path, small_suite: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"], "max_length": 24}
    keys |= {
        "max_steps": 1,
        "eval_strategy": "no",
        "predict_test": False,
        "num_hidden_layers": 1,
        "learning_rate": 1e-9,
    }
    console = Console(record=True, width=200, file=io.StringIO())
    recipe = {**keys, "init_from": str(other), "output": str(tmp_path / "run")}
    run = biomtl.train(recipe, console=console)
    said = console.export_text()
    assert f"init_from {other}: 23 of 23 tensors taken; unused: encoder.layer.1" in " ".join(said.split())
    assert run.metrics is not None
    assert len(run.metrics.provenance["init_from"]["taken"]) == 23
    name = "encoder.layer.0.output.dense.weight"
    torch.testing.assert_close(weights(tmp_path / "run" / "model")[name], weights(other)[name], atol=1e-5, rtol=1e-4)
    again = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], max_length=24)
    take(again, str(tmp_path / "run"))  # a run folder is a source, too
    assert again.borrowed is not None
    assert len(again.borrowed.taken) == 23


def test_what_cannot_be_taken_is_refused(bert: Path, encoders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="init_from changes the encoder below trained heads"):
        make_recipe({"init_from": "x", "heads": "trained"})
    with pytest.raises(InputError, match=r"none of its \d+ tensors fits"):
        take(fresh(bert), str(encoders["modernbert"]))
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="init_from: no safetensors"):
        take(fresh(bert), str(tmp_path / "model.pt"))
    (tmp_path / "x.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(InputError, match="not safetensors"):
        take(fresh(bert), str(tmp_path / "x.safetensors"))
    save_file({"encoder.layer.0.output.dense.bias": torch.full((32,), torch.nan)}, tmp_path / "nan.safetensors")
    with pytest.raises(InputError, match="not finite"):
        take(fresh(bert), str(tmp_path / "nan.safetensors"))
    with pytest.raises(InputError, match="init_from, but a model was passed in"):
        biomtl.train({"init_from": str(bert), "output": str(tmp_path / "r")}, model=fresh(bert))
