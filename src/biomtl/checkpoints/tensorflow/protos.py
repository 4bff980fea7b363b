"""The four protocol buffer messages of a TensorBundle index, and the varints beneath them.

Only what the format needs (proto3, tensor_bundle.proto and its imports): unknown fields are skipped by wire type.
Every function raises ``ValueError`` on malformed bytes; the caller knows which file to name.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Extent = tuple[int, int]  # start, length; (0, -1) is a whole dimension


@dataclass
class Header:
    """``BundleHeaderProto``, stored under the empty key."""

    num_shards: int = 1
    endianness: int = 0
    min_consumer: int = 0


@dataclass
class Entry:
    """``BundleEntryProto``: the location of a tensor or of a slice.

    ``crc`` is masked; a partitioned tensor has ``slices`` and no data of its own.
    """

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: list[tuple[Extent, ...]] = field(default_factory=list)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned varint at ``at`` and the position after it."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise ValueError("a number runs past the end")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number of over ten bytes")


def varint(value: int) -> bytes:
    """``value`` as a varint; a negative number takes ten bytes (64-bit two's complement)."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_header(data: bytes) -> Header:
    """Read a ``BundleHeaderProto``."""
    header = Header(num_shards=0)
    for number, value in _fields(data):
        if number == 1:
            header.num_shards = _signed(value)
        elif number == 2:
            header.endianness = _signed(value)
        elif number == 3:
            header.min_consumer = next((_signed(v) for n, v in _fields(_message(value)) if n == 2), 0)
    return header


def encode_header(header: Header) -> bytes:
    """Write a ``BundleHeaderProto`` of version 1."""
    version = _number(1, 1) + _number(2, header.min_consumer)
    return _number(1, header.num_shards) + _number(2, header.endianness) + _nested(3, version)


def decode_entry(data: bytes) -> Entry:
    """Read a ``BundleEntryProto``."""
    entry = Entry()
    for number, value in _fields(data):
        if number == 2:
            entry.shape = _decode_shape(_message(value))
        elif number == 7:
            entry.slices.append(_decode_slice(_message(value)))
        elif number in _ENTRY_NUMBERS:
            setattr(entry, _ENTRY_NUMBERS[number], _signed(value))
    return entry


def encode_entry(entry: Entry) -> bytes:
    """Write a ``BundleEntryProto``, byte for byte like TensorFlow (a scalar has an empty shape message)."""
    shape = b"".join(_nested(2, _number(1, size)) for size in entry.shape)
    out = _number(1, entry.dtype) + _nested(2, shape)
    out += _number(3, entry.shard) + _number(4, entry.offset) + _number(5, entry.size)
    if entry.crc:
        out += bytes([6 << 3 | _FIXED32]) + struct.pack("<I", entry.crc)
    for extents in entry.slices:
        encoded = (_number(1, start) + (_number(2, length) if length >= 0 else b"") for start, length in extents)
        out += _nested(7, b"".join(_nested(1, extent) for extent in encoded))
    return out


_ENTRY_NUMBERS = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "crc"}


def _decode_shape(data: bytes) -> tuple[int, ...]:
    dims = []
    for number, value in _fields(data):
        if number == 2:
            dims.append(next((_signed(v) for n, v in _fields(_message(value)) if n == 1), 0))
        elif number == 3 and value:
            raise ValueError("a tensor of unknown rank")
    if len(dims) > 32 or any(size < 0 for size in dims) or math.prod(max(size, 1) for size in dims) >> 60:
        raise ValueError("an impossible shape")
    return tuple(dims)


def _decode_slice(data: bytes) -> tuple[Extent, ...]:
    extents = []
    for number, value in _fields(data):
        if number == 1:
            parts = {n: _signed(v) for n, v in _fields(_message(value))}
            extents.append((parts.get(1, 0), parts.get(2, -1)))
    return tuple(extents)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = read_varint(data, at)
            fields.append((tag >> 3, value))
            continue
        if wire == _BYTES:
            size, at = read_varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("a field runs past the end")
        raw = data[at : at + size]
        fields.append((tag >> 3, raw if wire == _BYTES else int.from_bytes(raw, "little")))
        at += size
    return fields


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a message where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3 | _VARINT]) + varint(value) if value else b""


def _nested(number: int, message: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + varint(len(message)) + message
