"""``biomtl train``: a one-line error for every mistake, and nothing half-written."""

from __future__ import annotations

import errno
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import biomtl
import tiny
from biomtl.heads.base import Head
from biomtl.model import MultiTaskModel

Command = Callable[..., Any]


@pytest.fixture
def place(bert: Path, small_suite: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the suite, of the encoder, and a recipe for them."""
    shutil.copytree(bert, tmp_path / "encoder")
    shutil.copytree(small_suite, tmp_path / "suite")
    tiny.write_recipe(tmp_path / "r.yaml", tmp_path / "encoder", tmp_path / "suite", max_length=24)
    return tmp_path


def assert_one_line(ended: Any, *parts: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("biomtl: error: ")
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    assert "Traceback" not in ended.err + ended.out
    for part in parts:
        assert part in ended.err


def assert_refused(command: Command, place: Path, *parts: str, overrides: tuple[str, ...] = ()) -> None:
    """The run is refused in one line, and the folder is as it was."""
    before = sorted(place.rglob("*"))
    assert_one_line(command("train", place / "r.yaml", *overrides), *parts)
    assert sorted(place.rglob("*")) == before


def test_a_run(command: Command, place: Path) -> None:
    ended = command("train", place / "r.yaml", "seed=3")
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "Plan of an epoch: 48 rows with 36 distinct texts" in said
    assert "Scores on test" in said
    assert f"run folder: {place / 'run'}" in ended.out
    facts = json.loads((place / "run" / "metrics.json").read_text())["provenance"]
    assert facts["command"] == f"biomtl train {place / 'r.yaml'} seed=3"
    assert facts["seed"] == 3
    assert sorted(MultiTaskModel.from_pretrained(place / "run").tasks) == sorted(tiny.FOUR)
    assert_refused(command, place, f"{place / 'run'}: the output already exists", "--overwrite")


def test_without_tokenizer(command: Command, place: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / "encoder" / name).unlink()
    assert_refused(command, place, f"{place / 'encoder'}: no tokenizer, expected tokenizer.json or vocab.txt")


def test_without_weights(command: Command, place: Path) -> None:
    (place / "encoder" / "model.safetensors").unlink()
    assert_refused(command, place, "no model.safetensors")


def test_without_encoder(command: Command, place: Path) -> None:
    assert_refused(command, place, "no encoder could be loaded", overrides=(f"encoder={place / 'nowhere'}",))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rat=1", "command line: unknown key 'learning_rat', did you mean 'learning_rate'?"),
        ("learning_rate=-1", "learning_rate: -1"),
        ("learning_rate=nan", "learning_rate"),
        ("max_steps=5", "both num_train_epochs and max_steps are given"),
        ("tasks=[cls-tex]", "no task 'cls-tex', did you mean 'cls-text'?"),
        ("tasks=[cls-text,cls-text]", "listed twice"),
        ("metric_for_best_model=tag-drugs", "metric_for_best_model 'tag-drugs', expected mean or one of"),
        ("max_length=65", "max_length 65, expected at most the encoder's 64 positions"),
        ("max_length=4", "max_length 4 with stride 1"),
        ("report_to=tensorbord", "no tracker 'tensorbord', did you mean 'tensorboard'?"),
        ("suite=/nowhere/at/all", "/nowhere/at/all: no such folder"),
        ("nonsense", "override 'nonsense', expected key=value"),
        ("early_stopping_threshold=1", "early_stopping_threshold without early_stopping_patience"),
    ],
)
def test_an_impossible_recipe(command: Command, place: Path, override: str, message: str) -> None:
    assert_refused(command, place, message, overrides=(override,))


def test_stages_that_contradict_the_recipe(command: Command, place: Path) -> None:
    whole = "encoder: {}\nsuite: {}\ntasks: [cls-text]\nstages:\n  - alone\n  - joint:\n      {}\n"
    for stage, message in (
        ("output: x", "r.yaml:6: stages: joint: output can't be changed by a stage, leave it out"),
        ("by_task: {cls-text: {seed: 2}}", "r.yaml:6: stages: joint: by_task, but it is one run of all tasks"),
        ("tasks: []", "r.yaml:6: stages: joint: tasks is empty, expected names out of cls-text"),
        ("distill: {teachers: {cls-text: alone}}", "r.yaml:6: stages: joint: distill.teachers: alone for some tasks"),
        ("distill: {teachers: alone}\nadapt: {}", "r.yaml:4: adapt without a stage adapt"),
    ):
        (place / "r.yaml").write_text(whole.format(place / "encoder", place / "suite", stage))
        assert_refused(command, place, f"{place}/{message}")
    message = "command line: stages: each without joint, add joint, whose model each task starts from"
    (place / "r.yaml").write_text(f"encoder: {place / 'encoder'}\nsuite: {place / 'suite'}\ntasks: [cls-text]\n")
    assert_refused(command, place, message, overrides=("stages=[each]",))


def test_a_file_that_is_not_a_recipe(command: Command, place: Path) -> None:
    assert_one_line(command("train", place / "missing.yaml"), f"{place / 'missing.yaml'}: no such file")
    (place / "r.yaml").write_text("seed: 1\nlearning_rat: 1\n")
    assert_refused(command, place, "r.yaml:2: unknown key 'learning_rat', did you mean 'learning_rate'?")
    (place / "r.yaml").write_bytes(b"seed: 1\nencoder: \xff\n")
    assert_refused(command, place, "r.yaml:2: byte 0xff at column 10 is not UTF-8")


def change(path: Path, line: int, key: str, value: Any) -> None:
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    rows[line - 1][key] = value
    tiny.write_rows(path, rows)


@pytest.mark.parametrize(
    ("task", "split", "key", "value", "message"),
    [
        (
            "cls-text",
            "train",
            "label",
            "durg",
            "train.jsonl:4: unknown label 'durg', expected one of none, drug, did you",
        ),
        ("cls-text", "dev", "id", "cls-text.0", 'dev.jsonl:4: id "cls-text.0" already occurs in line 1'),
        ("reg-pair", "train", "score", float("nan"), "train.jsonl:4: score is nan, expected a number"),
        ("reg-pair", "train", "score", 5, "train.jsonl:4: score 5, expected 0 to 4"),
        ("multi-text", "dev", "labels", ["milo", "milo"], "dev.jsonl:4: a label given twice"),
        ("tag-drug", "train", "tags", ["O"], "train.jsonl:4: "),
        ("tag-drug", "train", "offsets", [[0, 1]], "train.jsonl:4: "),
    ],
)
def test_a_bad_row(command: Command, place: Path, task: str, split: str, key: str, value: Any, message: str) -> None:
    change(place / "suite" / task / f"{split}.jsonl", 4, key, value)
    assert_refused(command, place, message)


def test_a_bad_split(command: Command, place: Path) -> None:
    path = place / "suite" / "cls-text" / "dev.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"")
    assert_refused(command, place, f"{path}: no records")
    path.write_bytes(whole + b'{"id": "\xe9"}\n')
    assert_refused(command, place, f"{path}:7: byte 0xe9 at column 9 is not UTF-8")
    path.unlink()
    assert command("train", place / "r.yaml").code == 0


def test_a_bad_task(command: Command, place: Path) -> None:
    path = place / "suite" / "cls-text" / "task.yaml"
    path.write_text(yaml.safe_dump({"name": "cls-text", **tiny.TASKS["cls-text"], "lables": []}))
    assert_refused(command, place, f"{path}: lables")
    path.write_text(yaml.safe_dump({"name": "cls-text", **tiny.TASKS["cls-text"], "type": "taging"}))
    assert_refused(command, place, "unknown type 'taging', did you mean 'tagging'?")
    path.write_text(yaml.safe_dump({"name": "cls-text", **tiny.TASKS["cls-text"], "metric": "micro_f"}))
    assert_refused(command, place, "micro_f")
    path.write_text("{")
    assert_refused(command, place, f"{path}:1: not YAML")


def test_a_full_disk(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second checkpoint can't be written: the first one and the model are complete, and the run can be resumed."""
    import biomtl.training.checkpoint as checkpoint

    saved: list[Path] = []
    original = checkpoint.save_tensors

    def full(tensors: Any, path: Path) -> None:
        if len(saved) >= 3:
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        original(tensors, path)
        saved.append(path)

    overrides = ("save_steps=2", "eval_steps=1", "save_total_limit=2")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_tensors", full)
        ended = command("train", place / "r.yaml", *overrides)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("biomtl: error: ")
    assert ended.err.splitlines()[-1].endswith("No space left on device")
    assert "Traceback" not in ended.err
    assert [path.name for path in (place / "run" / "checkpoints").iterdir()] == ["step-000002"]
    MultiTaskModel.from_pretrained(place / "run")
    ended = command("train", place / "r.yaml", *overrides, "--resume")
    assert ended.code == 0, ended.err
    assert (place / "run" / "metrics.json").is_file()


SIGNALLED = """
import os, signal, sys
from biomtl.training.log import RunLog
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
number = int(sys.argv.pop())
RunLog.step = lambda self, step: os.kill(os.getpid(), number)
from biomtl.cli.main import main
sys.argv[0] = "biomtl"
main()
"""


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(
    place: Path, command: Command, number: signal.Signals, said: str
) -> None:
    call = [sys.executable, "-c", SIGNALLED, "train", str(place / "r.yaml"), str(int(number))]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 128 + number
    assert done.stderr.endswith(f"biomtl: {said} after step 1, go on with --resume\n")
    assert "Traceback" not in done.stderr
    assert [path.name for path in (place / "run" / "checkpoints").iterdir()] == ["step-000001"]
    assert {path.name for path in place.rglob(".*")} == {".biomtl.json"}
    assert command("train", place / "r.yaml", "--resume").code == 0
    whole = command("train", place / "r.yaml", f"output={place / 'whole'}")
    assert whole.code == 0, whole.err
    weights = [(place / name / "model" / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


SCORING = """
import os, signal, sys
import biomtl.training.run as run
run.evaluate = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
from biomtl.cli.main import main
sys.argv[0] = "biomtl"
main()
"""


def test_a_signal_while_test_is_scored(place: Path, command: Command) -> None:
    call = [sys.executable, "-c", SCORING, "train", str(place / "r.yaml")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=280)
    assert done.returncode == 143, done.stderr
    assert done.stderr.endswith("biomtl: terminated after the last step, go on with --resume\n")
    assert not (place / "run" / "metrics.json").exists()
    assert command("train", place / "r.yaml", "--resume").code == 0
    assert (place / "run" / "metrics.json").is_file()


BEFORE = """
import os, signal, sys
import biomtl.training.run as run
setattr(run, sys.argv.pop(), lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
from biomtl.cli.main import main
sys.argv[0] = "biomtl"
main()
"""


@pytest.mark.parametrize(("moment", "again"), [("assemble", []), ("fit", ["--overwrite"])])
def test_a_signal_before_the_first_step_says_what_to_do(
    place: Path, command: Command, moment: str, again: list[str]
) -> None:
    call = [sys.executable, "-c", BEFORE, "train", str(place / "r.yaml"), moment]
    done = subprocess.run(call, capture_output=True, text=True, timeout=280)
    assert done.returncode == 143, done.stderr
    fix = " ".join(["nothing is trained yet, start it again", *(f"with {option}" for option in again)])
    assert done.stderr.endswith(f"biomtl: terminated, {fix}\n")
    ended = command("train", place / "r.yaml", *again)
    assert ended.code == 0, ended.err


def test_a_signal_where_no_checkpoint_is_wanted(place: Path) -> None:
    call = [sys.executable, "-c", SIGNALLED, "train", str(place / "r.yaml"), "save_strategy=no", "15"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 143
    assert done.stderr.endswith("biomtl: terminated after step 1, nothing is saved (save_strategy: no)\n")
    assert not (place / "run" / "checkpoints").exists()


def test_few_steps_from_the_command_to_a_loss(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/architecture.md says: the files that a call passes through, each named once."""
    passed: list[str] = []
    loss = Head.loss

    def traced(head: Head, *arguments: Any) -> Any:
        if not passed:
            package = Path(biomtl.__file__).parent
            files = [Path(frame.filename) for frame in reversed(inspect.stack())]
            inside = [file.relative_to(package).as_posix() for file in files if package in file.parents]
            passed.extend(file for file, before in zip(inside, ["", *inside], strict=False) if file != before)
        return loss(head, *arguments)

    monkeypatch.setattr(Head, "loss", traced)
    assert command("train", place / "r.yaml", "max_steps=1", "num_train_epochs=null").code == 0
    steps = ["cli/train.py", "training/run.py", "training/loop.py", "model.py", "heads/base.py"]
    assert passed[passed.index("cli/train.py") :] == steps
