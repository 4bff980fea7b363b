"""Models where an engine is needed."""

from __future__ import annotations

from biomtl.inference.engines.base import Engine
from biomtl.inference.engines.torch import TorchEngine
from biomtl.model import MultiTaskModel

Model = MultiTaskModel | Engine


def as_engine(model: Model, *, bf16: bool = False) -> Engine:
    """An engine, unchanged, or a model wrapped in the torch engine.

    Args:
        model: either.
        bf16: whether torch computes in bfloat16.
    """
    return TorchEngine(model, bf16=bf16) if isinstance(model, MultiTaskModel) else model
