"""Sorted string tables: written and read, compressed blocks, and damage of every kind."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import varint
from biomtl.checkpoints.tensorflow.table import MAGIC, is_table, read_table, write_table
from biomtl.errors import InputError

ENTRIES = {f"bert/layer_{i:04d}/kernel".encode(): bytes([i % 256]) * (i % 40) for i in range(300)}
lenient = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@lenient
@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=50), max_size=60))
def test_what_is_written_is_read(tmp_path: Path, entries: dict[bytes, bytes]) -> None:
    (tmp_path / "t").write_bytes(write_table(sorted(entries.items())))
    assert read_table(tmp_path / "t") == entries
    assert is_table(tmp_path / "t")


def test_many_blocks(tmp_path: Path) -> None:
    entries = {f"{i:05d}".encode(): b"v" * 5000 for i in range(200)}
    (tmp_path / "t").write_bytes(write_table(sorted(entries.items())))
    assert read_table(tmp_path / "t") == entries


def test_a_compressed_block_is_refused(tmp_path: Path) -> None:
    block = b"whatever" + bytes([1])  # type 1: snappy
    stored = block + masked(block).to_bytes(4, "little")
    handle = varint(0) + varint(len(block) - 1)
    footer = varint(0) + varint(0) + handle
    (tmp_path / "t").write_bytes(stored + footer.ljust(40, b"\0") + MAGIC)
    with pytest.raises(InputError, match="a compressed block, which TensorFlow hasn't written"):
        read_table(tmp_path / "t")


@lenient
@given(st.data())
def test_damage_is_one_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    whole = write_table(sorted(ENTRIES.items()))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.booleans())
    (tmp_path / "t").write_bytes(damaged[:at] if cut else damaged)
    with contextlib.suppress(InputError):
        assert read_table(tmp_path / "t") == ENTRIES  # padding of the footer means nothing
        assert not cut


@lenient
@given(st.binary(max_size=200))
def test_any_bytes_before_the_magic(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "t").write_bytes(junk + MAGIC)
    with pytest.raises(InputError):
        read_table(tmp_path / "t")
