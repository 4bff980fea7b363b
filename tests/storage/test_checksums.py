"""A flipped bit in a saved model or checkpoint is detected, and so are NaN and infinite weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

import elmo_data
import tiny
from biomtl.checkpoints.convert import convert
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel, read_manifest
from biomtl.storage import checksums
from biomtl.training.run import train
from old_checkpoints import bert_variables, mtdnn_state, write_pt, write_tf

Command = Callable[..., Any]


@pytest.fixture
def model(small_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_model, tmp_path / "model"))


def flip(path: Path) -> None:
    """Change the lowest bit of the last byte: still a valid file of its format."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def flip_inside(path: Path) -> None:
    """Change the lowest bit of the byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def without_checksums(model: Path) -> None:
    """As an older biomtl wrote it."""
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["files"], manifest["sha256"]
    (model / "manifest.json").write_text(json.dumps(manifest))


def commands(model: Path, suite: Path, root: Path) -> list[list[Any]]:
    text = root / "lines.txt"
    text.write_text("Pola met rimu.\n")
    return [
        ["predict", model, text],
        ["annotate", model, text, "--out", root / "a.jsonl"],
        ["embed", model, text, "--out", root / "e.hdf5"],
        ["evaluate", model, "--data", suite, "--out", root / "v"],
        ["export", model, root / "x", "--task", "cls-text"],
        ["export", model, root / "o", "--to", "onnx"],
        ["finetune", model, "--task", "cls-text", "--data", suite, "--out", root / "r"],
        ["train", tiny.write_recipe(root / "r.yaml", model, suite)],
        ["train", tiny.write_recipe(root / "h.yaml", model, suite, heads="trained")],
        ["convert", model, root / "c", "--encoder-only"],
        ["convert", model, root / "t", "--to", "tf"],
        ["check", suite / "cls-text" / "train.jsonl", "--type", "classification", "--encoder", model],
        ["audit", suite, "--encoder", model],
    ]


UNREAD = {
    ".biomtl.json",  # what --overwrite may delete: read by no command that reads the model
    "README.md",  # the model card, in which people write
}
ENCODER_ONLY = ("embed", "convert", "r.yaml", "check", "audit")
TEXT_ONLY = ("check", "audit")


def test_every_command_sees_a_flipped_bit_in_every_file(
    command: Command, model: Path, small_suite: Path, tmp_path: Path
) -> None:
    files = [path for path in sorted(model.rglob("*")) if path.is_file() and path.name not in UNREAD]
    assert {path.name for path in files} >= {"manifest.json", "config.json", "model.safetensors", "head.safetensors"}
    asked = commands(model, small_suite, tmp_path)
    for path in files:
        in_head = path.parent.parent.name == "heads"
        if in_head and path.parent.name != "cls-text":
            continue
        whole = path.read_bytes()
        flip_inside(path)
        for words in asked:
            kind = Path(words[1]).name if words[0] == "train" else words[0]
            if (in_head and kind in ENCODER_ONLY) or (path.name == "model.safetensors" and kind in TEXT_ONLY):
                continue
            ended = command(*words)
            assert ended.code == 2, (words, path.name)
            assert str(path) in ended.err, (words, path.name, ended.err)
            assert ended.err.count("\n") == 1, (words, path.name, ended.err)
        path.write_bytes(whole)


def test_no_verify_is_asked_for_once(command: Command, model: Path, small_suite: Path, tmp_path: Path) -> None:
    flip(model / "model.safetensors")
    for words in commands(model, small_suite, tmp_path):
        if words[0] not in ("predict", "embed", "convert"):
            continue
        ended = command(*words)
        assert ended.code == 2, words
        assert f"{model / 'model.safetensors'}: the file is damaged" in ended.err
        assert command(*words, "--no-verify").code == 0
    damaged = command("predict", model, tmp_path / "lines.txt")
    assert damaged.code == 2, "asked for once, not for ever"


def test_a_manifest_holds_its_own_checksum(model: Path) -> None:
    manifest = model / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"max_length": 24', '"max_length": 25'))
    with pytest.raises(InputError, match=r"manifest\.json: the file is damaged"):
        MultiTaskModel.from_pretrained(model)
    checksums.demand(False)
    try:
        assert read_manifest(model)["max_length"] == 25
    finally:
        checksums.demand(True)


@pytest.mark.parametrize("name", ["heads/cls-text/head.safetensors", "processor.json", "tokenizer.json"])
def test_every_file_is_covered(model: Path, name: str) -> None:
    (model / name).write_bytes((model / name).read_bytes() + b"\n")
    with pytest.raises(InputError, match="the file is damaged"):
        MultiTaskModel.from_pretrained(model)
    (model / name).unlink()
    with pytest.raises(InputError, match="the file is missing"):
        MultiTaskModel.from_pretrained(model)


def test_models_without_checksums_load(model: Path) -> None:
    without_checksums(model)
    assert MultiTaskModel.from_pretrained(model).tasks


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["model.safetensors", "heads/cls-text/head.safetensors"])
def test_nan_and_infinite_weights(
    command: Command, model: Path, small_suite: Path, tmp_path: Path, name: str, value: float
) -> None:
    without_checksums(model)
    edit(model / name, lambda tensors: next(iter(tensors.values())).view(-1).__setitem__(0, value))
    for words in commands(model, small_suite, tmp_path):
        kind = Path(words[1]).name if words[0] == "train" else words[0]
        if kind not in (TEXT_ONLY if name == "model.safetensors" else ENCODER_ONLY):
            ended = command(*words)
            assert ended.code == 2, words
            assert "not finite (NaN or infinite)" in ended.err


def tf_source(folder: Path, value: float) -> tuple[Path, str]:
    variables = bert_variables("classifier")
    variables["output_weights"][0, 0] = value
    return write_tf(folder, variables), "output_weights"


def mtdnn_source(folder: Path, value: float) -> tuple[Path, str]:
    state = mtdnn_state(san=False)
    state["scoring_list.1.weight"][0, 0] = value
    return write_pt(folder / "m.pt", state=state), "scoring_list.1.weight"


def hf_source(folder: Path, value: float) -> tuple[Path, str]:
    tiny.write_encoder(folder)
    edit(folder / "model.safetensors", lambda tensors: tensors["pooler.dense.weight"].view(-1).__setitem__(3, value))
    return folder, "pooler.dense.weight"


def pickled_source(folder: Path, value: float) -> tuple[Path, str]:
    folder, name = hf_source(folder, value)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder, name


def elmo_source(folder: Path, value: float) -> tuple[Path, str]:
    elmo_data.write_bilm(folder)
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        file["CNN_proj/b_proj"][...] = np.full(file["CNN_proj/b_proj"].shape, value, np.float32)
    return folder, "CNN_proj/b_proj"


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("source", [tf_source, mtdnn_source, hf_source, pickled_source, elmo_source])
def test_checkpoints_with_nan_weights_are_not_converted(
    tmp_path: Path, source: Callable[[Path, float], tuple[Path, str]], value: float
) -> None:
    place, name = source(tmp_path / "in", value)
    options: dict[str, Any] = {"tasks": "a=regression:1,b=classification:3,c=tagging:O|B-X|I-X|X|SEP"}
    options = options if source is mtdnn_source else {"encoder_only": source in (hf_source, pickled_source)}
    with pytest.raises(InputError) as refused:
        convert(place, tmp_path / "out", **options)
    assert f"{name} holds values that are not finite (NaN or infinite)" in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["model", "encoder", "trained"])
def test_training_refuses_nan_weights_before_it_reads_data(model: Path, tmp_path: Path, given: str) -> None:
    without_checksums(model)
    recipe: dict[str, Any] = {"suite": str(tmp_path / "nothing"), "output": str(tmp_path / "run")}
    passed = None
    if given == "model":
        passed = MultiTaskModel.from_pretrained(model)
        with torch.no_grad():
            passed.encoder.get_parameter("network.pooler.dense.bias")[1] = float("nan")
    else:
        edit(model / "model.safetensors", lambda tensors: tensors["pooler.dense.bias"].__setitem__(1, float("nan")))
        recipe |= {"encoder": str(model), "heads": "trained" if given == "trained" else "fresh"}
    with pytest.raises(InputError, match=r"pooler\.dense\.bias holds values that are not finite"):
        train(recipe, model=passed, console=Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_a_missing_pooler_is_not_initialised_at_random(model: Path) -> None:
    without_checksums(model)
    edit(model / "model.safetensors", lambda tensors: [tensors.pop(key) for key in list(tensors) if "pooler" in key])
    with pytest.raises(InputError, match=r"the weights lack 2 of the encoder's tensors \(pooler"):
        MultiTaskModel.from_pretrained(model)


def test_a_damaged_checkpoint(command: Command, bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"max_length": 24, "num_train_epochs": None, "max_steps": 2, "save_steps": 1}
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, predict_test=False, **keys)
    assert command("train", recipe).code == 0
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "report.html").unlink(missing_ok=True)
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    flip(newest / "optimiser.safetensors")
    ended = command("train", recipe, "--resume")
    assert ended.code == 2
    assert "optimiser.safetensors: the file is damaged" in ended.err
    flip(newest / "optimiser.safetensors")
    progress = json.loads((newest / "progress.json").read_text())
    del progress["files"]
    progress.pop("sha256")
    (newest / "progress.json").write_text(json.dumps(progress))
    save_file({"1.cpu": torch.get_rng_state()}, newest / "random.safetensors")
    ended = command("train", recipe, "--resume")
    assert ended.code == 2
    assert "no random state" in ended.err
