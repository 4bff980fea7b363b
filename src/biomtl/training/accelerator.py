"""The run's Accelerate object: device, processes, trackers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs

from biomtl.errors import InputError, nearest
from biomtl.training.recipe import Recipe


def make_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """An Accelerator as the recipe wants it; its trackers are started by the run, once there is a folder.

    Raises:
        InputError: a tracker that Accelerate doesn't know or that isn't installed.
    """
    check_trackers(recipe.report_to)
    return Accelerator(
        # Accelerate would keep one precision for the life of the process and wrap it around the model for good: the
        # loop's own autocast ends with the loop.
        mixed_precision="no",
        log_with=list(recipe.report_to) or None,
        project_dir=str(folder),
        # A batch may hold no row of some task: its head then has no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def check_trackers(names: Sequence[str]) -> None:
    """Refuse what Accelerate would fail at in the middle of a run."""
    known = [str(name) for name in LOGGER_TYPE_TO_CLASS]
    installed = [str(name) for name in get_available_trackers()]
    for name in names:
        if name not in known:
            raise InputError(f"report_to: no tracker {name!r}", fix=nearest(name, known))
        if name not in installed:
            raise InputError(f"report_to: {name} is not installed", fix=f"run `pip install {name}`")
