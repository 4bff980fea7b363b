"""A run that was stopped and resumed is the run that was not, to the last bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tiny
from biomtl.errors import InputError
from biomtl.training.log import kept_lines
from biomtl.training.run import Run, train
from stopping import StoppedError, stop_after

KEYS: dict[str, Any] = {
    "max_length": 24,
    "batch_size": 8,
    "num_train_epochs": 2,
    "learning_rate": 2e-3,
    "num_threads": 1,
    "predict_test": False,
    "save_steps": 2,
}


@pytest.fixture
def run(bert: Path, small_suite: Path, tmp_path: Path) -> Callable[..., Run]:
    """A run in a folder of the test's, from the very start of a program."""

    def start(name: str, *, resume: bool = False, **keys: Any) -> Run:
        values = {**KEYS, "encoder": str(bert), "suite": str(small_suite), "output": str(tmp_path / name), **keys}
        return train(values, resume=resume)

    return start


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log without its times."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def assert_same(first: Path, second: Path) -> None:
    weights = sorted(path.relative_to(first) for path in first.rglob("*.safetensors"))
    assert len(weights) > 5
    assert weights == sorted(path.relative_to(second) for path in second.rglob("*.safetensors"))
    for path in weights:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path
    assert lines(first) == lines(second)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (first, second)]
    assert metrics[0]["tasks"] == metrics[1]["tasks"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"gradient_accumulation_steps": 2, "policy": "sqrt"},
        {"mixing": "batch", "bf16": True, "gradient_checkpointing": True},
        {"eval_steps": 3, "early_stopping_patience": 3, "metric_for_best_model": "tag-drug", "dropout": 0.4},
        {"save_steps": None, "save_strategy": "epoch", "eval_strategy": "no", "lr_scheduler_type": "cosine"},
        {"freeze_encoder": True},
        {"ema_decay": 0.8, "layer_decay": 0.7, "gradient_accumulation_steps": 2},
        {
            "loss_balance": "uncertainty",
            "objective": {"label_smoothing": 0.1, "class_weights": "sqrt"},
            "gradual_thawing": 0.8,
            "need_sampling": 0.5,
            "max_steps": 8,
            "num_train_epochs": None,
            "eval_steps": 2,
            "task_stopping": {"patience": 1, "then": "freeze"},
        },
        {
            "loss_balance": "scale",
            "smart": {"proximal": 0.5},
            "r_drop": 0.5,
            "eval_steps": 1,
            "task_stopping": {"patience": 1, "then": "distill"},
        },
        {"distill": {}, "loss_balance": "equal"},
        pytest.param(
            {"gradient_aggregation": "pcgrad", "gradient_accumulation_steps": 2},
            marks=pytest.mark.skipif(find_spec("torchjd") is None, reason="needs torchjd"),
        ),
        pytest.param(
            {"lora": {"rank": 2}, "ema_decay": 0.6, "layer_decay": 0.8},
            marks=pytest.mark.skipif(find_spec("peft") is None, reason="needs peft"),
        ),
        {"loss_balance": "dwa", "frozen_layers": 1, "ema_decay": 0.5, "gradual_thawing": 0.5},
    ],
    ids=[
        "plain",
        "accumulated",
        "bf16",
        "early",
        "epoch",
        "frozen",
        "methods",
        "balanced",
        "divergences",
        "distilled",
        "aggregated",
        "lora",
        "layers",
    ],
)
def test_stopped_and_resumed(run: Callable[..., Run], keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if "distill" in keys:
        teacher = run("teacher", predict_test=False, num_train_epochs=1).folder
        keys = {
            **keys,
            "distill": {"teachers": str(teacher), "unlabelled": "*", "folder": str(teacher.parent / "kept")},
        }
    whole = run("whole", **keys).folder
    total = max(line["step"] for line in lines(whole))
    output = whole.parent / "broken"
    with monkeypatch.context() as patched:
        stop_after(total - 1, patched)
        with pytest.raises(StoppedError):
            run("broken", **keys)
    assert not (output / "metrics.json").exists()
    torch.manual_seed(999)  # whatever was drawn meanwhile
    run("broken", resume=True, **keys)
    assert_same(whole, output)


def test_resumed_from_a_checkpoint_by_time(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"save_steps": None, "save_strategy": "epoch", "num_train_epochs": 1, "save_minutes": 1e-9}
    whole = run("whole", **keys).folder
    total = max(line["step"] for line in lines(whole))
    assert total > 3
    with monkeypatch.context() as patched:
        stop_after(total - 1, patched)
        with pytest.raises(StoppedError):
            run("broken", **keys)
    output = whole.parent / "broken"
    assert [path.name for path in (output / "checkpoints").iterdir()] == [f"step-{total - 2:06d}"]  # within the epoch
    run("broken", resume=True, **keys)
    assert_same(whole, output)


SLOWLY = """
import sys, time
from biomtl.training.log import RunLog
original = RunLog.step
def slowly(self, step):
    original(self, step)
    time.sleep(0.15)
RunLog.step = slowly
sys.argv = ["biomtl", "train", sys.argv[1]]
from biomtl.cli.main import main
main()
"""


def test_killed_and_resumed(run: Callable[..., Run], bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "num_train_epochs": 3, "save_steps": 1}
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys, output=str(tmp_path / "killed"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(recipe)], env=environment, stderr=subprocess.PIPE
    ) as child:
        deadline = time.monotonic() + 300
        while not list((tmp_path / "killed" / "checkpoints").glob("step-000004")):
            assert child.poll() is None, child.stderr.read() if child.stderr else ""
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "killed" / "metrics.json").exists()
    # What a save leaves that was under way; resuming clears it.
    torn = tmp_path / "killed" / "checkpoints" / ".step-000005.biomtl-abcd1234.tmp"
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"half")
    with (tmp_path / "killed" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "epo')
    whole = run("whole", **keys).folder
    run("killed", resume=True, **keys)
    assert_same(whole, tmp_path / "killed")
    assert not torn.exists()


def test_a_finished_run_is_not_resumed(run: Callable[..., Run]) -> None:
    run("done", num_train_epochs=1)
    with pytest.raises(InputError, match=r"the run is finished, see metrics\.json"):
        run("done", num_train_epochs=1, resume=True)


def test_resuming_something_else(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nothing to resume, expected a run folder with checkpoints"):
        run("nothing", resume=True)
    stop_after(3, monkeypatch)
    with pytest.raises(StoppedError):
        run("other")
    with pytest.raises(InputError, match=r"recipe\.yaml: learning_rate is 0\.002, now 0\.1, resume with"):
        run("other", resume=True, learning_rate=0.1)


def test_the_newest_checkpoint_is_damaged(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("whole", save_total_limit=3).folder
    with monkeypatch.context() as patched:
        stop_after(5, patched)
        with pytest.raises(StoppedError):
            run("torn", save_total_limit=3)
    newest = tmp_path / "torn" / "checkpoints" / "step-000004"
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(
        InputError,
        match=r"step-000004/model\.safetensors: the file is damaged, .*, delete it with its folder and resume",
    ):
        run("torn", resume=True, save_total_limit=3)
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    run("torn", resume=True, save_total_limit=3)  # from step 2
    assert_same(whole, tmp_path / "torn")


def test_a_torn_line_ends_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 2, "split": "dev"}\n{"step": 3}\n{"ste')
    assert [line["step"] for line in kept_lines(path, 2)] == [1, 2, 2]
    assert [line["step"] for line in kept_lines(path, 9)] == [1, 2, 2, 3]


def test_the_seed_decides_the_run(run: Callable[..., Run]) -> None:
    first, second, other = run("a"), run("b"), run("c", seed=7)
    assert lines(first.folder) == lines(second.folder)
    weights = [load_file(result.folder / "model" / "model.safetensors") for result in (first, second, other)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not all(torch.equal(weights[0][key], weights[2][key]) for key in weights[0])
