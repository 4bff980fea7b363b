"""Outputs that change little under small disturbances, and weights that move little."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from biomtl.errors import InputError
from biomtl.heads.named import divergence_of
from biomtl.heads.soft import soft_of
from biomtl.training.methods.base import Answers, Losses, Method, MethodState, trained_names
from biomtl.training.options import SmartOptions

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.model import MultiTaskModel

POSITIONS_FIRST = ("xlnet",)
"""Families whose word embeddings are ``[positions, rows, dim]``."""


class Smart(Method):
    """``smart``: smoothness-inducing adversarial regularisation, and Bregman proximal point optimisation.

    SMART of Jiang et al. (2020, arXiv 1911.03437). Embeddings are disturbed by noise, then moved along the gradient of
    the divergence from the undisturbed outputs (by ``step_size`` in the largest element); that divergence is added to
    each task's loss. It is the task's ``divergence``, if the recipe names one. With ``proximal`` so is the divergence
    from the outputs of a running average of the weights.

    Raises:
        InputError: an encoder without word embeddings to disturb; a task of unknown outputs.
    """

    def __init__(self, value: SmartOptions, model: MultiTaskModel) -> None:
        self.options = value
        self.names = trained_names(model)
        self.average: dict[str, Tensor] = {}
        network: Any = getattr(model.encoder, "network", None)
        if not hasattr(network, "get_input_embeddings"):
            problem = "smart: the encoder has no word embeddings to perturb"
            raise InputError(problem, fix="train a transformer, or leave smart out")
        if not model.one_pass:
            problem = (
                "smart: a task has low-rank adapters of its own, so its rows are encoded separately from the others"
            )
            raise InputError(problem, fix="leave smart or tasks.NAME.lora out")
        self.kinds = {name: soft_of(task) for name, task in model.tasks.items()}
        self.apart = {name: divergence_of(task, model.head(name)) for name, task in model.tasks.items()}
        for name, soft in self.kinds.items():
            if soft is None:
                problem = f"smart: outputs of type {model.tasks[name].type} can't be compared ({name})"
                raise InputError(problem, fix="leave smart out")

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Add the two divergences."""
        added: Losses = dict.fromkeys(losses, torch.zeros((), device=next(iter(losses.values())).device))
        clean = {name: answers[name].outputs for name in losses}
        if self.options.weight:
            disturbed = self._adversary(clean, batch, model)
            added = {name: self.options.weight * self._apart(name, clean, disturbed, batch) for name in losses}
        if self.average:
            with torch.no_grad(), evaluating(model):
                kept = functional_call(model, self.average, (batch.inputs, batch.tasks))
            old = {name: kept[name].outputs for name in losses}
            added = {
                name: added[name] + self.options.proximal * self._apart(name, clean, old, batch) for name in losses
            }
        return {name: loss + added[name] for name, loss in losses.items()}

    def _adversary(self, clean: dict[str, Tensor], batch: Batch, model: MultiTaskModel) -> dict[str, Tensor]:
        """The outputs for the worst of small disturbances of the embeddings."""
        embeddings = model.encoder.network.get_input_embeddings()  # type: ignore[union-attr,operator]
        fixed = {name: outputs.detach() for name, outputs in clean.items()}
        shape = (*batch.inputs["input_ids"].shape, embeddings.embedding_dim)
        delta = torch.randn(shape, device=embeddings.weight.device) * self.options.noise
        for _ in range(self.options.steps):
            delta.requires_grad_()
            outputs = _disturbed(model, embeddings, delta, batch)
            total = torch.stack([self._apart(name, fixed, outputs, batch) for name in fixed]).sum()
            # With respect to the disturbance alone: no weight's gradient changes.
            (slope,) = torch.autograd.grad(total, delta)
            largest = slope.abs().amax(dim=(1, 2), keepdim=True)
            delta = (delta + self.options.step_size * slope / (largest + 1e-12)).detach()
        return _disturbed(model, embeddings, delta, batch)

    def _apart(self, name: str, first: dict[str, Tensor], second: dict[str, Tensor], batch: Batch) -> Tensor:
        soft, divergence, rows = self.kinds[name], self.apart[name], batch.tasks[name]
        assert soft is not None
        assert divergence is not None
        return soft.mean(divergence(first[name], second[name], rows), rows)

    @torch.no_grad()
    def after_step(self, model: MultiTaskModel, losses: Any) -> None:
        """Follow the weights."""
        if not self.options.proximal:
            return
        weights = dict(model.named_parameters())
        for name in self.names:
            if name in self.average:
                self.average[name].lerp_(weights[name], 1 - self.options.proximal_decay)
            else:
                self.average[name] = weights[name].detach().clone()

    def state(self) -> MethodState:
        """The average."""
        return MethodState(dict(self.average))

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """Take it up."""
        weights = dict(model.named_parameters())
        self.average = {name: value.to(weights[name].device) for name, value in state.tensors.items()}


def _disturbed(model: MultiTaskModel, embeddings: nn.Module, delta: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The outputs with ``delta`` added to the word embeddings."""
    moved = delta.transpose(0, 1) if model.encoder.family in POSITIONS_FIRST else delta
    tables = [module for module in model.encoder.modules() if getattr(module, "weight", None) is embeddings.weight]
    with contextlib.ExitStack() as stack:
        for table in tables:  # T5's encoder has one of its own with the same weights
            handle = table.register_forward_hook(lambda module, given, vectors: vectors + moved.to(vectors.dtype))
            stack.callback(handle.remove)
        return {name: answer.outputs for name, answer in model(batch.inputs, batch.tasks).items()}


@contextlib.contextmanager
def evaluating(model: MultiTaskModel) -> Iterator[None]:
    """Without dropout; heads give the same outputs as in training, where a CRF in use gives the scores of paths."""
    model.eval()
    for name in model.tasks:
        model.head(name).training = True  # of the head alone, not of what is in it
    try:
        yield
    finally:
        model.train()
