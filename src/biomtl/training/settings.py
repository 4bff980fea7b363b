"""What a recipe sets in a model for its own run, beside the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from biomtl.model import MultiTaskModel

DROPOUTS = ("p", "attention_dropout", "dropout_prob", "dropout")
"""Where modules keep the probability that ``optimiser.set_dropout`` changes."""


@contextlib.contextmanager
def restored(model: MultiTaskModel) -> Iterator[None]:
    """Afterwards the model has its own settings again, so that its next run is not that of another recipe.

    These are the weights that learn (``frozen_layers``, ``lora``), dropout, gradient checkpointing, and the losses and
    divergences of heads.
    """
    learns = {name: weight.requires_grad for name, weight in model.named_parameters()}
    dropouts = [
        (module, name, value)
        for module in model.modules()
        for name in DROPOUTS
        if isinstance(value := getattr(module, name, None), int | float) and not isinstance(value, bool)
    ]
    recomputing = [
        (module, value)
        for module in model.modules()
        if isinstance(value := getattr(module, "gradient_checkpointing", None), bool)
    ]
    heads = {name: model.head(name) for name in model.tasks}
    losses = {name: (head.objective, head.divergence) for name, head in heads.items()}
    try:
        yield
    finally:
        for name, weight in model.named_parameters():
            if name in learns:
                weight.requires_grad_(learns[name])
        for module, name, value in dropouts:
            setattr(module, name, value)
        for module, own in recomputing:
            module.gradient_checkpointing = own  # type: ignore[assignment]
        for name, head in heads.items():
            head.objective, head.divergence = losses[name]
