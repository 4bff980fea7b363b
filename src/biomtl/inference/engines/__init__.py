"""Engines that compute a model's outputs: torch, or an exported graph under onnxruntime."""

from biomtl.inference.engines.base import Engine, Model, as_engine

__all__ = ["Engine", "Model", "as_engine"]
