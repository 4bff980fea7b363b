"""A frozen biLM's layers, computed once per sentence and kept on disk.

A store is a folder for one set of weights and one number format:

- ``store.json`` says which;
- ``data.bin`` holds sentence after sentence, appended;
- ``index.bin`` holds one fixed-size record per sentence (key, offset, words, checksum of the data, checksum of the
  record), appended after the data has reached the disk. Data without a complete record is ignored, so a killed process
  loses its last sentences and nothing else.

Readers need no lock, since they only use complete records. Writers take turns with a file lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from biomtl.encoders.elmo.network import Elmo
from biomtl.storage.files import write_json

FORMAT = 1  # increased when the layers' values or their layout on disk change
RECORD = struct.Struct("<16sQIII")  # key, offset, words, checksum of data, checksum of record
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
DEFAULT_LIMIT = 32 * 10**9
DISK_MARGIN = 10**9  # bytes of disk space that are always left free

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What filling a store would take; ``str()`` gives the line to print before it starts.

    Attributes:
        sentences: number of sentences in the run.
        missing: how many of them have to be computed.
        bytes: the bytes that these would add.
        room: the bytes that may still be added.
        folder: the store's folder.
    """

    sentences: int
    missing: int
    bytes: int
    room: int
    folder: Path

    def __str__(self) -> str:
        if not self.missing:
            return f"ELMo activations: all {self.sentences:,} sentences are in {self.folder}"
        text = f"ELMo activations: computing {self.missing:,} of {self.sentences:,} sentences"
        text += f", {_size(self.bytes)} into {self.folder}"
        if self.bytes > self.room:
            text += f"; only {_size(self.room)} may be added, the rest is computed again in every epoch"
        return text


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int
    words: int
    checksum: int


class ActivationStore:
    """Layers of sentences by key, in memory-mapped files that processes share.

    Args:
        root: folder of the stores; each model and format has its own inside.
        model: the biLM whose layers are kept.
        dtype: ``bf16`` (half the space; rounds to 8 bits of mantissa) or ``fp32``.
        limit: maximum size of ``data.bin`` in bytes; sentences beyond it aren't kept.

    Attributes:
        full: whether nothing more will be kept.
    """

    def __init__(self, root: str | Path, model: Elmo, *, dtype: str = "bf16", limit: int = DEFAULT_LIMIT) -> None:
        self.dtype, self.limit = DTYPES[dtype], limit
        options = model.options
        self.half = options.lstm.projection_dim
        # Layer 0 is the word's vector twice: once is enough.
        self.width = self.half * (2 * options.layers - 1)
        weights = fingerprint(model)
        self.folder = Path(root) / f"{weights[:16]}-{dtype}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data, self._index = self.folder / "data.bin", self.folder / "index.bin"
        self._lock = FileLock(self.folder / "lock")
        self._entries: dict[bytes, _Entry] = {}
        self._trusted: set[bytes] = set()
        self._warned = False
        self._read = 0  # bytes of index.bin read so far
        self._map: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.full = False
        with self._lock:
            self._claim({"format": FORMAT, "weights": weights, "dtype": dtype, "width": self.width})
            self._refresh()
            self._repair()

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def plan(self, sentences: Sequence[tuple[bytes, int]]) -> Plan:
        """What it would take to keep these ``(key, words)``."""
        self._refresh()
        missing = {key: words for key, words in sentences if key not in self._entries}
        needed = sum(missing.values()) * self._row_bytes
        return Plan(len(sentences), len(missing), needed, self._room(), self.folder)

    def read(self, key: bytes, into: Tensor) -> bool:
        """Copy a sentence's layers into ``[words, layers * 2 * projection_dim]``; false if the sentence isn't kept."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        end = entry.offset + entry.words * self._row_bytes
        if end > len(self._map):
            self._remap()
        if end > self._size():  # truncated since; reading a lost part of a memory map would kill the process
            return self._damaged(key)
        raw = self._map[entry.offset : end]
        if key not in self._trusted:
            if len(raw) < end - entry.offset or zlib.crc32(raw.data) != entry.checksum:
                return self._damaged(key)
            self._trusted.add(key)
        rows = torch.from_numpy(raw).view(self.dtype).view(entry.words, self.width)
        into[:, : self.half], into[:, self.half :] = rows[:, : self.half], rows
        return True

    def _damaged(self, key: bytes) -> bool:
        del self._entries[key]
        self._map = np.empty(0, np.uint8)  # the file may be another one by now
        if not self._warned:  # once: a file may be damaged from end to end
            log.warning("%s is damaged, the damaged sentences are computed again", self._data)
        self._warned = True
        return False

    def add(self, sentences: Iterable[tuple[bytes, Tensor]]) -> None:
        """Keep layers ``[layers, words, 2 * projection_dim]`` by key; sentences that are already kept are skipped."""
        if self.full:
            return
        with self._lock:
            self._refresh()
            self._repair()  # another writer may have been killed; records behind a broken one could not be read
            start = self._size()
            try:
                records = self._append(sentences, self._room())
                with self._index.open("ab") as index:
                    index.write(b"".join(records))
                    _sync(index)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.truncate(self._data, start)
                self._stop(f"writing failed ({error.strerror or error})")
            self._refresh()

    def _append(self, sentences: Iterable[tuple[bytes, Tensor]], room: int) -> list[bytes]:
        """Write the data and return its records, which the caller writes once the data is on the disk."""
        records: dict[bytes, bytes] = {}
        with self._data.open("ab") as data:
            # Always at the file's end: data that an older record points to is never overwritten.
            for key, layers in sentences:
                if key in self._entries or key in records:
                    continue
                raw = self._fold(layers).tobytes()
                if len(raw) > room:
                    self._stop(f"it has reached its limit ({_size(self.limit)}) or the disk's room")
                    break
                records[key] = _record(key, data.tell(), layers.shape[1], zlib.crc32(raw))
                data.write(raw)
                room -= len(raw)
            _sync(data)
        return list(records.values())

    @property
    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def _fold(self, layers: Tensor) -> NDArray[np.uint8]:
        rows = torch.cat([layers[0, :, : self.half], *layers[1:]], dim=1)
        return rows.to("cpu", self.dtype).contiguous().view(torch.uint8).numpy()

    def _claim(self, identity: dict[str, object]) -> None:
        """Take the folder for these weights; data of other weights or of an older format is deleted."""
        about = self.folder / "store.json"
        try:
            written = json.loads(about.read_text(encoding="utf-8"))
        except FileNotFoundError:
            written = None
        except (ValueError, OSError):
            written = "unreadable"
        if written == identity:
            return
        if written is not None:
            log.warning("%s: the store was written by other weights and is computed again", self.folder)
            for path in (self._index, self._data):  # the index first: data without records is ignored
                path.unlink(missing_ok=True)
        write_json(about, identity)

    def _refresh(self) -> None:
        """Read the records that were appended since the last call."""
        try:
            with self._index.open("rb") as stream:
                stream.seek(self._read)
                raw = stream.read()
        except FileNotFoundError:
            return
        size = self._size()
        lost: set[bytes] = set()
        for start in range(0, len(raw) - RECORD.size + 1, RECORD.size):
            block = raw[start : start + RECORD.size]
            key, offset, words, checksum, own = RECORD.unpack(block)
            if zlib.crc32(block[:-4]) != own:
                break  # another process is writing it or was killed; `_repair` finds out which
            self._read += RECORD.size
            if offset + words * self._row_bytes > size:
                lost.add(key)
            else:
                self._entries[key] = _Entry(offset, words, checksum)
                self._trusted.discard(key)
        if lost := lost - self._entries.keys():
            log.warning("%s is truncated: %d sentences will be computed again", self._data, len(lost))

    def _repair(self) -> None:
        """Drop what follows the last complete record; the caller holds the lock."""
        if self._index.exists() and self._index.stat().st_size > self._read:
            log.warning("%s ends in a broken record; the sentences from there on are computed again", self._index)
            os.truncate(self._index, self._read)

    def _size(self) -> int:
        return self._data.stat().st_size if self._data.exists() else 0

    def _room(self) -> int:
        disk = shutil.disk_usage(self.folder).free - DISK_MARGIN
        return max(0, min(self.limit - self._size(), disk))

    def _remap(self) -> None:
        try:
            # Copy-on-write, since torch wants writable memory; nothing is written.
            self._map = np.memmap(self._data, dtype=np.uint8, mode="c")
        except (OSError, ValueError):  # the file was removed or emptied: its sentences count as damaged
            self._map = np.empty(0, np.uint8)

    def _stop(self, reason: str) -> None:
        self.full = True
        log.warning("%s: %s; further sentences are computed whenever they are needed", self.folder, reason)


def default_folder() -> Path:
    """The default folder of all stores."""
    return Path(os.environ.get("BIOMTL_CACHE") or Path.home() / ".cache" / "biomtl") / "elmo"


def fingerprint(model: Elmo) -> str:
    """SHA-256 of everything that a model's layers depend on: options, weights and their types."""
    digest = hashlib.sha256(model.options.model_dump_json().encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def sentence_key(ids: NDArray[np.int16]) -> bytes:
    """The key of a sentence: a 16-byte hash of its character ids ``[words, size]``."""
    return hashlib.blake2b(ids.tobytes(), digest_size=16).digest()


def _record(key: bytes, offset: int, words: int, checksum: int) -> bytes:
    body = RECORD.pack(key, offset, words, checksum, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.2f} MB"


def _sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
