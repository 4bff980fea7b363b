"""Tensors on disk: safetensors only, and a full disk is an ``OSError`` like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from biomtl.errors import InputError

ELSEWHERE = "take the weights from elsewhere"


@contextlib.contextmanager
def disk_errors(target: str | Path) -> Iterator[None]:
    """Within this block any failed write of safetensors is an ``OSError`` that names ``target``."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{target}: {' '.join(str(error).split())}") from error


def refuse_nonfinite(
    tensors: Iterable[tuple[str, Tensor | NDArray[Any]]], path: str | Path | None, *, fix: str = ELSEWHERE
) -> None:
    """Refuse weights with NaN or infinite values, whose outputs would be just as meaningless.

    Args:
        tensors: names, as the source has them, and values.
        path: the source, for the message; ``None`` if the weights are only in memory.
        fix: what the user can do.

    Raises:
        InputError: names the first such tensor.
    """
    for name, value in tensors:
        if isinstance(value, Tensor):
            finite = not value.is_floating_point() or value.is_meta or bool(torch.isfinite(value).all())
        else:
            finite = bool(np.isfinite(value).all())
        if not finite:
            problem = f"{name} holds values that are not finite (NaN or infinite)"
            raise InputError(problem, path=path, expected="finite weights", fix=fix)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors of any device; one that has two names, such as T5's embeddings, is written under both."""
    written: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        plain = value.detach().cpu().contiguous()
        written[name] = plain.clone() if plain.data_ptr() in seen else plain  # the format has no shared memory
        seen.add(plain.data_ptr())
    save_file(written, path)
