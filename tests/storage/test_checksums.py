"""A flipped bit in a saved model or checkpoint is seen, and so are weights that are no numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel

Command = Callable[..., Any]


@pytest.fixture
def model(small_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_model, tmp_path / "model"))


def flip(path: Path) -> None:
    """Change the lowest bit of the last byte: still a whole file of its format."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def without_checksums(model: Path) -> None:
    """As an older biomtl wrote it."""
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["files"]
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
        ["finetune", model, "--task", "cls-text", "--data", suite, "--out", root / "r"],
    ]


@pytest.mark.parametrize("number", range(6))
def test_every_command_sees_a_flipped_bit(
    command: Command, model: Path, small_suite: Path, tmp_path: Path, number: int
) -> None:
    words = commands(model, small_suite, tmp_path)[number]
    flip(model / "model.safetensors")
    ended = command(*words)
    assert ended.code == 2, words
    assert f"{model / 'model.safetensors'}: the file is damaged" in ended.err
    if words[0] in ("predict", "embed"):
        assert command(*words, "--no-verify").code == 0
        (tmp_path / "e.hdf5").unlink(missing_ok=True)
        assert command(*words).code == 2, "asked for once, not for ever"


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
def test_weights_that_are_no_numbers(
    command: Command, model: Path, small_suite: Path, tmp_path: Path, name: str, value: float
) -> None:
    without_checksums(model)
    edit(model / name, lambda tensors: next(iter(tensors.values())).view(-1).__setitem__(0, value))
    reads_heads = [["predict"], ["annotate"], ["evaluate"], ["export"], ["finetune"]]
    for words in commands(model, small_suite, tmp_path):
        if name == "model.safetensors" or [words[0]] in reads_heads:
            ended = command(*words)
            assert ended.code == 2, words
            assert "not finite (NaN or infinite)" in ended.err


def test_a_missing_pooler_is_not_drawn_at_random(model: Path) -> None:
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
