"""Averaging of weights over the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from biomtl.training.methods.base import Method, MethodState, trained_names

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel


class WeightAverage(Method):
    """``ema_decay``: score and save an exponential moving average of the weights instead of the last ones.

    After step t the average of every trained parameter w is ``a_t = a_{t-1} + (1 - d) / (1 - d^t) * (w_t - a_{t-1})``:
    the mean of ``w_1 … w_t`` with weights proportional to ``d^(t-i)``. Averaging goes back to Polyak and Juditsky
    (1992), the exponential weights with this correction to Kingma and Ba (2015, arXiv 1412.6980, section 7.2).
    MT-DNN's option has no correction and starts from the untrained weights.

    Buffers, such as the running statistics of batch norm, are not averaged.
    """

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        self.decay = value
        self.names = trained_names(model)
        self.steps = 0
        self.average: dict[str, Tensor] = {}

    @torch.no_grad()
    def after_step(self, model: MultiTaskModel, losses: Mapping[str, float]) -> None:
        """Add the new weights to the average."""
        self.steps += 1
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        for name, weight in self._trained(model).items():
            if self.steps == 1:
                self.average[name] = weight.detach().clone()
            else:
                self.average[name].lerp_(weight, share)

    @contextlib.contextmanager
    def evaluation_weights(self, model: MultiTaskModel) -> Iterator[None]:
        """Use the average in place of the weights."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: MultiTaskModel) -> None:
        weights = self._trained(model)
        for name, average in self.average.items():
            kept = weights[name].clone()
            weights[name].copy_(average)
            average.copy_(kept)

    def state(self) -> MethodState:
        """The average, and the number of steps in it."""
        return MethodState(dict(self.average), {"steps": self.steps})

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """Load the average from a checkpoint."""
        weights = self._trained(model)
        self.steps = int(state.values["steps"])
        if self.steps and {n: w.shape for n, w in weights.items()} != {n: a.shape for n, a in state.tensors.items()}:
            raise ValueError("the average of other weights")
        self.average = {name: average.to(weights[name].device) for name, average in state.tensors.items()}

    def _trained(self, model: MultiTaskModel) -> dict[str, Tensor]:
        weights = dict(model.named_parameters())
        return {name: weights[name] for name in self.names}
