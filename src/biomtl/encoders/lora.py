"""Low-rank adapters in an encoder's linear layers, through PEFT; saved and returned as plain weights."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from biomtl.errors import InputError


def add_lora(encoder: nn.Module, *, rank: int, alpha: float, dropout: float, attention_only: bool) -> None:
    """Put adapters into the linear layers of the encoder's layers; all else in it is frozen, except a pooler.

    LoRA of Hu et al. (2021, arXiv 2106.09685): a layer computes ``W x + alpha / rank * B A x`` and learns A and B.

    Raises:
        InputError: peft isn't installed, or the encoder is not a transformer or has no layers.
    """
    peft = _peft()
    names, network = linear_layers(encoder)
    if attention_only:
        names = [name for name in names if "att" in name.lower()]
        if not names:
            problem = "lora: the encoder's attention has no linear layers for attention_only"
            raise InputError(problem, fix="leave lora.attention_only out")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names)
    peft.inject_adapter_in_model(config, network)
    for name, weight in network.named_parameters():
        if "pooler." in name:
            weight.requires_grad_(True)


def linear_layers(encoder: nn.Module) -> tuple[list[str], Any]:
    """The names of the linear layers in the encoder's layers, and the network that they are of.

    Raises:
        InputError: the encoder is not a transformer or has no layers.
    """
    network: Any = getattr(encoder, "network", None)
    lists = [(n, m) for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and n.startswith("network.")]
    if not hasattr(network, "get_input_embeddings") or not lists:
        raise InputError("lora: the encoder is not a transformer", fix="leave lora out")
    prefix, _ = max(lists, key=lambda entry: sum(weight.numel() for weight in entry[1].parameters()))
    inside = f"{prefix.removeprefix('network.')}."
    return [n for n, m in network.named_modules() if isinstance(m, nn.Linear) and n.startswith(inside)], network


def without_lora(network: Any) -> Any:
    """The network with adapters added to its weights: the network itself if it has none, otherwise a copy."""
    if not any(True for _ in _adapted(network)):
        return network
    plain = copy.deepcopy(network)
    merge_lora(plain)
    return plain


def merge_lora(network: nn.Module) -> None:
    """Add the adapters of a network to its weights, and take them out."""
    for name, layer in list(_adapted(network)):
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer.get_base_layer())


def _adapted(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers with adapters, found without importing PEFT."""
    for name, module in network.named_modules():
        if hasattr(module, "get_base_layer") and hasattr(module, "lora_A"):
            yield name, module


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise InputError("lora needs peft", fix='pip install "biomtl[lora]"') from error
