"""The run's Accelerate object: device, processes, trackers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list

from biomtl.errors import BiomtlError, InputError, nearest
from biomtl.training.recipe import Recipe

LAUNCHER = "torchrun --standalone --nproc_per_node {count} -m biomtl.cli.main train RECIPE"
RANKS = ("RANK", "LOCAL_RANK", "MASTER_ADDR")  # what torchrun tells its processes beside WORLD_SIZE
T = TypeVar("T")


def make_accelerator(recipe: Recipe) -> Accelerator:
    """An Accelerator as the recipe wants it; its trackers are started by the run, once there is a folder.

    Raises:
        InputError: a tracker that Accelerate doesn't know or that isn't installed; a launcher that asked for several
            processes and left each alone.
    """
    check_trackers(recipe.report_to)
    world = _world()
    started = all(name in os.environ for name in RANKS)
    accelerator = Accelerator(
        # Without a device of its own kind Accelerate takes a process for the only one, unless it hears of the CPU.
        cpu=world > 1 and started and not torch.accelerator.is_available(),
        # Accelerate would keep one precision for the life of the process and wrap it around the model for good: the
        # loop's own autocast ends with the loop.
        mixed_precision="no",
        log_with=list(recipe.report_to) or None,
        project_dir=recipe.output,
        # A batch may hold no row of some task: its head then has no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.num_processes == 1:
        _refuse_alone(world)
    return accelerator


def _world() -> int:
    """The number of processes that the launcher speaks of."""
    said = os.environ.get("WORLD_SIZE", "1")
    return int(said) if said.isdecimal() else 1


def _refuse_alone(world: int) -> None:
    """Refuse to run as one process what was started as several: each would train by itself in one folder."""
    if world > 1:
        fix = f"start it with `{LAUNCHER.format(count=world)}`, or unset WORLD_SIZE"
        raise InputError(f"WORLD_SIZE is {world}, but this process finds itself alone", fix=fix)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ and "RANK" not in os.environ:
        # What `accelerate launch --num_processes 2` leaves to its only process where it has no GPUs and no MPI.
        fix = f"use `{LAUNCHER.format(count='N')}`"
        raise InputError("accelerate launch was asked for several processes and started one", fix=fix)


def on_main_process(accelerator: Accelerator, action: Callable[[], T]) -> T:
    """What ``action`` returns or raises in the first process, in all of them."""
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
    """Refuse what Accelerate would fail at in the middle of a run."""
    known = [str(name) for name in LOGGER_TYPE_TO_CLASS]
    installed = [str(name) for name in get_available_trackers()]
    for name in names:
        if name not in known:
            raise InputError(f"report_to: no tracker {name!r}", fix=nearest(name, known))
        if name not in installed:
            raise InputError(f"report_to: {name} is not installed", fix=f"run `pip install {name}`")
