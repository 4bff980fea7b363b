"""Weights divided among the processes (FSDP): each holds a part of every encoder layer, its gradient and its moments.

The layers are gathered one by one while they compute (Zhao et al. 2023, arXiv 2304.11277; torch's ``fully_shard``).
Embeddings and heads stay whole in each process (DDP), as a batch may have no row for a head. What is trained is a copy:
the run's own model gets the whole weights for scoring on dev and for saving, which know nothing of parts.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from biomtl.errors import InputError
from biomtl.training.methods.layer_decay import layer_list
from biomtl.training.processes import FSDP, Processes

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel
    from biomtl.training.recipe import Recipe

WHOLE = ("ema_decay", "gradient_aggregation", "gradual_thawing", "lora", "smart", "task_stopping")
"""Methods that read or write whole weights or gradients."""
FLAG = f"--use_fsdp or {FSDP}"
OPTIMISERS = ("adamw", "adamax", "radam", "sgd", "adadelta")  # that compute element by element


def refuse_unsuitable(recipe: Recipe) -> None:
    """Refuse what needs whole weights during training.

    Raises:
        InputError: a method, optimiser or precision that does.
    """
    given = [key for key in WHOLE if getattr(recipe, key) is not None]
    given += [f"tasks.{name}.lora" for name, options in recipe.tasks.items() if options.lora]
    given += [f"optim: {recipe.optim}"] if recipe.optim not in OPTIMISERS else []
    given += ["fp16"] if recipe.fp16 else []
    if given:
        fix = f"leave it out, or launch without {FLAG} (DDP)"
        raise InputError(f"{given[0]} with FSDP", expected="whole weights in each process, which it needs", fix=fix)


class DividedProcesses(Processes):
    """Processes that each hold a part of the encoder's layers."""

    def trained(self, model: MultiTaskModel) -> MultiTaskModel:
        """A copy of a model whose layers are divided among all processes; the model itself goes to the CPU.

        Raises:
            InputError: a frozen encoder, or one without layers.
        """
        if model.encoder.frozen:
            fix = f"launch without {FLAG}"
            raise InputError("FSDP with a frozen encoder", expected="one that is trained", fix=fix)
        trained = copy.deepcopy(model, {id(model.processor): model.processor})
        mesh = init_device_mesh(self.device.type, (self.num_processes,))
        for layer in layer_list(trained.encoder)[1]:
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        divided = [name for name, weight in trained.named_parameters() if isinstance(weight, DTensor)]
        trained._ddp_params_and_buffers_to_ignore = divided  # type: ignore[assignment]  # DDP's own name for it
        model.to("cpu")
        return trained

    @contextlib.contextmanager
    def no_sync(self, model: nn.Module) -> Iterator[None]:
        """Within this context gradients are added up in each process, and not exchanged."""
        parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.set_requires_gradient_sync(False, recurse=False)
        with super().no_sync(model):
            yield
        for part in parts:
            part.set_requires_gradient_sync(True, recurse=False)

    def clip_grad_norm_(self, parameters: Iterable[nn.Parameter], max_norm: float, norm_type: int = 2) -> Tensor:
        """Scale all gradients so that their common norm is at most ``max_norm``; divided ones count as a whole."""
        learning = [parameter for parameter in parameters if parameter.grad is not None]
        groups = [[p for p in learning if isinstance(p, DTensor) is divided] for divided in (False, True)]
        found = [[p.grad for p in group if p.grad is not None] for group in groups if group]
        norms = [self.whole(get_total_norm(gradients, norm_type)) for gradients in found]
        total = torch.stack(norms).norm(norm_type)
        for group in groups:
            clip_grads_with_norm_(group, max_norm, total)
        return total

    def whole(self, value: Any) -> Any:
        """A divided tensor, put together in every process; anything else as it is."""
        return value.full_tensor() if isinstance(value, DTensor) else value

    def like(self, value: Tensor, other: Tensor) -> Tensor:
        """A whole tensor, divided as another one of its shape is."""
        if not isinstance(other, DTensor) or value.shape != other.shape:
            return value
        return distribute_tensor(value.to(self.device), other.device_mesh, other.placements)

    @contextlib.contextmanager
    def gathered(self, trained: MultiTaskModel, model: MultiTaskModel) -> Iterator[None]:
        """Within this context ``model`` has the whole weights of ``trained``, on the device."""
        own = model.state_dict()
        for name, value in trained.state_dict().items():
            own[name].copy_(self.whole(value).detach())
        model.to(self.device)
        yield
        model.to("cpu")
