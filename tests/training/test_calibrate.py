"""Temperatures and thresholds: they correct what they should, change nothing else, and are saved with the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import tiny
from biomtl.checkpoints.onnx import export_onnx
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.inference.engines.onnx import OnnxEngine
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.calibration import Calibration
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.training.calibrate import calibrate, fit
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train


def outputs_of(name: str, records: list[dict[str, Any]], scale: float, noise: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    task = tiny.task(name)
    found = []
    for record in records:
        gold = type_of(task).target(record, task)
        wide = np.eye(len(task.labels))[gold] if gold.ndim == 1 else gold
        found.append((scale * (wide - 0.5 + noise * random.standard_normal(wide.shape))).astype(np.float32))
    return found


def targets_of(task: Task, records: list[dict[str, Any]]) -> list[np.ndarray]:
    return [type_of(task).target(record, task) for record in records]


@pytest.mark.parametrize("name", ["cls-text", "multi-text", "tag-drug"])
def test_the_temperature_corrects_overconfidence_and_changes_no_decision(name: str) -> None:
    task, records = tiny.task(name), tiny.records(name, 300)
    outputs = outputs_of(name, records, 12, 0.6)
    found = fit(task, DEFAULT_HEAD, records, outputs, targets_of(task, records), decisions=False)
    assert found.temperature > 2
    assert found.before is not None
    assert found.after is not None
    assert found.after.error < 0.7 * found.before.error
    head = HeadChoice(calibration=found)
    key = type_of(task).gold_key
    for record, values in zip(records, outputs, strict=True):
        plain, cooled = (type_of(task).predict(values, record, task, choice) for choice in (DEFAULT_HEAD, head))
        assert plain[key] == cooled[key]
    assert plain["probabilities"] != cooled["probabilities"]


@pytest.mark.parametrize("name", ["multi-text", "cls-text", "tag-drug"])
def test_thresholds_and_biases_raise_the_metric(name: str) -> None:
    task, records = tiny.task(name), tiny.records(name, 120)
    kind, key = type_of(task), type_of(task).gold_key
    shift = -4.0 if name == "multi-text" else 3.0 * np.eye(len(task.labels), dtype=np.float32)[0]
    outputs = [values + np.float32(shift) for values in outputs_of(name, records, 6, 0.3)]
    found = fit(task, DEFAULT_HEAD, records, outputs, targets_of(task, records), decisions=True)
    if name == "multi-text":
        assert found.thresholds
        assert min(found.thresholds.values()) < 0.5
    else:
        assert found.negative_bias < 0

    def right(choice: HeadChoice) -> int:
        said = [kind.predict(v, r, task, choice)[key] for v, r in zip(outputs, records, strict=True)]
        return sum(sorted(s) == sorted(r[key]) for s, r in zip(said, records, strict=True))

    assert right(HeadChoice(calibration=found)) > right(DEFAULT_HEAD)


def test_a_head_with_its_own_threshold_decides_no_worse() -> None:
    task, records = tiny.task("multi-text"), tiny.records("multi-text", 60)
    targets = targets_of(task, records)
    outputs = [np.where(gold > 0, -1.35, -1.42).astype(np.float32) for gold in targets]  # probabilities around 0.2
    head = HeadChoice(options={"threshold": 0.2})
    found = fit(task, head, records, outputs, targets, decisions=True)
    assert found.temperature > 1.5
    cooled = head.model_copy(update={"calibration": found})
    for record, values in zip(records, outputs, strict=True):
        assert type_of(task).predict(values, record, task, cooled)["labels"] == record["labels"]


def test_a_run_keeps_and_uses_it(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, calibrate=True)
    run = train(recipe, console=Console(quiet=True))
    saved = MultiTaskModel.from_pretrained(run.folder)
    assert {name for name, choice in saved.choices.items() if choice.calibration} == {
        "cls-text",
        "multi-text",
        "tag-drug",
    }
    assert saved.choices == run.model.choices
    for name in ("cls-text", "multi-text", "tag-drug"):
        ElementTree.parse(run.folder / "reliability" / f"{name}.svg")
    text = "pola zalpidine rimu teksa ."
    with_it, without = (Predictor(run.folder, calibrated=on)(text)["cls-text"].probabilities for on in (True, False))
    assert with_it != without
    lines = []
    (tmp_path / "t.txt").write_text(text + "\n")
    for options in ([], ["--uncalibrated"]):
        result = CliRunner().invoke(
            app, ["predict", str(run.folder), str(tmp_path / "t.txt"), "--task", "cls-text", *options]
        )
        lines.append(json.loads(result.stdout)["tasks"]["cls-text"]["probabilities"])
    assert lines == [with_it, without]
    further = {"encoder": str(run.folder), "heads": "trained", "suite": str(small_suite), "tasks": ["cls-text"]}
    further |= {"output": str(tmp_path / "on"), "max_length": 24, "num_train_epochs": 1, "batch_size": 8}
    on = train(further, console=Console(quiet=True))
    assert on.model.choices["cls-text"].calibration is None  # other weights
    train(recipe, console=Console(quiet=True), overwrite=True)  # its figures are the run's own
    predicted = (run.folder / "predictions" / "cls-text" / "dev.jsonl").read_text().splitlines()
    assert json.loads(predicted[0])["probabilities"].keys() == {"none", "drug"}


def test_words_without_pieces_do_not_count(bert: Path, tmp_path: Path) -> None:
    """They are always ``O``, with certainty, so that a few of them inside mentions would decide the temperature."""
    found = []
    for number, more in enumerate(([], ["\u200b"])):
        folder = tiny.write_suite(tmp_path / f"suite{number}", ("tag-drug",))
        rows = tiny.records("tag-drug", 30)
        for row in rows[:3]:
            row["tokens"], row["tags"] = [*row["tokens"], *more], [*row["tags"], *["B-Drug"] * len(more)]
            end = row["offsets"][-1][1]
            row["offsets"] = [*row["offsets"], *[[end, end + 1]] * len(more)]
        tiny.write_rows(folder / "tag-drug" / "dev.jsonl", rows)
        torch.manual_seed(0)
        model = tiny.model(bert, ["tag-drug"], max_length=24)
        model.save_pretrained(tmp_path / f"run{number}" / "model")
        calibrate(model, load_suite(folder), tmp_path / f"run{number}")
        found.append(model.choices["tag-drug"].calibrated)
    assert found[1].temperature == pytest.approx(found[0].temperature, rel=1e-3)
    assert found[1].after == found[0].after


def test_a_head_without_corrections_is_written_as_before() -> None:
    assert "calibration" not in DEFAULT_HEAD.dump()
    choice = HeadChoice(calibration=Calibration(temperature=2.0))
    assert HeadChoice.model_validate(choice.dump()) == choice
    with pytest.raises(InputError, match="calibrate needs dev, but eval_strategy is no"):
        make_recipe({"calibrate": True, "eval_strategy": "no"})


def test_exports(bert: Path, tmp_path: Path) -> None:
    """A graph contains it and can leave it out; a stock class can't express it, which is reported."""
    model = tiny.model(bert, ["cls-text", "multi-text"], max_length=24).eval()
    found = {
        "cls-text": Calibration(temperature=2.0, negative_bias=-0.5),
        "multi-text": Calibration(temperature=0.5, thresholds={"drug": 0.3, "illness": 0.5, "milo": 0.9}),
    }
    for name, calibration in found.items():
        model.choices[name] = model.choices[name].model_copy(update={"calibration": calibration})
    model.save_pretrained(tmp_path / "model")
    words = ["export", str(tmp_path / "model"), str(tmp_path / "hf"), "--task", "cls-text"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "left out, as stock classes can't express it: temperature 2; bias -0.5 of the negative class" in said
    assert "of cls-text" in said
    assert "multi-text" not in said

    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    (tmp_path / "onnx").mkdir()
    export_onnx(model, list(found), tmp_path / "onnx")
    text = "pola zalpidine rimu teksa ."
    for on in (True, False):
        graph, torch_ = (Predictor(m, calibrated=on)(text) for m in (OnnxEngine(tmp_path / "onnx"), tmp_path / "model"))
        for name in found:
            assert graph[name].probabilities == pytest.approx(torch_[name].probabilities, abs=1e-4)
    assert torch_["cls-text"].probabilities != Predictor(tmp_path / "model")(text)["cls-text"].probabilities
