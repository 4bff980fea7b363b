"""The state of a run between steps: exactly what a checkpoint saves and a resumed run restores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from biomtl.training.progress import Progress

if TYPE_CHECKING:
    from biomtl.training.methods.base import Method


def as_it_is(value: Any) -> Any:
    """The same."""
    return value


@dataclass
class TrainState:
    """Everything that determines the next step, except torch's random state, which torch keeps (see below).

    Attributes:
        model: the model, with its weights and buffers.
        optimiser: the optimiser, with its moments.
        schedule: the learning-rate schedule.
        progress: the progress of the run.
        methods: the active training methods by recipe key, each with its own state.
        scaler: scales the loss in float16, whose small gradients would be 0; ``None`` in other precisions.
    """

    model: Any
    optimiser: torch.optim.Optimizer
    schedule: Any
    progress: Progress = field(default_factory=Progress)
    methods: Mapping[str, Method] = field(default_factory=dict)
    scaler: torch.amp.GradScaler | None = None

    def weights(self, whole: Callable[[Any], Any] = as_it_is) -> dict[str, Tensor]:
        """The model's weights by name, each as ``whole`` makes it."""
        return {name: whole(value) for name, value in self.model.state_dict().items()}

    def moments(self, whole: Callable[[Any], Any] = as_it_is) -> dict[str, Tensor]:
        """The optimiser's state of every parameter, by its number and name: ``0.exp_avg``."""
        states = self.optimiser.state_dict()["state"]
        return {f"{i}.{name}": whole(value) for i, state in states.items() for name, value in state.items()}


def random_state() -> dict[str, Tensor]:
    """Torch's random state on the CPU and every GPU. Training uses no other randomness."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{i}": value for i, value in enumerate(torch.cuda.get_rng_state_all())}
    return state


def restore_random_state(state: Mapping[str, Tensor]) -> None:
    """The inverse of ``random_state``; anything not in the state (another GPU) is left unchanged."""
    for name, value in state.items():
        if name == "cpu":
            torch.set_rng_state(value)
        else:
            torch.cuda.set_rng_state(value, int(name.removeprefix("cuda")))
