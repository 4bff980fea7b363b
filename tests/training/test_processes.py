"""Two processes train the same model as one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny
from biomtl.errors import InputError
from biomtl.training.accelerator import make_accelerator
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train

TRAIN = ("-m", "biomtl.cli.main", "train")


def launched(launcher: list[str], *words: object) -> subprocess.CompletedProcess[str]:
    """``python`` with these arguments under a launcher, on a CPU, without environment variables of another launcher."""
    known = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU")
    kept = {name: value for name, value in os.environ.items() if name not in known}
    return subprocess.run(
        [sys.executable, *launcher, *map(str, words)],
        env={**kept, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=280,
    )


def documented() -> list[str]:
    """The launcher of the page's line, for two processes."""
    page = (Path(__file__).parents[2] / "docs" / "processes.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`torchrun (--standalone [^`]*) -m biomtl\.cli\.main train RECIPE`", page)
    return ["-m", "torch.distributed.run", *line.replace("4", "2").split()]


def by_two_machines(*words: object) -> list[subprocess.CompletedProcess[str]]:
    """The page's line for several machines, on two that are this one."""
    page = (Path(__file__).parents[2] / "docs" / "processes.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`torchrun ([^`]*HOST[^`]*) -m biomtl\.cli\.main train RECIPE`", page)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    launcher = line.replace("HOST:29500", f"localhost:{port}").replace("--nproc_per_node 4", "--nproc_per_node 1")
    with ThreadPoolExecutor(2) as machines:
        calls = [machines.submit(launched, ["-m", "torch.distributed.run", *launcher.split()], *words) for _ in "ab"]
        return [call.result() for call in calls]


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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_equal_one(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """A step of two processes holds the batches that one process accumulates in two."""
    keys = {"batch_size": 6, "dropout": 0.0, "max_length": 24, "predict_test": False, "save_steps": 2}
    keys |= {"layer_decay": 0.7, "loss_balance": "uncertainty"}
    keys["gradient_aggregation"] = "pcgrad" if find_spec("torchjd") else None
    keys |= {"ema_decay": 0.8, "r_drop": 1.0, "gradual_thawing": 0.5}
    keys["task_stopping"] = {"patience": 1, "then": "freeze"}
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
        done = launched(documented() if processes == 2 else [], *TRAIN, recipe)
        assert done.returncode == 0, done.stderr[-2000:]
        said = " ".join(done.stdout.split())
        assert f"; {processes} {'processes' if processes == 2 else 'process'} " in said
        assert done.stdout.count("Plan of an epoch") == done.stdout.count("run folder: ") == 1
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
    call = (tmp_path / "2.yaml", f"output={tmp_path / 'stopped'}")
    done = launched(documented(), tmp_path / "signalled.py", "train", *call)
    assert done.returncode != 0
    assert done.stderr.count("biomtl: terminated after step 3, go on with --resume\n") == 1
    assert [path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir()] == ["step-000003"]
    done = launched(documented(), *TRAIN, *call, "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    resumed = load_file(tmp_path / "stopped" / "model" / "model.safetensors")
    assert all(torch.equal(resumed[key], value) for key, value in second.items())


@pytest.mark.slow
def test_a_refusal_reaches_every_process(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """The first process finds the folder taken; none hangs or trains alone."""
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    said = [done.stderr for done in by_two_machines(*TRAIN, recipe) if done.returncode != 0]
    assert ["".join(said).count(f"biomtl: error: {tmp_path / 'run'}: the output already exists")] == [len(said)] == [2]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_accelerate_launch_that_starts_one_process_of_two_is_refused(
    bert: Path, small_suite: Path, tmp_path: Path
) -> None:
    recipe = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24)
    done = launched(["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"], *TRAIN, recipe)
    assert done.returncode != 0
    assert (
        "biomtl: error: accelerate launch was asked for several processes and started one, use `torchrun" in done.stderr
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "processes launched with DeepSpeed, expected DDP or FSDP"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but this process is alone, start it with `torchrun"),
        (
            {"WORLD_SIZE": "2", "RANK": "0"},
            r"torchrun --standalone --nproc_per_node 2 -m biomtl.cli.main train RECIPE`, or unset",
        ),
    ],
)
def test_one_of_several_that_finds_itself_alone(
    environment: dict[str, str],
    said: str,
    bert: Path,
    small_suite: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        train(tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24))
    assert not (tmp_path / "run").exists()


def test_the_others_wait_longer_than_torch_does() -> None:
    """For the first process to ask teachers or to compute a frozen encoder's layers."""
    assert make_accelerator(make_recipe({})).init_handler.timeout >= timedelta(hours=1)


@pytest.mark.slow
def test_stages_in_two_processes(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    stages = ["adapt", "alone", {"joint": {"distill": {"teachers": "alone", "folder": str(tmp_path / "kept")}}}]
    recipe = tiny.write_recipe(
        tmp_path / "r.yaml", bert, small_suite, max_length=24, stages=stages, tasks=["cls-text", "tag-drug"]
    )
    done = launched(documented(), *TRAIN, recipe)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("stage ") == 4
    assert done.stdout.count("Comparison on test") == 1
    assert json.loads((tmp_path / "run" / "comparison.json").read_text())["arms"] == ["alone", "joint"]
