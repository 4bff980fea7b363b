"""Multi-task learning for biomedical text mining.

Heavy modules are imported on first use, so that ``biomtl --help`` and ``biomtl score`` need no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "MultiTaskModel": "biomtl.model",
    "Predictor": "biomtl.inference.predictor",
    "Recipe": "biomtl.training.recipe",
    "Suite": "biomtl.suite",
    "Task": "biomtl.tasks",
    "get_task": "biomtl.tasks",
    "load_suite": "biomtl.suite",
    "score": "biomtl.scoring",
    "train": "biomtl.study.stages",
}
__all__ = sorted([*_LAZY, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'biomtl' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
