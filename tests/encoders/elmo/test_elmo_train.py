"""A recipe with a biLM, from training to prediction."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import tiny
from biomtl.encoders.elmo import load_elmo
from biomtl.encoders.elmo.store import RECORD
from biomtl.inference.evaluate import evaluate
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training import train


@pytest.fixture
def run(bilm_folder: Path, small_suite: Path, tmp_path: Path) -> Any:
    """``run(name, **keys)`` -> what the run printed; its folder is ``tmp_path / name``."""

    def start(name: str, **keys: Any) -> str:
        suite = load_suite(small_suite)
        model = MultiTaskModel.from_encoder(bilm_folder, suite.tasks.values(), max_length=16, stride=4)
        recipe = {
            "encoder": str(bilm_folder),
            "suite": str(small_suite),
            "output": str(tmp_path / name),
            "max_length": 16,
            "batch_size": 8,
            "num_train_epochs": 2,
            "learning_rate": 0.01,
            "num_threads": 1,
            "activations_folder": str(tmp_path / "store"),
            **keys,
        }
        console = Console(file=io.StringIO(), width=200)
        train(recipe, model=model, suite=suite, console=console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return start


def test_train_predict_evaluate(run: Any, bilm_folder: Path, small_suite: Path, tmp_path: Path) -> None:
    first = run("first")
    assert "ELMo activations: computing" in first
    assert "are in" in run("second", seed=7)  # another seed finds what the first computed
    model = MultiTaskModel.from_pretrained(tmp_path / "first")
    weights = load_elmo(bilm_folder).state_dict()
    assert all(torch.equal(v, weights[n]) for n, v in model.encoder.network.state_dict().items())  # type: ignore[union-attr, operator]
    metrics = json.loads((tmp_path / "first" / "metrics.json").read_text())
    assert metrics["tasks"].keys() == set(tiny.FOUR)
    evaluation = evaluate(model, load_suite(small_suite), "test")
    for name in tiny.FOUR:
        saved = metrics["tasks"][name]["test"]["value"]
        assert evaluation.scores[name].main.value == pytest.approx(saved, abs=1e-6)  # rounded alike without the store
    results = Predictor(model)(["pola zalpidine.", ("pola", "rimu")])
    assert results[0]["tag-drug"].mentions is not None
    assert results[1]["reg-pair"].score is not None


def test_evaluation_texts_are_announced_too(run: Any, small_suite: Path, tmp_path: Path) -> None:
    said = run("first")
    count = int(re.search(r"computing ([\d,]+) of", said)[1].replace(",", ""))  # type: ignore[index]
    (index,) = (tmp_path / "store").rglob("index.bin")
    assert index.stat().st_size == count * RECORD.size  # nothing was added after the announcement
    said = run("train only", activations_folder=str(tmp_path / "other"), eval_strategy="no", predict_test=False)
    assert 0 < int(re.search(r"computing ([\d,]+) of", said)[1].replace(",", "")) < count  # type: ignore[index]


def test_a_store_that_cannot_be_made_leaves_no_run(run: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotADirectoryError):
        run("first", activations_folder=str(tmp_path / "taken"))
    assert not (tmp_path / "first").exists()


def test_fine_tuning_changes_the_bilm(run: Any, bilm_folder: Path, tmp_path: Path) -> None:
    assert "ELMo activations" not in run("tuned", freeze_encoder=False, num_train_epochs=1, eval_strategy="no")
    tuned = MultiTaskModel.from_pretrained(tmp_path / "tuned").encoder.network.state_dict()  # type: ignore[union-attr, operator]
    assert all(not torch.equal(value, tuned[name]) for name, value in load_elmo(bilm_folder).state_dict().items())
    assert not (tmp_path / "store").exists()
