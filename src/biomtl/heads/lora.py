"""Low-rank adapters of a task's own inside the shared encoder, part of its head.

PEFT, which makes the adapters that all tasks share, gives each row of a batch one adapter, where a task here has its
own beside the shared one. Kept in the head, they are also trained, saved, loaded and merged without PEFT.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.base import Encoder
from biomtl.encoders.lora import linear_layers
from biomtl.errors import InputError

SCALE = 2.0  # alpha / rank, as in PEFT's usual settings


class TaskLora(nn.Module):
    """Adapters ``2 B A x`` of a task's own beside every linear layer ``W x`` of the encoder's layers.

    LoRA of Hu et al. (2021, arXiv 2106.09685), one set per task. B starts as zero. A task with adapters needs an
    encoder pass of its own over its rows.

    Args:
        encoder: the encoder, which isn't changed.
        rank: rows of A and columns of B.

    Raises:
        InputError: the encoder is not a transformer or has no layers.
    """

    def __init__(self, encoder: Encoder, rank: int) -> None:
        super().__init__()
        names, network = linear_layers(encoder)
        self.names = [name.removesuffix(".base_layer") for name in names if ".lora_" not in name]
        layers = [network.get_submodule(name) for name in self.names]
        self.down = nn.ParameterList([nn.Parameter(torch.empty(rank, layer.in_features)) for layer in layers])
        self.up = nn.ParameterList([nn.Parameter(torch.zeros(layer.out_features, rank)) for layer in layers])
        for weight in self.down:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    @contextlib.contextmanager
    def inside(self, encoder: Encoder) -> Iterator[None]:
        """Within this context, the encoder has the adapters."""
        network: Any = encoder.network
        with contextlib.ExitStack() as stack:
            for number, name in enumerate(self.names):
                handle = network.get_submodule(name).register_forward_hook(partial(self._add, number))
                stack.callback(handle.remove)
            yield

    def _add(self, number: int, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + SCALE * functional.linear(functional.linear(given[0], self.down[number]), self.up[number])

    @torch.no_grad()
    def merged(self, network: nn.Module) -> dict[str, Tensor]:
        """The state of the encoder's network with the adapters added to its weights."""
        state = dict(network.state_dict())
        for number, name in enumerate(self.names):
            weight = state[f"{name}.weight"]
            state[f"{name}.weight"] = weight + SCALE * (self.up[number] @ self.down[number]).to(weight.dtype)
        return state


def add_task_lora(head: Any, encoder: Encoder, rank: int, task: str) -> None:
    """Give a head adapters in the encoder.

    Raises:
        InputError: see ``TaskLora``.
    """
    try:
        head.lora = TaskLora(encoder, rank)
    except InputError as error:
        raise InputError(f"task {task}: {error.found}", fix=error.fix) from error


@contextlib.contextmanager
def adapters_of(head: Any, encoder: Encoder) -> Iterator[None]:
    """Within this context, the encoder has the adapters of a head, if that has any."""
    with contextlib.nullcontext() if head.lora is None else head.lora.inside(encoder):
        yield
