"""Multi-task learning for biomedical text mining.

Heavy modules are imported on first use, so that ``biomtl --help`` and ``biomtl score`` need no torch. The file
``__init__.pyi`` gives editors and type checkers the same names with their types.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Annotator": "biomtl.inference.annotate",
    "Document": "biomtl.formats.model",
    "InputError": "biomtl.errors",
    "Mention": "biomtl.formats.model",
    "MultiTaskModel": "biomtl.model",
    "Predictor": "biomtl.inference.predictor",
    "Recipe": "biomtl.training.recipe",
    "Relation": "biomtl.formats.model",
    "Result": "biomtl.inference.predictor",
    "Run": "biomtl.training.run",
    "Score": "biomtl.scoring.result",
    "Suite": "biomtl.suite",
    "Task": "biomtl.tasks",
    "from_frame": "biomtl.frames",
    "get_task": "biomtl.tasks",
    "load_suite": "biomtl.suite",
    "score": "biomtl.scoring",
    "to_frame": "biomtl.frames",
    "train": "biomtl.study.stages",
}
__all__ = sorted([*_LAZY, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'biomtl' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
