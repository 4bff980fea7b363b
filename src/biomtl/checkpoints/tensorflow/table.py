"""The sorted string table (leveldb's layout) that holds a TensorBundle's index."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import read_varint, varint
from biomtl.errors import InputError

MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48  # bytes: two handles, padding, magic
_TRAILER = 5  # bytes after a block: its type and checksum
_BLOCK = 256 << 10  # bytes after which a data block is closed
_RESTART = 16  # entries that may share a prefix with the previous one
_AGAIN = "copy or download the file again"


def is_table(path: Path) -> bool:
    """Whether the file ends with a table's magic number (true of an index, and of a whole V1 checkpoint)."""
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell() < _FOOTER:
            return False
        stream.seek(-len(MAGIC), os.SEEK_END)
        return stream.read() == MAGIC


def read_table(path: Path) -> dict[bytes, bytes]:
    """Every key and value, in key order.

    Raises:
        InputError: no such file, not a table, or a damaged block.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, expected="the checkpoint's index") from error
    if len(data) < _FOOTER:
        raise InputError(f"a file of {len(data)} bytes", path=path, expected="a checkpoint index", fix=_AGAIN)
    if not data.endswith(MAGIC):
        problem = "no table magic number at its end"
        raise InputError(problem, path=path, expected="a checkpoint index", fix=f"it is truncated or damaged: {_AGAIN}")
    try:
        return dict(_entries(data))
    except ValueError as error:
        raise InputError(f"a damaged index ({error})", path=path, fix=_AGAIN) from error


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = data[-_FOOTER:]
    _, at = _handle(footer, 0)  # the metaindex, which is always empty
    index, _ = _handle(footer, at)
    last = None
    for _, value in _block(data, index):
        for key, entry in _block(data, _handle(value, 0)[0]):
            if last is not None and key <= last:
                raise ValueError("keys out of order")
            last = key
            yield key, entry


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (offset, size), at


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = handle
    stored = data[offset : offset + size + 1]
    checksum = data[offset + size + 1 : offset + size + _TRAILER]
    if len(checksum) < 4:
        raise ValueError("a block beyond the end of the file")
    if masked(stored) != int.from_bytes(checksum, "little"):
        raise ValueError(f"checksum of the block at byte {offset} does not match")
    content, compression = stored[:-1], stored[-1]
    if compression:  # only TensorFlow 1.1 compressed the index of a bundle, before there was a BERT
        raise ValueError("a compressed block, which TensorFlow hasn't written since its version 1.2")
    return _block_entries(content)


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block shorter than its restart array")
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        unshared, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + unshared + length > end:
            raise ValueError("an entry beyond its block")
        key = key[:shared] + block[at : at + unshared]
        yield key, block[at + unshared : at + unshared + length]
        at += unshared + length


def write_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A table of ``entries``, given in key order, in uncompressed blocks."""
    out = bytearray()
    index: list[tuple[bytes, bytes]] = []
    pending: list[tuple[bytes, bytes]] = []
    room = _BLOCK
    for key, value in entries:
        pending.append((key, value))
        room -= len(key) + len(value)
        if room < 0:
            index.append((key, _append(out, pending, _RESTART)))
            pending, room = [], _BLOCK
    if pending:
        index.append((_successor(pending[-1][0]), _append(out, pending, _RESTART)))
    footer = _append(out, [], _RESTART) + _append(out, index, 1)
    return bytes(out) + footer.ljust(_FOOTER - len(MAGIC), b"\0") + MAGIC


def _append(out: bytearray, entries: list[tuple[bytes, bytes]], restart_every: int) -> bytes:
    """Append one block; returns its handle."""
    block, restarts, last = bytearray(), [0], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_every:
            shared = next((j for j, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), len(last))
        elif i:
            restarts.append(len(block))
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + b"\0"
    handle = varint(len(out)) + varint(len(block) - 1)
    out += block + struct.pack("<I", masked(bytes(block)))
    return handle


def _successor(key: bytes) -> bytes:
    """A short key not below ``key``, which is all the index needs."""
    for i, byte in enumerate(key):
        if byte < 0xFF:
            return key[:i] + bytes([byte + 1])
    return key
