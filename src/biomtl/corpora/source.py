"""The files of a corpus: a folder, an archive, archives inside a folder, or one file. Read in place, never unpacked."""

from __future__ import annotations

import fnmatch
import gzip
import lzma
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from biomtl.errors import InputError
from biomtl.storage.files import MAX_LINE, decode_line
from biomtl.storage.inputs import refuse_endless

# What the standard library raises on a broken archive, while reading its directory or a member.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError)
MAX_MEMBER = 1 << 30  # bytes; no file of these corpora comes near, a zip bomb does
MAX_NESTED = 1 << 28  # bytes of all zips inside zips together, which go to temporary files
_IN_MEMORY = 1 << 20  # bytes of such a zip; the rest of a larger one is on disk
_BLOCK = 1 << 16


class Place(NamedTuple):
    """Where a file is: at a path under the source's folder, or in an archive there."""

    file: str
    archive: str = ""  # by its name in ``Source.names``; "" for a plain file
    member: str = ""


class Source:
    """The files of a distribution by relative POSIX name; a zip's members are listed under the zip's own name.

    Args:
        path: a folder, a ``.zip`` or a single file. A zip inside a zip is read too, by way of a temporary file that
            ends with the process. ``.gz`` files are decompressed and listed without ``.gz``.

    Raises:
        InputError: missing path, a pipe or device, broken archive, or a member that points outside the archive.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._places: dict[str, Place] = {}
        self._nested_left = MAX_NESTED
        if not self.path.exists():
            raise InputError("no such file or folder", path=self.path, fix="check the path")
        refuse_endless(self.path, once=False)
        self._base = self.path if self.path.is_dir() else self.path.parent
        if self.path.is_dir():
            for folder, folders, files in os.walk(self.path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                below = "".join(f"{component}/" for component in Path(folder).relative_to(self.path).parts)
                for name in sorted(files):
                    if not name.startswith(".") and os.path.isfile(os.path.join(folder, name)):
                        self._add(below + name)
        else:
            self._add(self.path.name)
        self._places = dict(sorted(self._places.items()))

    def _add(self, name: str) -> None:
        if name.lower().endswith(".zip"):
            self._add_archive(name, self._base / name, name)
        else:
            self._list(name, Place(name))

    def _list(self, name: str, place: Place) -> None:
        self._places.setdefault(name.removesuffix(".gz"), place)

    def _add_archive(self, file: str, content: Path | IO[bytes], name: str) -> None:
        where = self.where(name)
        try:
            archive = self._archives[name] = zipfile.ZipFile(content)
        except _BROKEN as error:
            raise InputError(f"not a readable zip ({error})", path=where, fix="download it again") from error
        for info in archive.infolist():
            member = PurePosixPath(info.filename.replace("\\", "/"))
            if member.is_absolute() or ".." in member.parts or ":" in "".join(member.parts[:1]):
                raise InputError(f"archive member {info.filename!r} points outside", path=where, fix="don't use it")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise InputError(f"archive member {info.filename!r} is a link", path=where, fix="don't use it")
            if info.is_dir() or "__MACOSX" in member.parts:
                continue
            listed, place = f"{name}/{member.as_posix()}", Place(file, name, info.filename)
            if member.suffix.lower() == ".zip" and isinstance(content, Path):  # one level: a bomb may nest without end
                self._add_archive(file, self._spooled(place, listed), listed)
            else:
                self._list(listed, place)

    def _spooled(self, place: Place, name: str) -> IO[bytes]:
        """A zip inside a zip as a temporary file without a name, since a zip is read from its end."""
        spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - open as long as the source
        for block in self._blocks(self._open(place, name), name, self._nested_left):
            try:
                spool.write(block)
            except OSError as error:
                fix = "unpack the zip yourself, or set TMPDIR to a folder with space"
                problem = f"no room for it in {tempfile.gettempdir()} ({error.strerror})"
                raise InputError(problem, path=self.where(name), fix=fix) from error
        self._nested_left -= spool.tell()
        return spool

    @property
    def names(self) -> Iterator[str]:
        """All file names, sorted."""
        return iter(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def place(self, name: str) -> Place:
        """Where a file is.

        Raises:
            KeyError: no such file.
        """
        return self._places[name]

    def find(self, *patterns: str) -> list[str]:
        """Names whose whole path or tail matches one of the shell patterns, ignoring case."""
        wanted = "|".join(fnmatch.translate(pattern.lower()) for pattern in patterns)
        matches = re.compile(f"(?s:.*/)?(?:{wanted})").match
        return [name for name in self.names if matches(name.lower())]

    def where(self, name: str) -> str:
        """The name to show in error messages."""
        return str(self._base / name)

    def open(self, name: str) -> BufferedIOBase:
        """A binary stream of one file."""
        return self._open(self.place(name), name)

    def _open(self, place: Place, name: str) -> BufferedIOBase:
        try:
            if not place.archive:
                file = self._base / place.file
                return gzip.open(file) if file.suffix == ".gz" else file.open("rb")
            archive = self._archives[place.archive]
            if archive.getinfo(place.member).file_size > MAX_MEMBER:
                raise InputError(f"a member of over {MAX_MEMBER:,} bytes", path=self.where(name))
            stream = archive.open(place.member)
            return gzip.open(stream) if place.member.endswith(".gz") else stream  # type: ignore[return-value]
        except _BROKEN as error:
            raise InputError(f"can't be read ({error})", path=self.where(name)) from error

    def read_bytes(self, name: str) -> bytes:
        """One file's content."""
        return b"".join(self._blocks(self.open(name), name, MAX_MEMBER))

    def _blocks(self, stream: BufferedIOBase, name: str, limit: int) -> Iterator[bytes]:
        """A stream's content piece by piece: reading all at once would reserve memory for the largest."""
        size = 0
        with stream:
            try:
                while block := stream.read(_BLOCK):
                    if (size := size + len(block)) > limit:
                        fix = "unpack its zips yourself" if name.lower().endswith(".zip") else None
                        raise InputError(f"over {limit:,} bytes unpacked", path=self.where(name), fix=fix)
                    yield block
            except _BROKEN as error:
                raise InputError(f"can't be unpacked ({error})", path=self.where(name)) from error

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """(1-based number, text without line end) of one UTF-8 file, with the checks of ``files.read_lines``."""
        where = self.where(name)
        with self.open(name) as stream:
            number = 0
            try:
                while raw := stream.readline(MAX_LINE + 1):
                    number += 1
                    yield number, decode_line(raw, where, number)
            except _BROKEN as error:
                raise InputError(f"can't be unpacked ({error})", path=where, line=number + 1) from error
