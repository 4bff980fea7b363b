"""The life of a run folder: locked, created, replaced, finished, and killed at every moment in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import biomtl.training.run
import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.folder import RESULTS, claim, is_finished
from biomtl.training.recipe_io import load_recipe
from biomtl.training.run import Run, train
from stopping import StoppedError, stop_after

KEYS: dict[str, Any] = {
    "max_length": 24,
    "batch_size": 12,
    "max_steps": 2,
    "save_steps": 1,
    "eval_strategy": "no",
    "num_threads": 1,
    "tasks": ["cls-text"],
}


@pytest.fixture
def start(bert: Path, small_suite: Path, tmp_path: Path) -> Callable[..., Run]:
    def start(*, resume: bool = False, overwrite: bool = False, **keys: Any) -> Run:
        recipe = {**KEYS, "encoder": str(bert), "suite": str(small_suite), "output": str(tmp_path / "run"), **keys}
        return train(recipe, resume=resume, overwrite=overwrite, console=Console(quiet=True))

    return start


def test_where_the_new_run_has_no_room_to_begin(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    before = sorted(path for path in tmp_path.rglob("*"))

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("biomtl.training.folder.dump_recipe", full)
    with pytest.raises(OSError, match="No space left on device"):
        start(overwrite=True, seed=5)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def seed_of(folder: Path) -> int:
    return int(json.loads((folder / "metrics.json").read_text())["provenance"]["seed"])


def stop_replacing(start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run of seed 1, and one of seed 2 that was to replace it and stopped after two steps."""
    start(seed=1)
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        with pytest.raises(StoppedError):
            start(seed=2, overwrite=True)


def test_the_older_run_stays_until_the_new_one_is_finished(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_replacing(start, monkeypatch)
    assert is_finished(tmp_path / "run")
    assert seed_of(tmp_path / "run") == 1
    with pytest.raises(InputError, match=r"recipe\.yaml: seed is 2, now 1, resume with the recipe as it was"):
        start(seed=1, resume=True)
    folder = start(seed=2, resume=True, num_threads=1, save_minutes=5).folder
    assert seed_of(folder) == 2
    assert "save_minutes: 5" in (folder / "recipe.yaml").read_text()
    assert is_finished(folder)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert "<h1>run</h1>" in (folder / "report.html").read_text()


def test_files_put_into_the_older_run_meanwhile_are_kept(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_replacing(start, monkeypatch)
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt: a file that is not part of a run folder, move it away"):
        start(seed=2, resume=True)
    assert seed_of(tmp_path / "run") == 1
    (tmp_path / "run" / "thesis.txt").rename(tmp_path / "thesis.txt")
    assert seed_of(start(seed=2, resume=True).folder) == 2


def test_a_new_run_without_a_checkpoint_is_not_resumed(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(seed=1)
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        with pytest.raises(StoppedError):
            start(seed=2, overwrite=True, save_steps=2)
    with pytest.raises(InputError, match="the new run has no checkpoint yet, start it again with --overwrite"):
        start(seed=2, resume=True, save_steps=2)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(InputError, match="an unfinished run of this name, continue it with --resume, or add --over"):
        start(seed=3)
    start(seed=3, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_belongs_to_one_process(start: Callable[..., Run], tmp_path: Path) -> None:
    start(seed=1)
    with claim(tmp_path / "run", resume=False, overwrite=True):
        for flags in ({"overwrite": True}, {"resume": True}, {}):
            with pytest.raises(InputError, match="run: another process is training in this folder, wait until it"):
                start(seed=2, **flags)
    assert seed_of(tmp_path / "run") == 1
    start(seed=2, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_refused_run_leaves_no_folders(start: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        start(output=str(tmp_path / "deep" / "deeper" / "run"), suite=str(tmp_path / "nowhere"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", ["write_card", "write_report"])
def test_the_rest_is_completed(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(biomtl.training.run, last, stop)
        with pytest.raises(StoppedError):
            start()
    folder = tmp_path / "run"
    written = (folder / "metrics.json").read_bytes()
    assert not (folder / "report.html").exists()
    resumed = start(resume=True)
    assert resumed.metrics is not None
    assert is_finished(folder)
    assert (folder / "metrics.json").read_bytes() == written  # test was scored once
    chosen = MultiTaskModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(value, chosen[name]) for name, value in resumed.model.state_dict().items())
    with pytest.raises(InputError, match=r"the run is finished, see metrics\.json; train again with --overwrite, or"):
        start(resume=True)


def test_a_run_of_an_older_version_that_lacks_its_report_is_completed(start: Callable[..., Run]) -> None:
    folder = start(save_strategy="no", save_steps=None).folder
    for name in RESULTS[1:]:
        (folder / name).unlink()
    start(save_strategy="no", save_steps=None, resume=True)
    assert is_finished(folder)


def test_a_moved_run_is_resumed_by_any_name(
    start: Callable[..., Run], bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        with pytest.raises(StoppedError):
            start(output="run", encoder=os.path.relpath(bert))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").rename(tmp_path / "elsewhere" / "moved")
    with pytest.raises(InputError, match=r"run: nothing to resume, expected .*output=FOLDER says where it is"):
        start(output="run", resume=True)
    output = str(tmp_path / "elsewhere" / "moved")
    folder = start(output=output, encoder=str(bert), resume=True).folder
    assert is_finished(folder)
    assert load_recipe(folder / "recipe.yaml").output == output
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2]


def test_a_run_from_before_a_key_existed_is_resumed(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        with pytest.raises(StoppedError):
            start()
    recipe = tmp_path / "run" / "recipe.yaml"
    lines = recipe.read_text().splitlines(keepends=True)
    recipe.write_text("".join(line for line in lines if not line.startswith(("heads:", "save_total_limit:"))))
    start(resume=True, save_total_limit=2)
    with pytest.raises(InputError, match="the run is finished"):
        start(resume=True)


# Kills a child at the n-th renaming or deletion of the run's folders and of what it leaves last, for the first and the
# last such n, and takes the folder up again.
KILLS = """
import json, os, shutil, signal, sys, traceback
from pathlib import Path
import torch
from rich.console import Console
from biomtl.errors import BiomtlError
from biomtl.training.folder import is_finished
from biomtl.training.run import train
from biomtl.training.recipe_io import load_recipe

recipe, place, kept = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
run = place / "run"
recipe["output"] = str(run)

def attempt(point=None, **flags):
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seen = 0
    def watch(event, arguments):
        nonlocal seen
        if event in ("os.rename", "shutil.rmtree"):
            names = [Path(str(a)).name for a in arguments[:2] if isinstance(a, (str, os.PathLike))]
            if any("run" in name or name in ("model", "metrics.json", "report.html") for name in names):
                seen += 1
                if seen == point:
                    os.kill(os.getpid(), signal.SIGKILL)
    if point is not None:
        sys.addaudithook(watch)
    try:
        train(recipe, console=Console(quiet=True), **flags)
        Path(place.parent / "seen").write_text(str(seen))
        os._exit(0)
    except BiomtlError as error:
        print("   ", error, flush=True)
        os._exit(2)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

def take_up(point, older):
    if older:
        waiting = place / ".run.next" / "run"
        assert is_finished(run) or is_finished(waiting), point  # never less than one finished run
    code = attempt(resume=True)
    assert code in (0, 2), (point, code)
    if code == 2 and not (is_finished(run) and load_recipe(run / "recipe.yaml").seed == recipe["seed"]):
        assert attempt(overwrite=True) == 0, point
    assert is_finished(run), point
    assert load_recipe(run / "recipe.yaml").seed == recipe["seed"], point
    left = sorted(path.name for path in place.iterdir())
    assert left == ["run"], (point, left)

def prepared(older):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if older:
        shutil.copytree(kept, run)

for older, first, last in ((False, 2, 1), (True, 1, 6)):
    prepared(older)
    assert attempt(10**6, overwrite=older) == 0
    seen = int(Path(place.parent / "seen").read_text())
    for point in [*range(1, first + 1), *range(seen - last + 1, seen + 1)]:
        prepared(older)
        assert attempt(point, overwrite=older) == -signal.SIGKILL, point
        take_up(point, older)
    print("points", older, seen)
"""


@pytest.mark.slow
def test_killed_at_every_change_of_the_folder(start: Callable[..., Run], bert: Path, tmp_path: Path) -> None:
    start(output=str(tmp_path / "older"), seed=1)
    suite = tiny.write_suite(tmp_path / "suite", ("cls-text",))
    recipe = {**KEYS, "encoder": str(bert), "suite": str(suite), "max_steps": 1, "predict_test": False, "seed": 2}
    done = subprocess.run(
        [sys.executable, "-c", KILLS, json.dumps(recipe), str(tmp_path / "place"), str(tmp_path / "older")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=290,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    points = [int(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("points")]
    assert points[0] >= 4
    assert points[1] >= 8
