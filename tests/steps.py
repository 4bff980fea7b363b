"""Stand-ins for optimiser and schedule, to look at the gradients of one step."""

from __future__ import annotations

import torch

from biomtl.model import MultiTaskModel


class Gradients:
    """Stands in for the optimiser and keeps what it was given."""

    def __init__(self, model: MultiTaskModel) -> None:
        self.model = model
        self.found: dict[str, torch.Tensor] = {}

    def step(self) -> None:
        self.found = {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.model.zero_grad(set_to_none=set_to_none)


class Still:
    """Stands in for the schedule."""

    def step(self) -> None: ...
