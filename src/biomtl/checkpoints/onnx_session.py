"""The file names of an exported folder, and onnxruntime sessions for its graph."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from biomtl.errors import InputError

FILE = "model.onnx"
FACTS = "onnx.json"


def output_names(tasks: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """The outputs of a graph: the tasks' names, kept apart from inputs of the same name."""
    return [f"{name}.logits" if name in inputs else name for name in tasks]


def open_session(path: Path) -> Any:
    """An onnxruntime session on the CPU.

    Raises:
        InputError: onnxruntime isn't installed.
    """
    need("onnxruntime")
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def need(*packages: str) -> None:
    """Raise if a package of the extra ``onnx`` isn't installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed", fix="run `pip install biomtl[onnx]`")
