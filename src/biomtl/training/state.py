"""What a run carries from step to step: exactly what a checkpoint saves and a resumed run takes up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from biomtl.training.methods.base import Method


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
    """Stopped early, for want of gain."""


@dataclass
class TrainState:
    """Everything that decides the next step, but for torch's random state, which is torch's own (see below).

    Attributes:
        model: the model, whose weights and buffers are meant.
        optimiser: its moments.
        schedule: where the learning rate stands on its course.
        progress: where the run stands.
        methods: the training methods that are on, by recipe key, each with a state of its own.
    """

    model: Any
    optimiser: torch.optim.Optimizer
    schedule: Any
    progress: Progress = field(default_factory=Progress)
    methods: Mapping[str, Method] = field(default_factory=dict)


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
