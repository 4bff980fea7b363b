"""Two processes do what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny

# The first process alone gets the signal, after the third step.
SIGNALLED = """
import os, signal, sys
from biomtl.training.log import RunLog
original = RunLog.step
def step(self, done):
    original(self, done)
    if done.step == 3 and os.environ["RANK"] == "0":
        os.kill(os.getpid(), signal.SIGTERM)
RunLog.step = step
from biomtl.cli.main import main
main()
"""


def run(processes: int, *words: object) -> subprocess.CompletedProcess[str]:
    """``python`` with these words, in one process or more."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if processes == 2 else []
    return subprocess.run(
        [sys.executable, *launcher, *map(str, words)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_equal_one(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """A step of two processes holds the batches that one process accumulates in two."""
    keys = {"batch_size": 6, "dropout": 0.0, "max_length": 24, "predict_test": False, "save_steps": 2}
    keys |= {"ema_decay": 0.8, "layer_decay": 0.7}
    keys["tasks"] = [
        "cls-text",
        "multi-text",
        {"name": "reg-pair", "pairs": "apart", "head": "mlp", "head_options": {"compare": "cosine", "dropout": 0.0}},
        {"name": "tag-drug", "head": "mlp", "head_options": {"crf": True, "dropout": 0.0}},
    ]
    folders = {}
    for processes in (1, 2):
        folders[processes] = tmp_path / f"run{processes}"
        recipe = tiny.write_recipe(
            tmp_path / f"{processes}.yaml",
            bert,
            small_suite,
            **keys,
            output=str(folders[processes]),
            gradient_accumulation_steps=3 - processes,
        )
        done = run(processes, "-m", "biomtl.cli.main", "train", recipe)
        assert done.returncode == 0, done.stderr[-2000:]
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in folders.values()]
    assert len(logs[0]) == len(logs[1]) > 3
    for one, two in zip(*logs, strict=True):
        assert one.keys() == two.keys()
        if "losses" in one:
            assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
            assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)
            assert (two["examples"], two["real_tokens"], two["lr"]) == (one["examples"], one["real_tokens"], one["lr"])
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in folders.values())
    for key in first:
        torch.testing.assert_close(second[key], first[key], atol=2e-4, rtol=1e-3)
    newest = max((folders[2] / "checkpoints").iterdir())
    assert json.loads((newest / "progress.json").read_text())["processes"] == 2
    assert "1.cpu" in load_file(newest / "random.safetensors")

    # A signal to one of them ends both at the same step, and the run goes on as if nothing had happened.
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    call = ("train", tmp_path / "2.yaml", f"output={tmp_path / 'stopped'}")
    done = run(2, tmp_path / "signalled.py", *call)
    assert done.returncode != 0
    assert done.stderr.count("biomtl: terminated after step 3, go on with --resume\n") == 1
    assert [path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir()] == ["step-000003"]
    done = run(2, "-m", "biomtl.cli.main", *call, "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    resumed = load_file(tmp_path / "stopped" / "model" / "model.safetensors")
    assert all(torch.equal(resumed[key], value) for key, value in second.items())
