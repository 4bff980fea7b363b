"""A version of a few seconds of the trials with kills, damaged files and fuzzing; the long one is ``make torture``."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from torture import mutate
from torture.__main__ import SHORT
from torture.results import Results
from torture.trees import difference, tree

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_short_form(tmp_path: Path) -> None:
    """No output is incomplete or different, no traceback, no leftover files, no undetected damage."""
    words = [sys.executable, "-m", "torture", "--short", "--results", str(tmp_path)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {name: json.loads((tmp_path / f"{name}.json").read_text())["counts"] for name in SHORT}
    assert sum(counts["kills"]["killed"].values()) >= SHORT["kills"]
    assert sum(counts["damage"]["outcome"].values()) >= SHORT["damage"]
    assert counts["damage"]["outcome"]["refused"] > 0
    assert sum(counts["fuzz"]["inputs"].values()) >= SHORT["fuzz"]


def test_results_are_continued_or_cleared(tmp_path: Path) -> None:
    path = tmp_path / "kills.json"
    results = Results.open(path, 0, fresh=False)
    results.count(killed="train")
    results.save()
    assert Results.open(path, 0, fresh=False).total("killed") == 1
    assert Results.open(path, 0, fresh=True).total("killed") == 0
    assert not path.exists()


def test_problems_hold_no_folder_of_the_machine(tmp_path: Path) -> None:
    results = Results.open(tmp_path / "kills.json", 0, fresh=False)
    results.problem('File "/opt/a/.venv/lib/x.py", line 3: out/a.json, see https://example.org/a/b', scenario="train")
    assert results.problems[0]["what"] == 'File "x.py", line 3: out/a.json, see https://example.org/a/b'


def test_trees_distinguish_changed_times_from_changed_content(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seconds": 1, "value": 2}')
    before = tree(tmp_path)
    (tmp_path / "a.json").write_text('{"seconds": 9, "value": 2}')
    assert difference(tree(tmp_path), before) == ""
    (tmp_path / "a.json").write_text('{"seconds": 9, "value": 3}')
    assert difference(tree(tmp_path), before) == "a.json differs"
    (tmp_path / ".b.tmp").mkdir()
    assert difference(tree(tmp_path), before) == ".b.tmp is too many"
    (tmp_path / "a.json").unlink()
    (tmp_path / ".b.tmp").rmdir()
    assert difference(tree(tmp_path), before) == "a.json is missing"


def test_damage_is_decided_by_its_seed_and_changes_something() -> None:
    samples = {
        mutate.flipped: b"abc",
        mutate.damaged_json: b'{"a": [1, {"b": 2}]}\n{"c": 3}\n',
        mutate.damaged_yaml: b"a: 1\nb: [2]\n",
        mutate.damaged_tensors: (12).to_bytes(8, "little") + b'{"w": [1,2]}' + b"data",
    }
    for damage, sample in samples.items():
        results = [damage(random.Random(seed), sample) for seed in range(50)]
        assert results == [damage(random.Random(seed), sample) for seed in range(50)]
        assert sum(result != sample for result in results) > 40
