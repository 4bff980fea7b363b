"""Engines that compute a model's outputs: torch, or an exported graph under onnxruntime."""

from biomtl.inference.engines.base import Engine
from biomtl.inference.engines.wrap import Model, as_engine

__all__ = ["Engine", "Model", "as_engine"]
