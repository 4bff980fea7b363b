"""Weights divided among two processes (FSDP): the same model as by one, with half of the layers in each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tiny
from biomtl.errors import InputError
from biomtl.training.accelerator import make_accelerator
from biomtl.training.processes import FSDP
from biomtl.training.recipe_io import make_recipe

KEYS: dict[str, Any] = {"batch_size": 6, "dropout": 0.0, "max_length": 24, "save_steps": 2, "learning_rate": 1e-3}
KEYS |= {"layer_decay": 0.7, "loss_balance": "uncertainty", "r_drop": 1.0, "frozen_layers": 1}
KEYS["tasks"] = ["cls-text", "multi-text", "tag-drug", {"name": "reg-pair", "pairs": "apart"}]
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
# What each process holds is written down after the first step; the first process alone gets a signal after the third.
WATCHED = """
import json, os, signal, sys
from torch.distributed.tensor import DTensor
from biomtl.cli.main import main
from biomtl.training import loop
out, stop = sys.argv.pop(1), int(sys.argv.pop(1))
original = loop.optimise
def optimise(state, *others):
    done = original(state, *others)
    weights = dict(state.model.named_parameters())
    divided = {name: weight for name, weight in weights.items() if isinstance(weight, DTensor)}
    moments = [value for own in state.optimiser.state.values() for value in own.values() if value.dim()]
    facts = {
        "divided": sorted(divided),
        "here": sum(weight.to_local().numel() for weight in divided.values()),
        "all": sum(weight.numel() for weight in divided.values()),
        "moments": sum(isinstance(value, DTensor) for value in moments) / len(moments),
    }
    rank = os.environ["RANK"]
    open(f"{out}/{rank}.json", "w").write(json.dumps(facts))
    if state.progress.step == stop - 1 and rank == "0":
        os.kill(os.getpid(), signal.SIGTERM)
    return done
loop.optimise = optimise
main()
"""


def launched(*words: object, divided: bool = True) -> subprocess.CompletedProcess[str]:
    known = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in known}
    kept |= {FSDP: "true"} if divided else {}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**kept, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_halves_equal_one_whole(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **KEYS)
    train = ("train", recipe)
    one = launched("-m", "biomtl.cli.main", *train, "gradient_accumulation_steps=2", f"output={tmp_path / 'one'}")
    assert one.returncode == 0, one.stderr[-3000:]
    (tmp_path / "watched.py").write_text(WATCHED)
    program = (*LAUNCHER, tmp_path / "watched.py", tmp_path)
    two = launched(*program, 0, *train, f"output={tmp_path / 'two'}")
    assert two.returncode == 0, two.stderr[-3000:]

    for rank in "01":
        facts = json.loads((tmp_path / f"{rank}.json").read_text())
        assert facts["here"] < 0.6 * facts["all"]
        assert facts["moments"] > 0.5
        assert all(".layer." in name for name in facts["divided"])
    models = [load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two")]
    assert models[0].keys() == models[1].keys()
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, atol=2e-4, rtol=1e-3)
    scored = [json.loads((tmp_path / run / "metrics.json").read_text())["tasks"] for run in ("one", "two")]
    one_score, two_score = ({(t, s): v["value"] for t, by in tasks.items() for s, v in by.items()} for tasks in scored)
    assert two_score == pytest.approx(one_score, abs=1e-3)

    # A checkpoint holds whole weights and moments; the run goes on from it as if nothing had happened.
    stopped = launched(*program, 3, *train, f"output={tmp_path / 'stopped'}")
    assert stopped.returncode != 0
    assert stopped.stderr.count("biomtl: terminated after step 3, go on with --resume\n") == 1
    resumed = launched(*program, 0, *train, f"output={tmp_path / 'stopped'}", "--resume")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    again = load_file(tmp_path / "stopped" / "model" / "model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in models[1].items())


@pytest.mark.slow
def test_adaptation_with_divided_weights(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """The head that guesses words shares the embeddings' weights, which stay whole; with Accelerate's launcher."""
    keys = {**KEYS, "stages": ["adapt", "joint"], "num_train_epochs": 1, "layer_decay": None, "frozen_layers": None}
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys, output=str(tmp_path / "run"))
    launcher = ("-m", "accelerate.commands.launch", "--use_fsdp", "--num_processes", "2")
    done = launched(*launcher, "-m", "biomtl.cli.main", "train", recipe, divided=False)
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = load_file(bert / "model.safetensors"), load_file(tmp_path / "run/adapt/model/model.safetensors")
    assert "; 2 processes" in " ".join(done.stdout.split())
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    assert any("embeddings" in name for name in changed)
    assert any(".layer." in name for name in changed)


@pytest.mark.slow
def test_a_late_stage_is_refused_before_the_first_one(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "stages": ["alone", {"joint": {"ema_decay": 0.9}}], "output": str(tmp_path / "run")}
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys)
    done = launched(*LAUNCHER, "-m", "biomtl.cli.main", "train", recipe)
    assert done.returncode != 0
    assert "biomtl: error: ema_decay with FSDP" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"ema_decay": 0.9}, "ema_decay with FSDP"),
        ({"smart": {}}, "smart with FSDP"),
        ({"tasks": {"hoc": {"lora": 4}}}, "tasks.hoc.lora with FSDP"),
        ({"optim": "adafactor"}, "optim: adafactor with FSDP"),
        ({"fp16": True}, "fp16 with FSDP"),
    ],
)
def test_what_needs_whole_weights(keys: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FSDP, "true")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=f"{said}, expected whole weights in each process, which it needs, leave it"):
        make_accelerator(make_recipe(keys))
    monkeypatch.setenv("WORLD_SIZE", "1")  # nothing to divide
    assert make_accelerator(make_recipe(keys)).num_processes == 1
