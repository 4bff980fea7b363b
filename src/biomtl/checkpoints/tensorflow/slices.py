"""Partitioned variables: the keys of their slices (OrderedCode) and assembling the slices into one tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from biomtl.checkpoints.tensorflow.protos import Extent


def encode_key(name: str, extents: tuple[Extent, ...]) -> bytes:
    """The index key of the slice of variable ``name`` at ``extents`` (start and length along each axis)."""
    text = name.encode("utf-8").replace(b"\xff", b"\xff\x00").replace(b"\0", b"\0\xff") + b"\0\1"
    numbers = b"".join(_signed(start) + _signed(length) for start, length in extents)
    return _unsigned(0) + text + _unsigned(len(extents)) + numbers


def decode_name(key: bytes) -> str:
    """The variable's name in a slice's key; only for error messages."""
    text = key[1:].split(b"\0\1")[0].replace(b"\0\xff", b"\0").replace(b"\xff\x00", b"\xff")
    return text.decode("utf-8", "replace")


def join(shape: tuple[int, ...], parts: list[tuple[tuple[Extent, ...], npt.NDArray[Any]]]) -> npt.NDArray[Any]:
    """The tensor of ``shape`` assembled from its slices.

    Raises:
        ValueError: the slices leave a gap, overlap or exceed the shape.
    """
    if sum(values.size for _, values in parts) != math.prod(shape):
        raise ValueError(f"its slices don't add up to shape {list(shape)}")
    whole = np.empty(shape, dtype=parts[0][1].dtype)
    filled = np.zeros(shape, dtype=bool)
    for extents, values in parts:
        if len(extents) != len(shape):
            raise ValueError(f"a slice of rank {len(extents)} for shape {list(shape)}")
        place = tuple(
            slice(0, size) if length < 0 else slice(start, start + length)
            for (start, length), size in zip(extents, shape, strict=True)
        )
        if any(span.start < 0 for span in place) or filled[place].shape != values.shape:
            raise ValueError(f"the slice at {extents} does not fit shape {list(shape)}")
        whole[place] = values
        filled[place] = True
    if not filled.all():
        raise ValueError("its slices overlap and leave a gap")
    return whole


def _unsigned(value: int) -> bytes:
    """OrderedCode of a number >= 0: a length byte, then the number big-endian."""
    width = (value.bit_length() + 7) // 8
    return bytes([width]) + value.to_bytes(width, "big")


def _signed(value: int) -> bytes:
    """OrderedCode of any number: as many leading ones as bytes, 7 payload bits per byte; negatives complemented."""
    if value < 0:
        return bytes(byte ^ 0xFF for byte in _signed(~value))
    width = value.bit_length() // 7 + 1
    header = ((1 << width) - 1) << (7 * width)  # the top `width` of 8 * width bits
    return (header | value).to_bytes(width, "big")
