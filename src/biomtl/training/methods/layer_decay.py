"""Learning rates that decrease from the encoder's last layer to its first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from biomtl.errors import InputError
from biomtl.training.methods.base import Method

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel


class LayerDecay(Method):
    """``layer_decay``: layer k of the encoder's n learns at ``learning_rate * layer_decay^(n - k)``.

    Discriminative fine-tuning of Howard and Ruder (2018, arXiv 1801.06146, section 3.2), for BERT as in Sun et al.
    (2019, arXiv 1905.05583, section 5.3.4): lower layers, which hold general features, change less. The last layer and
    everything above it (heads and pooler) keep their rate.

    One rule finds the layers of every family: they are the members of the encoder's largest list of modules. Anything
    before that list (embeddings) is layer 0; anything after it belongs to the last layer. A family that shares one set
    of weights among its layers (ALBERT) has one layer.

    Raises:
        InputError: an encoder without layers.
    """

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        depths, layers = layer_numbers(model.encoder)
        self.factors = {f"encoder.{name}": value ** (layers - depth) for name, depth in depths.items()}

    def rate(self, name: str) -> float:
        """The layer's factor; 1 outside the encoder."""
        return 1.0 if ".pooler." in name else self.factors.get(name, 1.0)


def layer_list(encoder: nn.Module) -> tuple[str, nn.ModuleList]:
    """The encoder's layers and their name: its largest list of modules.

    Raises:
        InputError: the encoder has no list of modules.
    """
    lists = [(name, module) for name, module in encoder.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        expected = "a list of modules, for layer_decay, frozen_layers, gradual_thawing and FSDP"
        raise InputError(f"a {type(encoder).__name__} has no layers", expected=expected)
    return max(lists, key=lambda entry: sum(weight.numel() for weight in entry[1].parameters()))


def layer_numbers(encoder: nn.Module) -> tuple[dict[str, int], int]:
    """The layer of each of the encoder's parameters, 0 below the first, and the number of layers.

    Raises:
        InputError: the encoder has no list of modules.
    """
    prefix, layers = layer_list(encoder)
    numbers: dict[str, int] = {}
    inside = 0
    for name, _ in encoder.named_parameters():
        if name.startswith(f"{prefix}."):
            inside = int(name.removeprefix(f"{prefix}.").partition(".")[0]) + 1
            numbers[name] = inside
        else:
            numbers[name] = len(layers) if inside else 0
    return numbers, len(layers)
