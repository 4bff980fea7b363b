"""Lower layers that stay as they are, for the whole run or for its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biomtl.errors import InputError
from biomtl.training.methods.base import Course, Method
from biomtl.training.methods.layer_decay import layer_numbers

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel


class GradualThawing(Method):
    """``gradual_thawing``: over this share of the run the encoder's layers begin to learn, the last one first.

    Gradual unfreezing of Howard and Ruder (2018, arXiv 1801.06146, section 3.3). Heads and pooler learn from the first
    step on, then one layer more after each of n equal parts; the embeddings are the last to begin. Layers that
    ``frozen_layers`` names never do.

    Raises:
        InputError: an encoder without layers.
    """

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        self.part, self.total = value, 1
        numbers, self.layers = layer_numbers(model.encoder)
        learns = {name for name, weight in model.encoder.named_parameters() if weight.requires_grad}
        self.numbers = {f"encoder.{name}": number for name, number in numbers.items() if name in learns}
        self.numbers = {name: number for name, number in self.numbers.items() if ".pooler." not in name}

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Learn the length of the run."""
        self.total = course.total

    def before_step(self, step: int, model: MultiTaskModel) -> None:
        """Let the layers learn whose time has come; what doesn't learn costs no gradient."""
        parts = self.layers + 1  # the embeddings are one
        thawed = min(parts, int(step * parts / max(1.0, self.part * self.total)))
        for name, weight in model.named_parameters():
            if name in self.numbers:
                weight.requires_grad_(self.numbers[name] > self.layers - thawed)


def freeze_layers(model: MultiTaskModel, count: int) -> None:
    """``frozen_layers``: leave the embeddings and the first ``count`` layers as they are (Lee et al. 2019, 1911.03090).

    Raises:
        InputError: fewer layers.
    """
    numbers, layers = layer_numbers(model.encoder)
    if count > layers:
        raise InputError(f"frozen_layers is {count}, the encoder has {layers} layers", fix="freeze fewer")
    for name, weight in model.encoder.named_parameters():
        if numbers[name] <= count and ".pooler." not in f".{name}":
            weight.requires_grad_(False)
