"""Each training method by two processes (gloo) equals the same by one with the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny
from global_batch import method_keys, trained

TOLERANCE = 1e-5  # of a weight after all steps; sums of floats in another order differ by about 1e-7
WITHOUT_EFFECT = ("plain", "r_drop")  # without dropout, which can't be the same in all processes, two passes agree
NAMES = tuple(method_keys("", ""))


@pytest.fixture(scope="module")
def teacher(bert: Path, small_suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("teacher") / "model"
    tiny.model(bert, tiny.FOUR, max_length=24).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def by_two(bert: Path, small_suite: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of all runs by two processes that are started once."""
    out = tmp_path_factory.mktemp("two")
    tests = Path(__file__).parents[2]
    script = tests / "global_batch.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK")}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(tests)}
    words = [*launcher, script, bert, small_suite, teacher, out]
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(
    name: str, by_two: Path, bert: Path, small_suite: Path, teacher: Path, tmp_path: Path
) -> None:
    keys = method_keys(str(teacher), str(tmp_path / "kept"))[name]
    one, two = trained(str(bert), str(small_suite), keys, 2), load_file(by_two / f"{name}.safetensors")
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=TOLERANCE, rtol=0)
    plain = load_file(by_two / "plain.safetensors")
    unlike = [key for key, value in two.items() if key not in plain or not torch.equal(plain[key], value)]
    assert bool(unlike) == (name not in WITHOUT_EFFECT)
