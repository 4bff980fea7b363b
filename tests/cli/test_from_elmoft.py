"""The page for users of elmoft.py: every command of its tables runs, and does what the row says."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import elmo_data
from biomtl.elmoft.flags import Flags

PAGE = Path(__file__).parents[2] / "docs" / "from-elmoft.md"
TASKS = ("ddi", "bc5cdr-chem", "biosses", "mednli", "hoc")


def commands(page: Path) -> list[str]:
    """The last cell of every row of its tables."""
    return re.findall(r"\| `((?:elmoft|biomtl) [^`]*)` \|$", page.read_text(encoding="utf-8"), re.MULTILINE)


def recipe_of(run: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))


def test_every_command_of_the_page(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "ELMO_DIR": str(elmo_data.write_bilm(tmp_path / "elmo")),
        "DATASET_DIR": str(elmo_data.write_layout(tmp_path / "data", TASKS)),
    }
    short = re.search(r'^    BILM="(.*)"$', PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert short is not None
    monkeypatch.setattr(os, "environ", {**os.environ, **variables})
    os.environ["BILM"] = os.path.expandvars(short[1])
    monkeypatch.chdir(tmp_path)
    lines = commands(PAGE)
    assert len(lines) > 15
    said = {}
    for line in lines:
        program, *words = shlex.split(os.path.expandvars(line))
        words = ["elmo", *words] if program == "elmoft" else words
        ended = command(*words)
        assert ended.code == 0, (line, ended.err)
        said[words[-1]] = ended.err + ended.out
    runs = tmp_path / "runs"
    notes = [line for line in said["runs/idle"].splitlines() if "has no effect" in line]
    assert [re.findall(r"--\w+", line)[0] for line in notes] == ["--lmcoef", "--maxtrial", "--distbknd"]
    assert recipe_of(runs / "short")["num_train_epochs"] == 1
    assert set(recipe_of(runs / "default")["tasks"]) == {"ddi2013"}
    assert recipe_of(runs / "recipe")["tasks"]["ddi2013"]["rebalance"] == "undersample"
    assert "rebalance" not in recipe_of(runs / "all")["tasks"]["ddi2013"]
    assert recipe_of(runs / "lstm")["tasks"]["ddi2013"]["head_options"]["seq2vec"] == "lstm-forward"
    assert recipe_of(runs / "cnn")["tasks"]["ddi2013"]["head_options"]["size"] == 768
    assert recipe_of(runs / "loss")["early_stopping_on"] == "train_loss"
    assert "undersample, rows per epoch: DDI-false 8 -> 4, DDI-effect 4" in " ".join(said["runs/ddi"].split())
    assert (runs / "scores" / "perf_reference_test.csv").is_file()
    drawn = [json.loads(line) for line in (runs / "ddi" / "log.jsonl").read_text().splitlines()]
    assert sum(line.get("examples", 0) for line in drawn) == 8
    assert Flags().task == "ddi"
