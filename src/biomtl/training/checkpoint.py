"""Checkpoints that a run continues from exactly: whole or not at all, tensors and JSON only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biomtl.errors import InputError
from biomtl.files import atomic_folder, link, write_json
from biomtl.tensors import disk_errors, save_tensors

FROZEN = "frozen.safetensors"


@dataclass
class Progress:
    """Where a run stands. ``batch`` counts the batches of ``epoch`` that are done."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    """Evaluations in a row without gain."""
    finished: bool = False


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: Any,
    progress: Progress,
    random: Sequence[Mapping[str, Tensor]],
) -> None:
    """Write ``folder``: weights, optimiser state, where the run stands, and every process's random state.

    Weights that are not trained have a file of their own, which all checkpoints of a run share.
    """
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    weights = model.state_dict()
    before = latest_checkpoint(folder.parent)
    with disk_errors(folder), atomic_folder(folder, overwrite=True) as work:
        save_tensors({name: weights[name] for name in weights if name not in frozen}, work / "model.safetensors")
        if before is not None and (before / FROZEN).is_file():
            link(before / FROZEN, work / FROZEN)
        elif frozen:
            save_tensors({name: weights[name] for name in frozen}, work / FROZEN)
        state = optimiser.state_dict()
        tensors = {f"{i}.{k}": v for i, entry in state["state"].items() for k, v in entry.items()}
        save_tensors(tensors, work / "optimiser.safetensors")
        states = {_of_process(i, name): value for i, state in enumerate(random) for name, value in state.items()}
        save_tensors(states, work / "random.safetensors")
        facts = {"progress": asdict(progress), "schedule": schedule.state_dict(), "processes": len(random)}
        write_json(work / "progress.json", facts)


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: Any,
    process: int = 0,
    processes: int = 1,
) -> Progress:
    """Put everything back as ``save_checkpoint`` found it, in process ``process`` of ``processes``.

    Raises:
        InputError: a file is missing or broken, or belongs to another model or number of processes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        if saved.get("processes", 1) != processes:
            found = f"a checkpoint of {saved['processes']} processes"
            raise InputError(found, path=folder, expected=f"{processes}", fix="resume with as many as before")
        frozen = load_file(folder / FROZEN) if (folder / FROZEN).is_file() else {}
        model.load_state_dict(load_file(folder / "model.safetensors") | frozen)
        tensors = load_file(folder / "optimiser.safetensors")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        schedule.load_state_dict(saved["schedule"])
        for group, rate in zip(optimiser.param_groups, saved["schedule"]["_last_lr"], strict=True):
            group["lr"] = rate
        states = load_file(folder / "random.safetensors")
        own = {name: states.get(_of_process(process, name)) for name in random_state()}
        restore_random_state({name: state for name, state in own.items() if state is not None})
        return Progress(**saved["progress"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the checkpoint can't be read ({reason})", path=folder, fix="delete it and resume") from error


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; unfinished ones have temporary names and don't count."""
    return next(reversed(_checkpoints(folder)), None)


def drop_old(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints."""
    for path in _checkpoints(folder)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    """A run's checkpoints, oldest first."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _of_process(process: int, name: str) -> str:
    return f"{process}.{name}" if process else name


def random_state() -> dict[str, Tensor]:
    """Torch's random state on the CPU and every GPU. Nothing else draws at random during training."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    return state


def restore_random_state(state: Mapping[str, Tensor]) -> None:
    """The inverse of ``random_state``; what the state doesn't hold (another GPU) stays as it is."""
    for name, value in state.items():
        if name == "cpu":
            torch.set_rng_state(value)
        else:
            torch.cuda.set_rng_state(value, int(name.removeprefix("cuda")))
