"""Tensors on disk: safetensors only, and a full disk is an ``OSError`` like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


@contextlib.contextmanager
def disk_errors(target: str | Path) -> Iterator[None]:
    """Within this block a failed write of safetensors, whoever made it, is an ``OSError`` that names ``target``."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{target}: {' '.join(str(error).split())}") from error


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors of any device."""
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
