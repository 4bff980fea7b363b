"""Tensors on disk: safetensors only, and a full disk is an ``OSError`` like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from biomtl.errors import InputError


@contextlib.contextmanager
def disk_errors(target: str | Path) -> Iterator[None]:
    """Within this block any failed write of safetensors is an ``OSError`` that names ``target``."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{target}: {' '.join(str(error).split())}") from error


def refuse_nonfinite(tensors: Iterable[tuple[str, Tensor]], path: str | Path | None) -> None:
    """Refuse weights with NaN or infinite values, whose outputs would be just as meaningless.

    Raises:
        InputError: names the first such tensor.
    """
    for name, value in tensors:
        if value.is_floating_point() and not value.is_meta and not bool(torch.isfinite(value).all()):
            problem = f"{name} holds values that are not finite (NaN or infinite)"
            raise InputError(problem, path=path, expected="finite weights", fix="take the weights from elsewhere")


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors of any device."""
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
