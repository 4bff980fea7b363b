"""The optimisers by name: torch's, and two that MT-DNN has. Weight decay is decoupled in all but SGD and Adadelta."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from biomtl.training.recipe import Recipe

Groups = Iterable[dict[str, Any]]


class BertAdam(torch.optim.Optimizer):
    """Adam without correction of the moments' bias, as BERT was trained and tuned with (Devlin et al. 2019).

    With gradient ``g``: ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``, ``p -= lr (m / (sqrt(v) + e) + w p)``.
    The first steps are larger than Adam's, by up to ``(1 - b1) / sqrt(1 - b2)``, about 3 at the very first.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: decay rates of both moments.
        eps: the constant ``e``.
        weight_decay: the factor ``w``.
    """

    def __init__(
        self,
        params: Groups,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step with the gradients that there are."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter] = {
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }
            gradients = [parameter.grad for parameter in parameters]
            means = [self.state[parameter]["exp_avg"] for parameter in parameters]
            squares = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
            first, second = group["betas"]
            torch._foreach_lerp_(means, gradients, 1 - first)
            torch._foreach_mul_(squares, second)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - second)
            steps = torch._foreach_sqrt(squares)
            torch._foreach_add_(steps, group["eps"])
            updates = torch._foreach_div(means, steps)
            if group["weight_decay"]:
                torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
            torch._foreach_add_(parameters, updates, alpha=-group["lr"])


class AdamaxW(torch.optim.Adamax):
    """Adamax (Kingma & Ba 2015, 7.1) with decoupled weight decay, as in MT-DNN."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Decay, then Adamax's own step without decay."""
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay


def _adam(kind: Callable[..., torch.optim.Optimizer], **given: Any) -> Callable[..., torch.optim.Optimizer]:
    def build(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
        betas = (recipe.adam_beta1, recipe.adam_beta2)
        return kind(groups, lr=recipe.learning_rate, betas=betas, eps=recipe.adam_epsilon, **given)

    return build


OPTIMISERS: dict[str, Callable[[Groups, Recipe], torch.optim.Optimizer]] = {
    "adamw": _adam(torch.optim.AdamW, fused=True),
    "bert_adam": _adam(BertAdam),
    "adamax": _adam(AdamaxW),
    "radam": _adam(torch.optim.RAdam, decoupled_weight_decay=True),
    "adafactor": lambda groups, recipe: torch.optim.Adafactor(groups, lr=recipe.learning_rate),
    "sgd": lambda groups, recipe: torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum),
    "adadelta": lambda groups, recipe: torch.optim.Adadelta(groups, lr=recipe.learning_rate, rho=0.95),
}
