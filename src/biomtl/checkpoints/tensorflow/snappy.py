"""Raw snappy decompression (format_description.txt of google/snappy), which other writers may use for index blocks."""

from __future__ import annotations

from biomtl.checkpoints.tensorflow.protos import read_varint

_MAX_SIZE = 1 << 28  # an index block holds a quarter of a megabyte; a far larger size means damage


def decompress(data: bytes) -> bytes:
    """Decompress ``data`` (one raw block, no framing).

    Raises:
        ValueError: ``data`` is not a snappy block.
    """
    size, at = read_varint(data, 0)
    if size > _MAX_SIZE:
        raise ValueError(f"a snappy block of {size} bytes")
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length, at = _literal_length(data, tag >> 2, at)
            if at + length > len(data):
                raise ValueError("a snappy literal runs past the end")
            out += data[at : at + length]
            at += length
        else:
            length, offset, at = _copy_range(data, tag, at)
            _copy(out, offset, length)
        if len(out) > size:
            raise ValueError("a snappy block longer than its stated size")
    if len(out) != size:
        raise ValueError("a snappy block shorter than its stated size")
    return bytes(out)


def _literal_length(data: bytes, code: int, at: int) -> tuple[int, int]:
    if code < 60:
        return code + 1, at
    width = code - 59
    return int.from_bytes(data[at : at + width], "little") + 1, at + width


def _copy_range(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    width = (1, 2, 4)[(tag & 3) - 1]
    if at + width > len(data):
        raise ValueError("a snappy copy runs past the end")
    low = int.from_bytes(data[at : at + width], "little")
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | low, at + 1
    return (tag >> 2) + 1, low, at + width


def _copy(out: bytearray, offset: int, length: int) -> None:
    """Repeat the bytes from ``offset`` bytes back; a copy longer than its offset reads what it has just written."""
    if not 0 < offset <= len(out):
        raise ValueError("a snappy copy from before the start")
    pattern = bytes(out[-offset:])[:length]
    out += (pattern * (length // len(pattern) + 1))[:length]
