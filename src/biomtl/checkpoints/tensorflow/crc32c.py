"""CRC-32C (Castagnoli, RFC 3720), fast enough in numpy for checkpoints of a gigabyte.

The register of a CRC is linear over GF(2): starting from zero, ``a + b`` gives ``skip(crc(a), len(b)) ^ crc(b)``,
where ``skip`` feeds zero bytes. So a chunk is cut into rows of equal length, all rows are processed in parallel, one
column of 32-bit words at a time, and then neighbouring rows are combined pair by pair. Leading zero bytes change
nothing, so padding is free.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reflected
_ROW = 256  # bytes processed in sequence; more would leave too few parallel rows in small tensors
_CHUNK = 1 << 20  # bytes at a time; a chunk and its tables fit in the second-level cache
_MASK_DELTA = 0xA282EAD8

_Words = npt.NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of ``data`` (unmasked)."""
    state = 0xFFFFFFFF
    view = memoryview(data).cast("B")
    for start in range(0, len(view), _CHUNK):
        state = _feed(state, view[start : start + _CHUNK])
    return state ^ 0xFFFFFFFF


def masked(data: bytes | memoryview) -> int:
    """The CRC-32C of ``data`` as leveldb and TensorFlow store it: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _feed(state: int, chunk: memoryview) -> int:
    if len(chunk) < _ROW:
        table = _byte_table()
        for byte in chunk:
            state = (state >> 8) ^ table[(state ^ byte) & 0xFF]
        return state
    rows = -(-len(chunk) // _ROW)
    padded = np.zeros(rows * _ROW, dtype=np.uint8)
    first = len(padded) - len(chunk)
    padded[first:] = np.frombuffer(chunk, dtype=np.uint8)
    # A register holding s before bytes b... equals a zero register before (s ^ b)...
    padded[first : first + 4] ^= np.frombuffer(state.to_bytes(4, "little"), dtype=np.uint8)
    low, high = _skip_tables(4)
    registers = np.zeros(rows, dtype=np.uint32)
    for column in np.ascontiguousarray(padded.view("<u4").reshape(rows, -1).T):
        registers ^= column
        registers = low[registers & 0xFFFF] ^ high[registers >> 16]
    return _join(registers)


def _join(registers: _Words) -> int:
    """The register after all rows, given the registers after each row alone."""
    length = _ROW
    while len(registers) > 1:
        if len(registers) % 2:
            registers = np.concatenate([np.zeros(1, dtype=np.uint32), registers])
        low, high = _skip_tables(length)
        left, right = registers[0::2], registers[1::2]
        registers = low[left & 0xFFFF] ^ high[left >> 16] ^ right
        length *= 2
    return int(registers[0])


@functools.cache
def _byte_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [(value >> 1) ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table


@functools.cache
def _skip_tables(length: int) -> tuple[_Words, _Words]:
    """Tables of what ``length`` zero bytes (a power of two) turn a register's low and high 16 bits into."""
    low, high = _tabulate(_skip_bits(length))
    return low, high


@functools.cache
def _skip_bits(length: int) -> list[int]:
    """What ``length`` zero bytes turn each single bit of the register into."""
    if length == 1:
        table = _byte_table()
        return [(bit >> 8) ^ table[bit & 0xFF] for bit in (1 << i for i in range(32))]
    half = _skip_bits(length // 2)
    low, high = _tabulate(half)
    return [int(low[bit & 0xFFFF] ^ high[bit >> 16]) for bit in half]


def _tabulate(bits: list[int]) -> tuple[_Words, _Words]:
    tables = np.zeros((2, 1 << 16), dtype=np.uint32)
    for half, table in enumerate(tables):
        for i, image in enumerate(bits[16 * half : 16 * half + 16]):
            table[1 << i : 2 << i] = table[: 1 << i] ^ np.uint32(image)
    return tables[0], tables[1]
