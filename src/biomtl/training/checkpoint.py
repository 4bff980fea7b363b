"""Checkpoints from which a run continues exactly: complete or absent, only tensors and JSON."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import Tensor

from biomtl.errors import InputError
from biomtl.storage import checksums
from biomtl.storage.files import atomic_folder, link, write_json
from biomtl.storage.structured import read_json
from biomtl.storage.tensors import disk_errors, save_tensors
from biomtl.training.methods.base import MethodState
from biomtl.training.progress import Progress
from biomtl.training.state import TrainState, random_state, restore_random_state

FROZEN = "frozen.safetensors"
METHODS = "methods.safetensors"
PROGRESS = "progress.json"
AGAIN = "delete it with its folder and resume"


def save_checkpoint(
    folder: Path,
    state: TrainState,
    random: Sequence[Mapping[str, Tensor]],
    weights: Mapping[str, Tensor] | None = None,
    moments: Mapping[str, Tensor] | None = None,
) -> None:
    """Write ``folder``: the whole state, and every process's random state.

    Weights that are not trained are in a separate file, which all checkpoints of a run share. ``weights`` and
    ``moments`` replace those of a state that holds only a part of them.
    """
    frozen = {name for name, value in state.model.named_parameters() if not value.requires_grad}
    weights = state.weights() if weights is None else weights
    before = latest_checkpoint(folder.parent)
    with disk_errors(folder), atomic_folder(folder, "checkpoint", overwrite=True) as work:
        save_tensors({name: weights[name] for name in weights if name not in frozen}, work / "model.safetensors")
        shared: dict[str, str] = {}
        if before is not None and (before / FROZEN).is_file():
            link(before / FROZEN, work / FROZEN)
            written = read_json(before / PROGRESS, "where the run stood").get("files", {})
            shared = {FROZEN: written[FROZEN]} if FROZEN in written else {}
        elif frozen:
            save_tensors({name: weights[name] for name in frozen}, work / FROZEN)
        save_tensors(dict(state.moments() if moments is None else moments), work / "optimiser.safetensors")
        states = {_of_process(i, name): value for i, own in enumerate(random) for name, value in own.items()}
        save_tensors(states, work / "random.safetensors")
        methods = {key: method.state() for key, method in state.methods.items()}
        tensors = {f"{key}.{name}": value for key, own in methods.items() for name, value in own.tensors.items()}
        if tensors:
            save_tensors(tensors, work / METHODS)
        facts = {
            "progress": asdict(state.progress),
            "schedule": state.schedule.state_dict(),
            "scaler": None if state.scaler is None else state.scaler.state_dict(),
            "methods": {key: own.values for key, own in methods.items()},
            "processes": len(random),
            "files": checksums.take(work, known=shared),
        }
        write_json(work / PROGRESS, checksums.sealed(facts))


def load_checkpoint(
    folder: Path,
    state: TrainState,
    process: int = 0,
    processes: int = 1,
    like: Callable[[Tensor, Tensor], Tensor] = lambda value, other: value,
) -> None:
    """Restore everything saved by ``save_checkpoint``, in process ``process`` of ``processes``.

    ``like`` makes of a saved tensor what takes the place of one of the state's.

    Raises:
        InputError: a file is missing or broken, or belongs to another model or number of processes.
    """

    try:
        saved = read_json(folder / PROGRESS, "where the run stood", AGAIN)
        checksums.verify_seal(saved, folder / PROGRESS, fix=AGAIN)
        checksums.verify(folder, saved.get("files"), fix=AGAIN)
        if saved.get("processes", 1) != processes:
            problem = f"a checkpoint of {saved['processes']} processes"
            raise InputError(problem, path=folder, expected=f"{processes}", fix="resume with as many as before")
        frozen = load_file(folder / FROZEN) if (folder / FROZEN).is_file() else {}
        # A weight that began to learn later is in both files.
        weights, own = frozen | load_file(folder / "model.safetensors"), state.model.state_dict()
        state.model.load_state_dict({name: like(value, own.get(name, value)) for name, value in weights.items()})
        parameters = [parameter for group in state.optimiser.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(folder / "optimiser.safetensors").items():
            number, _, name = key.partition(".")
            moments.setdefault(int(number), {})[name] = like(value, parameters[int(number)])
        groups = state.optimiser.state_dict()["param_groups"]
        state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        state.schedule.load_state_dict(saved["schedule"])
        for group, rate in zip(state.optimiser.param_groups, saved["schedule"]["_last_lr"], strict=True):
            group["lr"] = rate
        if state.scaler is not None and saved.get("scaler"):
            state.scaler.load_state_dict(saved["scaler"])
        _restore_methods(state, folder / METHODS, saved.get("methods", {}))
        states = load_file(folder / "random.safetensors")
        own = {name: states.get(_of_process(process, name)) for name in random_state()}
        if own["cpu"] is None:
            raise KeyError(f"no random state of process {process}")
        restore_random_state({name: value for name, value in own.items() if value is not None})
        state.progress = TypeAdapter(Progress).validate_python(saved["progress"])
    except InputError:
        raise
    except Exception as error:  # damaged tensors and numbers can fail anywhere in torch
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the checkpoint can't be read ({reason})", path=folder, fix="delete it and resume") from error


def _restore_methods(state: TrainState, path: Path, values: Mapping[str, dict[str, Any]]) -> None:

    tensors = load_file(path) if path.is_file() else {}  # not every method has tensors
    for key, method in state.methods.items():
        own = {name.removeprefix(f"{key}."): value for name, value in tensors.items() if name.startswith(f"{key}.")}
        method.restore(MethodState(own, values[key]), state.model)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; unfinished ones have temporary names and don't count."""
    return next(reversed(_checkpoints(folder)), None)


def drop_old(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints."""
    for path in _checkpoints(folder)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    """A run's checkpoints, oldest first."""
    folders = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("step-")))


def _of_process(process: int, name: str) -> str:
    return f"{process}.{name}" if process else name
