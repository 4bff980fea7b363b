"""Sorted string tables: written and read, compressed blocks, and damage of every kind."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import varint
from biomtl.checkpoints.tensorflow.snappy import decompress
from biomtl.checkpoints.tensorflow.table import MAGIC, is_table, read_table, write_table
from biomtl.errors import InputError
from old_checkpoints import snappy

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


@given(st.lists(st.sampled_from([b"bert/", b"layer_0/", b"\0\xff", b"kernel", b"a" * 70]), max_size=60).map(b"".join))
def test_snappy(data: bytes) -> None:
    assert decompress(snappy(data)) == data


def test_snappy_blocks_are_read(tmp_path: Path) -> None:
    def entry(key: bytes, value: bytes) -> bytes:
        return varint(0) + varint(len(key)) + varint(len(value)) + key + value

    def stored(entries: bytes, kind: int) -> bytes:
        block = entries + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
        block = (snappy(block) if kind else block) + bytes([kind])
        return block + masked(block).to_bytes(4, "little")

    first = stored(b"".join(entry(key, value) for key, value in sorted(ENTRIES.items())), 1)
    handle = varint(0) + varint(len(first) - 5)
    index = stored(entry(b"zz", handle), 0)
    footer = varint(0) + varint(0) + varint(len(first)) + varint(len(index) - 5)
    (tmp_path / "t").write_bytes(first + index + footer.ljust(40, b"\0") + MAGIC)
    assert read_table(tmp_path / "t") == ENTRIES


@pytest.mark.parametrize(
    "data", [b"", b"\x05", b"\x05\xf0", b"\x04\x00a", b"\x04\x01\x01", b"\x04\x0dab\x01\x09", b"\xff\xff\xff\xff\x7f"]
)
def test_broken_snappy(data: bytes) -> None:
    with pytest.raises(ValueError):
        decompress(data)


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
