"""The recipe's optimiser with the usual parameter groups, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from biomtl.encoders.base import Encoder
from biomtl.encoders.lora import add_lora, linear_layers
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.tasks.types.base import type_of
from biomtl.training.methods import Method, make_methods
from biomtl.training.methods.thawing import freeze_layers
from biomtl.training.optimisers import OPTIMISERS
from biomtl.training.plateau import Plateau
from biomtl.training.recipe import Recipe

OF_TRAINED_ENCODERS = ("layer_decay", "gradual_thawing", "frozen_layers", "gradient_aggregation", "smart")
GAMMA = 0.95  # of an exponential schedule, per epoch


def build_optimiser(model: MultiTaskModel, recipe: Recipe, methods: Iterable[Method] = ()) -> torch.optim.Optimizer:
    """The recipe's optimiser, no decay on biases, norms and scalars; heads may have their own rate.

    Each group notes as ``factor`` what the methods make of its rate.
    """
    groups: dict[tuple[bool, bool, float, type], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            # A pooler is treated like a head, since some encoders' pooler was never trained.
            is_head = name.startswith("heads.") or ".pooler." in name
            factor = math.prod(method.rate(name) for method in methods)
            kind = type(parameter)  # one operation for many takes whole tensors or divided ones, not both
            groups.setdefault((is_head, parameter.ndim >= 2, factor, kind), []).append(parameter)
    return OPTIMISERS[recipe.optim](
        [
            {
                "params": parameters,
                "lr": ((recipe.head_learning_rate or recipe.learning_rate) if is_head else recipe.learning_rate)
                * factor,
                "weight_decay": recipe.weight_decay if decays else 0.0,
                "factor": factor,
            }
            for (is_head, decays, factor, _), parameters in groups.items()
        ],
        recipe,
    )


def build_schedule(optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Any:
    """Warm-up, then the recipe's schedule to the last step."""

    warmup = recipe.warmup_steps if recipe.warmup_steps is not None else round((recipe.warmup_ratio or 0) * steps)
    name = recipe.lr_scheduler_type
    given: dict[str, Any] = {"num_warmup_steps": warmup, "num_training_steps": steps}
    if name in ("exponential", "multi_step"):
        per_epoch = steps / (recipe.num_train_epochs or 1)
        gamma = recipe.lr_gamma or (GAMMA if name == "exponential" else 0.1)
        return LambdaLR(optimiser, partial(_stepwise, warmup, per_epoch, gamma, recipe.lr_milestones))
    if name == "plateau":
        return LambdaLR(optimiser, Plateau(warmup, recipe.lr_gamma or 0.5, recipe.lr_patience))
    if name == "polynomial":
        given["scheduler_specific_kwargs"] = {"power": recipe.lr_power, "lr_end": 0.0}
    return get_scheduler("constant_with_warmup" if name == "constant" else name, optimiser, **given)


def _stepwise(warmup: int, per_epoch: float, gamma: float, milestones: Sequence[int] | None, step: int) -> float:
    """The factor of a rate that falls by ``gamma`` after every epoch, or after those that are milestones."""
    epoch = int(step / per_epoch + 1e-9)
    falls = epoch if milestones is None else sum(epoch >= milestone for milestone in milestones)
    return min(1.0, step / warmup if warmup else 1.0) * gamma**falls


def current_rate(groups: Sequence[Mapping[str, Any]]) -> float:
    """The rate that a step is taken with: the encoder's where it is trained, as no method has changed it."""
    return next((group["lr"] for group in groups if group["factor"] == 1.0), groups[0]["lr"])


def configure(model: MultiTaskModel, recipe: Recipe) -> None:
    """Set dropout, a frozen encoder and checkpointing according to the recipe.

    Raises:
        InputError: the encoder has no gradient checkpointing, or a method doesn't suit the model.
    """
    refuse_for_encoder(recipe, model.encoder)
    if recipe.dropout is not None:
        set_dropout(model, recipe.dropout)
    if recipe.head_dropout is not None:
        set_dropout(model.heads, recipe.head_dropout)
    for name, options in recipe.tasks.items():
        if options.dropout is not None:
            set_dropout(model.head(name), options.dropout)
        if options.loss_scale == "score" and type_of(model.tasks[name]).answer != "score":
            problem = f"task {name}: loss_scale score for type {model.tasks[name].type}"
            raise InputError(problem, expected="a task of scores (regression)", fix="leave it out, or set weight")
    if recipe.freeze_encoder is not None:
        model.encoder.requires_grad_(not recipe.freeze_encoder)
    if recipe.lora is not None:
        add_lora(model.encoder, **recipe.lora.model_dump())
    if recipe.frozen_layers is not None:
        freeze_layers(model, recipe.frozen_layers)
    if recipe.gradient_checkpointing:
        if not model.one_pass:
            problem = "gradient_checkpointing with a task's own low-rank adapters, which are missing when it recomputes"
            raise InputError(problem, fix="leave gradient_checkpointing or tasks.NAME.lora out")
        try:
            model.encoder.gradient_checkpointing()
        except ValueError as error:
            raise InputError(str(error), fix="set gradient_checkpointing: false") from error
    make_methods(recipe, model)


def refuse_for_encoder(recipe: Recipe, encoder: Encoder) -> None:
    """Refuse methods that the encoder can't take; asked before data are read, too.

    Raises:
        InputError: ``lora`` in an encoder that isn't a transformer, or a method that changes a frozen encoder.
    """
    if recipe.lora is not None:
        linear_layers(encoder)
    if encoder.frozen if recipe.freeze_encoder is None else recipe.freeze_encoder:
        for key in OF_TRAINED_ENCODERS:
            if getattr(recipe, key) is not None:
                fix = f"set freeze_encoder: false, or leave out {key}"
                raise InputError(f"{key} with a frozen encoder", expected="one that is trained", fix=fix)


def set_dropout(model: torch.nn.Module, probability: float) -> None:
    """Give every dropout layer the same probability, and also attention that keeps its own as a number."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability  # type: ignore[assignment]
        elif isinstance(getattr(module, "dropout_prob", None), float):  # its name in transformers 4
            module.dropout_prob = probability  # type: ignore[assignment]
        elif hasattr(module, "relative_attention_num_buckets") and isinstance(module.dropout, float):  # T5's
            module.dropout = probability  # type: ignore[assignment]
