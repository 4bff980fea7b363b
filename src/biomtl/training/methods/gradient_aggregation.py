"""One step for the shared encoder out of the tasks' gradients, where they conflict."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from biomtl.errors import InputError
from biomtl.training.methods.base import Losses, Method, trained_names

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel

PIECE = 1 << 20  # numbers that are held in double precision at once
Weighting = Callable[[Tensor], Tensor]
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "upgrad": ("UPGradWeighting", {}),
    "pcgrad": ("PCGradWeighting", {}),
    "cagrad": ("CAGradWeighting", {"c": 0.5}),
    "mgda": ("MGDAWeighting", {}),
    "imtl_g": ("IMTLGWeighting", {}),
    "aligned_mtl": ("AlignedMTLWeighting", {}),
    "nash_mtl": ("NashMTL", {}),
}


class GradientAggregation(Method):
    """``gradient_aggregation``: combine the tasks' gradients of the encoder by a rule instead of adding them.

    The rules are TorchJD's (Quinton and Rey 2024, arXiv 2406.16232, with UPGrad): PCGrad (Yu et al. 2020, arXiv
    2001.06782), CAGrad (Liu et al. 2021, arXiv 2110.14048), MGDA (Désidéri 2012; Sener and Koltun 2018, arXiv
    1810.04650), IMTL-G (Liu et al. 2021), Aligned-MTL (Senushkin et al. 2023, arXiv 2305.19000), Nash-MTL
    (Navon et al. 2022, arXiv 2202.01017). Each gives weights of the tasks' gradients
    that depend on their inner products alone.

    A task's gradient is that of its weighted loss over the whole step, with all its batches and processes, in all
    weights of the encoder. Heads have a gradient of one task only, which stays.

    Raises:
        InputError: torchjd isn't installed, a single task, or an encoder of which nothing learns.
    """

    def __init__(self, value: str, model: MultiTaskModel) -> None:
        if len(model.tasks) < 2:
            raise InputError("gradient_aggregation with one task", fix="leave it out")
        self.weighting = load_rule(value, len(model.tasks))
        self.names = [name for name in trained_names(model) if name.startswith("encoder.")]
        if not self.names:
            fix = "freeze fewer layers, or leave gradient_aggregation out"
            raise InputError("gradient_aggregation with a frozen encoder", expected="one that is trained", fix=fix)
        self.found: dict[str, list[Tensor]] = {}
        self.step = 0

    def before_step(self, step: int, model: MultiTaskModel) -> None:
        """Take the step's number as the seed of its draws."""
        self.step = step

    def before_backward(self, losses: Losses, model: MultiTaskModel) -> None:
        """Add each task's own gradient of this batch to the step's."""
        weights = [model.get_parameter(name) for name in self.names]
        learning = [weight for weight in weights if weight.requires_grad]
        if not learning:  # before the first layer thaws
            return
        for task, loss in losses.items():
            own = iter(torch.autograd.grad(loss, learning, retain_graph=True, allow_unused=True))
            parts = [next(own) if weight.requires_grad else None for weight in weights]
            filled = [_or_zero(part, weight) for part, weight in zip(parts, weights, strict=True)]
            if task in self.found:
                self.found[task] = [one + other for one, other in zip(self.found[task], filled, strict=True)]
            else:
                self.found[task] = filled

    def gradients(self, model: MultiTaskModel) -> None:
        """Put the combination in place of the sum."""
        if not self.found:
            return
        weights = [model.get_parameter(name) for name in self.names]
        several = distributed.is_available() and distributed.is_initialized()
        tasks = [task for task in model.tasks if several or task in self.found]
        rows = [self._reduced(task, weights) if several else self.found[task] for task in tasks]
        self.found = {}
        gram = inner_products(rows)
        present = [i for i, own in enumerate(gram.diagonal().tolist()) if own > 0]
        if len(present) < 2:
            return
        factors = combined(self.weighting, gram[present][:, present], self.step).tolist()
        for number, weight in enumerate(weights):
            if weight.grad is not None:
                parts = [rows[i][number] * factor for i, factor in zip(present, factors, strict=True)]
                weight.grad.copy_(torch.stack(parts).sum(0))

    def _reduced(self, task: str, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """A task's gradient in each weight, the mean over the processes, as that of the sum is."""
        own = self.found.get(task)
        sizes = [weight.numel() for weight in weights]
        flat = weights[0].new_zeros(sum(sizes)) if own is None else torch.cat([part.flatten() for part in own])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        return [part.view_as(weight) for part, weight in zip(flat.split(sizes), weights, strict=True)]


def inner_products(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """``[tasks, tasks]`` of the tasks' gradients, each given weight by weight, in double precision on the CPU."""
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows[0][0].device)
    for parts in zip(*rows, strict=True):
        for pieces in zip(*(part.flatten().split(PIECE) for part in parts), strict=True):
            some = torch.stack(pieces).double()
            gram += some @ some.T
    return gram.cpu()


def combined(weighting: Weighting, gram: Tensor, seed: int = 0) -> Tensor:
    """The factors of the tasks' gradients, given their inner products.

    They are scaled so that gradients without any conflict, of equal length and at right angles, are added: some rules
    give a sum, others a mean, and the heads' gradients, clipped together with these, are sums. The draws of rules that
    need them (PCGrad's order of the tasks) follow from ``seed``, so that they are the same in every process.
    """
    scale = gram.diagonal().mean()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not the GPUs', whose dropout would repeat itself in every step
        free = weighting(torch.eye(len(gram), dtype=gram.dtype)).sum()
        factors = weighting(gram / scale)
    return factors * len(gram) / free


def load_rule(name: str, tasks: int) -> Weighting:
    """A rule of TorchJD: inner products of gradients to their factors.

    Raises:
        InputError: torchjd, or what this rule needs beside it, isn't installed.
    """
    kind, options = RULES[name]
    try:
        torchjd = importlib.import_module("torchjd.aggregation")
        if name == "nash_mtl":
            return _nash(torchjd, tasks)
        rule = getattr(torchjd, kind)(**options)
        rule(torch.eye(2, dtype=torch.float64))  # what it needs is imported only now
    except ImportError as error:
        raise InputError(f"gradient_aggregation: {error}".splitlines()[0], fix='pip install "biomtl[mtl]"') from error
    return rule


def _nash(torchjd: Any, tasks: int) -> Weighting:
    """Nash-MTL, which wants gradients: the square root of their inner products serves as well."""
    torchjd.NashMTL(n_tasks=2)

    def weighting(gram: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(gram)
        root = vectors * values.clamp(min=0).sqrt()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its solver, about speed
            # A new one each time: it would start from the last step's solution, which no checkpoint has.
            return torchjd.NashMTL(n_tasks=len(gram)).weighting(root).to(gram.dtype)

    return weighting


def _or_zero(part: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if part is None else part.detach()
