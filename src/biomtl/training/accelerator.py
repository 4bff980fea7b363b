"""The run's Accelerate object: device, processes, trackers."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, broadcast_object_list

from biomtl.errors import BiomtlError, InputError, nearest
from biomtl.training.processes import FSDP, Processes
from biomtl.training.recipe import Recipe

LAUNCHER = "torchrun --standalone --nproc_per_node {count} -m biomtl.cli.main train RECIPE"
RANKS = ("RANK", "LOCAL_RANK", "MASTER_ADDR")  # set by torchrun together with WORLD_SIZE
REFUSED = {"ACCELERATE_USE_DEEPSPEED": "DeepSpeed", "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM"}
"""Set by ``accelerate launch``."""
T = TypeVar("T")


def make_accelerator(recipe: Recipe) -> Processes:
    """The Accelerator for a recipe; the run starts its trackers once the folder exists.

    Raises:
        InputError: a tracker that Accelerate doesn't know or that isn't installed; several processes were launched
            that don't know of each other; or weights are to be divided (FSDP) and the recipe needs whole ones.
    """
    check_trackers(recipe.report_to)
    _refuse_other_ways()
    world = _world()
    kind: type[Processes] = Processes
    if world > 1 and _is_set(FSDP):
        from biomtl.training import sharding

        sharding.refuse_unsuitable(recipe)
        kind = sharding.DividedProcesses
    started = all(name in os.environ for name in RANKS)
    # If a batch has no row of some task, its head gets no gradient. All wait while the first process asks teachers,
    # computes a frozen encoder's layers, or scores a stage before the next one begins; torch would wait ten minutes.
    handlers: list[Any] = [
        DistributedDataParallelKwargs(find_unused_parameters=True),
        InitProcessGroupKwargs(timeout=timedelta(hours=3)),
    ]
    with _unset(FSDP):  # Accelerate's own way takes no model whose heads are sometimes idle
        accelerator = kind(
            # On a machine without an accelerator, Accelerate assumes a single process unless told to use the CPU.
            cpu=world > 1 and started and not torch.accelerator.is_available(),
            # Accelerate would fix one precision for the whole process and leave the model wrapped in it; the loop has
            # its own autocast instead.
            mixed_precision="no",
            log_with=list(recipe.report_to) or None,
            project_dir=recipe.output,
            kwargs_handlers=handlers,
        )
    if accelerator.num_processes == 1:
        _refuse_alone(world)
    atexit.unregister(_part)
    atexit.register(_part)
    return accelerator


def finish(accelerator: Accelerator) -> None:
    """End the run's trackers. The processes stay together, as another run may follow; they part when they end."""
    for tracker in accelerator.trackers:
        tracker.finish()


def _part() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _world() -> int:
    """The number of processes according to the launcher."""
    said = os.environ.get("WORLD_SIZE", "1")
    return int(said) if said.isdecimal() else 1


def _refuse_alone(world: int) -> None:
    """Refuse to run alone if several processes were started: each would train by itself in the same folder."""
    if world > 1:
        fix = f"start it with `{LAUNCHER.format(count=world)}`, or unset WORLD_SIZE"
        raise InputError(f"WORLD_SIZE is {world}, but this process is alone", fix=fix)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ and "RANK" not in os.environ:
        # Without GPUs and MPI, `accelerate launch --num_processes 2` starts a single process with these variables.
        fix = f"use `{LAUNCHER.format(count='N')}`"
        raise InputError("accelerate launch was asked for several processes and started one", fix=fix)


def _refuse_other_ways() -> None:
    """Refuse the ways of ``accelerate launch`` that replace the model or the optimiser."""
    for name, way in REFUSED.items():
        if _is_set(name):
            fix = "bf16, gradient_checkpointing, lora and a smaller batch_tokens save memory"
            raise InputError(f"processes launched with {way}", expected="DDP or FSDP", fix=fix)


@contextlib.contextmanager
def _unset(name: str) -> Iterator[None]:
    """Without this variable in the environment."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("1", "true", "yes", "y", "on")


def on_main_process(accelerator: Accelerator, action: Callable[[], T]) -> T:
    """Run ``action`` in the first process only; its result or error is that of all processes."""
    outcome: list[T | BiomtlError | None] = [None]
    if accelerator.is_main_process:
        try:
            outcome = [action()]
        except BiomtlError as error:
            outcome = [error]
    [value] = broadcast_object_list(outcome)
    if isinstance(value, BiomtlError):
        raise value
    return value


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers on which Accelerate would fail in the middle of a run."""
    known = [str(name) for name in LOGGER_TYPE_TO_CLASS]
    installed = [str(name) for name in get_available_trackers()]
    for name in names:
        if name not in known:
            raise InputError(f"report_to: no tracker {name!r}", fix=nearest(name, known))
        if name not in installed:
            raise InputError(f"report_to: {name} is not installed", fix=f"run `pip install {name}`")
