"""A model that is trained twice: the second run has the settings of its own recipe."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import tiny
from biomtl.suite import load_suite
from biomtl.training.run import train

SETTINGS: dict[str, dict[str, Any]] = {
    "frozen_layers": {"frozen_layers": 2},
    "freeze_encoder": {"freeze_encoder": True},
    "gradient_checkpointing": {"gradient_checkpointing": True},
    "dropout": {"dropout": 0.5, "tasks": {"cls-text": {"loss": "hellinger", "divergence": "js"}}},
}
if find_spec("peft"):
    SETTINGS["lora"] = {"lora": {"rank": 2}}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_those_of_one_run(bert: Path, small_suite: Path, tmp_path: Path, name: str) -> None:
    suite = load_suite(small_suite, ["cls-text"])
    torch.manual_seed(0)
    model = tiny.model(bert, ["cls-text"], max_length=24)
    learns = {key: weight.requires_grad for key, weight in model.named_parameters()}
    dropouts = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    head = model.head("cls-text")
    before = (head.objective, head.divergence)
    keys = {"max_steps": 1, "batch_size": 4, "predict_test": False, "eval_strategy": "no", "save_strategy": "no"}
    recipe = {"output": str(tmp_path / "run"), "warmup_steps": 0, **keys, **SETTINGS[name]}
    train(recipe, model=model, suite=suite, console=Console(quiet=True))
    assert {key: weight.requires_grad for key, weight in model.named_parameters()} == learns
    assert [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)] == dropouts
    assert (head.objective, head.divergence) == before
    assert not any(getattr(module, "gradient_checkpointing", None) is True for module in model.modules())
