"""Checkpoints that a run continues from exactly: whole or not at all, tensors and JSON only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biomtl.errors import InputError
from biomtl.files import atomic_folder, write_json


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
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: Any, progress: Progress
) -> None:
    """Write ``folder``: weights, optimiser state, random state, and where the run stands."""
    with atomic_folder(folder, overwrite=True) as work:
        save_tensors(model.state_dict(), work / "model.safetensors")
        state = optimiser.state_dict()
        tensors = {f"{i}.{k}": v for i, entry in state["state"].items() for k, v in entry.items()}
        save_tensors(tensors, work / "optimiser.safetensors")
        save_tensors(random_state(), work / "random.safetensors")
        write_json(work / "progress.json", {"progress": asdict(progress), "schedule": schedule.state_dict()})


def load_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: Any) -> Progress:
    """Put everything back as ``save_checkpoint`` found it.

    Raises:
        InputError: a file is missing or broken, or belongs to another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        tensors = load_file(folder / "optimiser.safetensors")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        schedule.load_state_dict(saved["schedule"])
        for group, rate in zip(optimiser.param_groups, saved["schedule"]["_last_lr"], strict=True):
            group["lr"] = rate
        restore_random_state(load_file(folder / "random.safetensors"))
        return Progress(**saved["progress"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the checkpoint can't be read ({reason})", path=folder, fix="delete it and resume") from error


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; unfinished ones have temporary names and don't count."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
    return max(found, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; a full disk is an ``OSError`` like any other."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def random_state() -> dict[str, Tensor]:
    """Torch's random state on the CPU and every GPU. Nothing else draws at random during training."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    return state


def restore_random_state(state: dict[str, Tensor]) -> None:
    """The inverse of ``random_state``; a GPU that isn't there any more is left out."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"cuda{i}" in state:
                torch.cuda.set_rng_state(state[f"cuda{i}"], i)
