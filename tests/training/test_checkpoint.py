"""Checkpoints: complete or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from biomtl.errors import InputError
from biomtl.storage.litter import recover
from biomtl.storage.tensors import disk_errors, save_tensors
from biomtl.training.checkpoint import drop_old, latest_checkpoint, load_checkpoint, save_checkpoint
from biomtl.training.progress import Progress
from biomtl.training.state import TrainState, random_state


class State:
    """A small model in the middle of its training."""

    def __init__(self, seed: int = 0, size: int = 4) -> None:
        torch.manual_seed(seed)
        self.model = nn.Linear(size, 3)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: 1 / (1 + step))

    def step(self) -> None:
        self.model(torch.randn(5, self.model.in_features)).pow(2).mean().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()

    def save(self, folder: Path, progress: Progress | None = None, random: Any = None) -> None:
        states = random or [random_state()]
        save_checkpoint(folder, self.state(progress or Progress()), states)

    def load(self, folder: Path, process: int = 0, processes: int = 1) -> Progress:
        state = self.state(Progress())
        load_checkpoint(folder, state, process, processes)
        return state.progress

    def state(self, progress: Progress) -> TrainState:
        return TrainState(self.model, self.optimiser, self.schedule, progress)


def test_training_continues_the_same_after_loading(tmp_path: Path) -> None:
    state = State()
    state.step()
    progress = Progress(step=7, epoch=2, batch=3, seconds=1.5, best=0.25, best_step=6, stale=1, finished=True)
    state.save(tmp_path / "step-000007", progress)
    state.step()
    expected = state.model.weight.clone()

    other = State(seed=9)
    assert other.load(tmp_path / "step-000007") == progress
    other.step()
    assert torch.equal(other.model.weight, expected)
    assert other.optimiser.param_groups[0]["lr"] == state.optimiser.param_groups[0]["lr"]
    assert {path.suffix for path in (tmp_path / "step-000007").iterdir()} == {".safetensors", ".json"}


def test_every_process_has_its_random_state(tmp_path: Path) -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(random_state())
    state = State()
    state.save(tmp_path / "step-000001", random=states)
    for process, seed in enumerate((1, 2)):
        state.load(tmp_path / "step-000001", process, 2)
        drawn = torch.rand(3)
        torch.manual_seed(seed)
        assert torch.equal(drawn, torch.rand(3))
    with pytest.raises(InputError, match="a checkpoint of 2 processes, expected 1, resume with as many as before"):
        state.load(tmp_path / "step-000001")


def test_the_newest_by_number(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for name in ("step-000009", "step-000010", "step-1000000", "step-999999", ".step-2000000.x.tmp", "step-x"):
        (tmp_path / name).mkdir()
    newest = latest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.name == "step-1000000"
    drop_old(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-1000000", "step-999999", "step-x"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "random.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["gone", "short", "empty"])
def test_a_damaged_checkpoint_gives_a_one_line_error(tmp_path: Path, name: str, damage: str) -> None:
    state = State()
    state.step()
    folder = tmp_path / "step-000001"
    state.save(folder)
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage != "gone":
        (folder / name).write_bytes(whole[: len(whole) // 2 if damage == "short" else 0])
    with pytest.raises(
        InputError, match=r"000001(: the checkpoint can't be read \(|/[a-z]+\.(json|safetensors): ).*, delete it"
    ) as caught:
        state.load(folder)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model(tmp_path: Path) -> None:
    State(size=5).save(tmp_path / "step-000001")
    with pytest.raises(InputError, match="the checkpoint can't be read"):
        State(size=4).load(tmp_path / "step-000001")


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond ``size`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    state = State(size=20_000)
    state.step()
    state.save(tmp_path / "step-000001", Progress(step=1))
    before = state.model.weight.clone()
    state.step()
    for target in ("step-000002", "step-000001"):
        with pytest.raises(OSError, match=r".+"), files_no_larger_than(100_000):
            state.save(tmp_path / target, Progress(step=2))
        assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert state.load(tmp_path / "step-000001").step == 1
    assert torch.equal(state.model.weight, before)


def test_what_a_killed_process_leaves(tmp_path: Path) -> None:
    """Killed between two renames: the old model is moved aside. Killed while writing: half a file is left."""
    (tmp_path / ".model.biomtl-x1y2abcd.old" / "old").mkdir(parents=True)
    (tmp_path / ".model.biomtl-x1y2abcd.old" / "old" / "manifest.json").write_text("whole")
    (tmp_path / ".other.biomtl-abcdefgh.old" / "old").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / ".model.biomtl-z3abcdef.tmp").mkdir()
    (tmp_path / ".log.jsonl.biomtl-q1234567.tmp").write_text("half")
    (tmp_path / "metrics.json").write_text("{}")
    recover(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "model", "other"]
    assert (tmp_path / "model" / "manifest.json").read_text() == "whole"


def test_a_failed_write_names_its_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="the-model: ") as caught,
        disk_errors(tmp_path / "the-model"),
        files_no_larger_than(1000),
    ):
        save_tensors({"x": torch.zeros(10_000)}, tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)
