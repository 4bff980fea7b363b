"""Reading the variables of a TensorFlow V2 checkpoint (a TensorBundle), each checked against its checksum."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biomtl.checkpoints.tensorflow import slices
from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import Entry, decode_entry, decode_header, read_varint
from biomtl.checkpoints.tensorflow.table import read_table
from biomtl.errors import InputError

_STRING, _BFLOAT16 = 7, 14
_DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", _STRING: "O", 8: "<c8", 9: "<i8", 10: "|b1",
    _BFLOAT16: "<u2", 17: "<u2", 18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
DTYPE_CODES = {np.dtype(name): code for code, name in _DTYPES.items() if code not in (_STRING, _BFLOAT16)}
_AGAIN = "copy or download the checkpoint again"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Variable:
    """What the index says about a variable, without its data; ``dtype`` is that of the array returned by ``read``."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Bundle:
    """The variables of the checkpoint at ``prefix`` (``PREFIX.index`` and ``PREFIX.data-KKKKK-of-NNNNN``).

    Opening it reads the index and checks the sizes of the data files; ``read`` reads one variable.

    Raises:
        InputError: damaged or missing index, missing or short data file, a big-endian or newer format.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        self.index = Path(f"{prefix}.index")
        self._entries: dict[str, Entry] = {}
        self._parts: dict[bytes, Entry] = {}
        table = read_table(self.index)
        if b"" not in table:
            raise InputError("no header entry", path=self.index, expected="the index of a TensorFlow checkpoint")
        try:
            header = decode_header(table.pop(b""))
            for key, value in table.items():
                if key.startswith(b"\0"):
                    self._parts[key] = decode_entry(value)
                else:
                    self._entries[key.decode("utf-8")] = decode_entry(value)
        except ValueError as error:
            raise InputError(f"a damaged index ({error})", path=self.index, fix=_AGAIN) from error
        if header.endianness != 0:
            fix = "save it again on a little-endian machine"
            raise InputError("a big-endian checkpoint", path=self.index, expected="little-endian", fix=fix)
        if header.min_consumer > 1:
            problem = f"bundle format {header.min_consumer}"
            raise InputError(problem, path=self.index, expected="format 1, which TensorFlow 1 and 2 write")
        self._shards = header.num_shards
        self._check_files()
        self.variables = {name: self._variable(name, entry) for name, entry in self._entries.items()}

    def read(self, name: str) -> Array:
        """The variable's values in C order, little-endian; bfloat16 as float32, strings as an array of ``bytes``.

        Raises:
            InputError: checksum, size or slices don't match; the message names the variable.
        """
        entry = self._entries[name]
        if not entry.slices:
            return self._tensor(name, entry)
        parts = []
        for extents in entry.slices:
            piece = self._parts.get(slices.encode_key(name, extents))
            if piece is None:
                problem = f"variable {name}: the slice at {extents} is missing"
                raise InputError(problem, path=self.index, fix=_AGAIN)
            if piece.dtype != entry.dtype:
                raise InputError(f"variable {name}: slices of different types", path=self.index, fix=_AGAIN)
            parts.append((extents, self._tensor(name, piece)))
        try:
            return slices.join(entry.shape, parts)
        except ValueError as error:
            raise InputError(f"variable {name}: {error}", path=self.index, fix=_AGAIN) from error

    def shard(self, number: int) -> Path:
        """The data file of shard ``number``."""
        return Path(f"{self.prefix}.data-{number:05d}-of-{self._shards:05d}")

    def data_files(self) -> list[Path]:
        """All data files."""
        return [self.shard(number) for number in range(self._shards)]

    def _check_files(self) -> None:
        """Fail early, and also for unused variables, if a data file is missing or too short."""
        sizes: dict[int, int] = {}
        named: Counter[int] = Counter()
        ends: Counter[int] = Counter()
        for name, entry in [*self._entries.items(), *((_part_name(key), piece) for key, piece in self._parts.items())]:
            if entry.slices:
                continue
            if not 0 <= entry.shard < self._shards or entry.offset < 0 or entry.size < 0:
                raise InputError(f"variable {name} is in no data file", path=self.index, fix=_AGAIN)
            path = self.shard(entry.shard)
            if entry.shard not in sizes:
                if not path.is_file():
                    fix = f"the checkpoint has {self._shards} data file(s): copy all of them"
                    raise InputError(f"no such file, but variable {name} is in it", path=path, fix=fix)
                sizes[entry.shard] = path.stat().st_size
            end = entry.offset + entry.size
            if end > sizes[entry.shard]:
                problem = f"{sizes[entry.shard]} bytes, but variable {name} ends at byte {end}"
                raise InputError(problem, path=path, fix=f"the file is truncated: {_AGAIN}")
            ends[entry.shard] = max(ends[entry.shard], end)
            named[entry.shard] += entry.size
            if named[entry.shard] > sizes[entry.shard]:  # else a small file could stand for any amount of values
                raise InputError(f"variable {name} shares its data with others", path=path, fix=_AGAIN)
        for number, end in ends.items():  # TensorFlow writes nothing after the last variable
            if end < sizes[number]:
                problem = f"{sizes[number]} bytes, but its last variable ends at byte {end}"
                raise InputError(problem, path=self.shard(number), fix=_AGAIN)

    def _variable(self, name: str, entry: Entry) -> Variable:
        dtype = self._dtype(name, entry)
        return Variable(name, np.dtype("<f4") if entry.dtype % 100 == _BFLOAT16 else dtype, entry.shape)

    def _dtype(self, name: str, entry: Entry) -> np.dtype[Any]:
        code = entry.dtype % 100  # a reference type's code is the value type's plus 100
        if code not in _DTYPES:
            problem = f"variable {name}: unknown data type {entry.dtype}"
            raise InputError(problem, path=self.index, expected="numbers, booleans or strings")
        return np.dtype(_DTYPES[code])

    def _tensor(self, name: str, entry: Entry) -> Array:
        path, dtype = self.shard(entry.shard), self._dtype(name, entry)
        with path.open("rb") as stream:
            stream.seek(entry.offset)
            raw = stream.read(entry.size)
        if dtype.kind == "O":
            return _strings(name, raw, entry, path)
        expected = math.prod(entry.shape) * dtype.itemsize
        if len(raw) != expected:
            problem = f"variable {name}: {len(raw)} bytes for shape {list(entry.shape)}"
            raise InputError(problem, path=path, expected=f"{expected} bytes", fix=_AGAIN)
        if masked(raw) != entry.crc & 0xFFFFFFFF:
            raise _bad_checksum(name, path)
        if entry.dtype % 100 == _BFLOAT16:
            raw, dtype = (np.frombuffer(raw, "<u2").astype("<u4") << 16).tobytes(), np.dtype("<f4")
        return np.frombuffer(raw, dtype=dtype).reshape(entry.shape)


def _strings(name: str, raw: bytes, entry: Entry, path: Path) -> Array:
    """A string tensor: the lengths as varints, their checksum, then the strings."""
    count, at, lengths = math.prod(entry.shape), 0, []
    try:
        if count > len(raw):
            raise ValueError("more strings than bytes")
        for _ in range(count):
            length, at = read_varint(raw, at)
            lengths.append(length)
        fixed = np.array(lengths, dtype="<u4").tobytes()
    except (ValueError, OverflowError) as error:
        raise InputError(f"variable {name}: damaged strings ({error})", path=path, fix=_AGAIN) from error
    checksum, texts = raw[at : at + 4], raw[at + 4 :]
    if checksum != masked(fixed).to_bytes(4, "little") or masked(fixed + raw[at:]) != entry.crc & 0xFFFFFFFF:
        raise _bad_checksum(name, path)
    values, start = np.empty(count, dtype=object), 0
    for i, length in enumerate(lengths):
        values[i] = texts[start : start + length]
        start += length
    return values.reshape(entry.shape)


def _bad_checksum(name: str, path: Path) -> InputError:
    return InputError(f"variable {name}: the checksum does not match the data", path=path, fix=f"damaged: {_AGAIN}")


def _part_name(key: bytes) -> str:
    return slices.decode_name(key) or repr(key)
