"""The run's Accelerate object: device, precision, processes, trackers."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from biomtl.training.recipe import Recipe


def make_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """An Accelerator as the recipe wants it.

    Accelerate keeps one precision for the life of a process; a second run in the same session may want another, so
    its state is made anew. The process group stays.
    """
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision="bf16" if recipe.bf16 else "no",
        log_with=list(recipe.report_to) or None,
        project_dir=str(folder),
        # A batch may hold no row of some task: its head then has no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if recipe.report_to:
        accelerator.init_trackers("biomtl")
    return accelerator
