"""The checksum against the vectors of RFC 3720 and against the definition, bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomtl.checkpoints.tensorflow.crc32c import crc32c, masked


def by_definition(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_vectors(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@given(st.binary(max_size=16), st.integers(0, 3000))
def test_any_length_equals_the_definition(seed: bytes, length: int) -> None:
    data = ((seed or b"x") * (length // max(len(seed), 1) + 1))[:length]
    assert crc32c(data) == by_definition(data)


@pytest.mark.parametrize("length", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + 257])
def test_chunks_are_joined(length: int) -> None:
    data = bytes(i * 7919 % 251 for i in range(1000)) * (length // 1000 + 1)
    data = data[:length]
    flipped = bytearray(data)
    flipped[3] ^= 1
    assert crc32c(data) != crc32c(bytes(flipped))
    # The CRC of a message followed by its own CRC is the same constant for every message.
    assert crc32c(data + crc32c(data).to_bytes(4, "little")) == 0x48674BC7


def test_mask() -> None:
    assert masked(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) & 0xFFFFFFFF
