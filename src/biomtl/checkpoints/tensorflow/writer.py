"""Writing a TensorFlow V2 checkpoint in the layout of ``tf.compat.v1.train.Saver``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from biomtl.checkpoints.tensorflow.bundle import DTYPE_CODES, Array
from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import Entry, Header, encode_entry, encode_header
from biomtl.checkpoints.tensorflow.table import write_table
from biomtl.storage.files import atomic_file


def write_bundle(prefix: str | Path, variables: Mapping[str, Array]) -> None:
    """Write ``PREFIX.data-00000-of-00001`` and ``PREFIX.index``, with variables in name order, little-endian.

    Raises:
        ValueError: an array of a type for which TensorFlow has no code.
    """
    entries: list[tuple[bytes, bytes]] = [(b"", encode_header(Header()))]
    offset = 0
    with atomic_file(f"{prefix}.data-00000-of-00001", "wb") as stream:
        for name in sorted(variables, key=str.encode):
            value = np.asarray(variables[name])
            value = value.astype(value.dtype.newbyteorder("<"), copy=False)
            if value.dtype not in DTYPE_CODES:
                raise ValueError(f"{name}: TensorFlow has no type for {value.dtype}")
            raw = value.tobytes()
            entry = Entry(DTYPE_CODES[value.dtype], value.shape, 0, offset, len(raw), masked(raw))
            entries.append((name.encode("utf-8"), encode_entry(entry)))
            stream.write(raw)
            offset += len(raw)
    with atomic_file(f"{prefix}.index", "wb") as stream:
        stream.write(write_table(entries))
