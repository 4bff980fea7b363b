"""Where a corpus lies: a folder, an archive, archives inside a folder, or one file. Read in place, never unpacked."""

from __future__ import annotations

import fnmatch
import gzip
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path, PurePosixPath

from biomtl.errors import InputError
from biomtl.files import MAX_LINE, decode_line

# What a broken archive makes the standard library raise, while its directory or a member is read.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError)
MAX_MEMBER = 1 << 30  # bytes; no file of these corpora comes near, a zip bomb does


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a file lies: itself, or a member of one of the archives, named as in ``Source.names``."""

    file: Path
    archive: str | None = None
    member: str = ""


class Source:
    """The files of a distribution by relative POSIX name; a zip's members stand below the zip's own name.

    Args:
        path: a folder, a ``.zip`` or a single file. A zip inside a zip is read too, in memory. ``.gz`` files are read
            unpacked and listed without ``.gz``.

    Raises:
        InputError: missing path, broken archive, or a member that would lie outside the archive.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._entries: dict[str, _Entry] = {}
        if not self.path.exists():
            raise InputError("no such file or folder", path=self.path, fix="check the path")
        self._base = self.path if self.path.is_dir() else self.path.parent
        if self.path.is_dir():
            for file in sorted(self.path.rglob("*")):
                if file.is_file() and not any(part.startswith(".") for part in file.relative_to(self.path).parts):
                    self._add(file, file.relative_to(self.path).as_posix())
        else:
            self._add(self.path, self.path.name)

    def _add(self, file: Path, name: str) -> None:
        if file.suffix.lower() == ".zip":
            self._add_archive(file, file, name)
        else:
            self._entries[name.removesuffix(".gz")] = _Entry(file)

    def _add_archive(self, file: Path, content: Path | BytesIO, name: str) -> None:
        where = self.where(name)
        try:
            archive = self._archives[name] = zipfile.ZipFile(content)
        except _BROKEN as error:
            raise InputError(f"not a readable zip ({error})", path=where, fix="download it again") from error
        for info in archive.infolist():
            member = PurePosixPath(info.filename.replace("\\", "/"))
            if member.is_absolute() or ".." in member.parts or ":" in "".join(member.parts[:1]):
                raise InputError(f"archive member {info.filename!r} points outside", path=where, fix="don't trust it")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise InputError(f"archive member {info.filename!r} is a link", path=where, fix="don't trust it")
            if info.is_dir() or "__MACOSX" in member.parts:
                continue
            listed = f"{name}/{member.as_posix()}".removesuffix(".gz")
            self._entries[listed] = _Entry(file, name, info.filename)
            if member.suffix.lower() == ".zip" and isinstance(content, Path):  # one level: a bomb may nest without end
                self._add_archive(file, BytesIO(self.read_bytes(listed)), listed)
                del self._entries[listed]

    @property
    def names(self) -> list[str]:
        """All file names, sorted."""
        return sorted(self._entries)

    def find(self, *patterns: str) -> list[str]:
        """Names whose whole path or tail matches one of the shell patterns, whatever the case."""
        wanted = [pattern.lower() for pattern in patterns]
        return [
            name
            for name in self.names
            if any(
                fnmatch.fnmatchcase(name.lower(), pattern) or fnmatch.fnmatchcase(name.lower(), f"*/{pattern}")
                for pattern in wanted
            )
        ]

    def where(self, name: str) -> str:
        """The name as an error message should show it."""
        return str(self._base / name)

    def open(self, name: str) -> BufferedIOBase:
        """A binary stream of one file."""
        entry = self._entries[name]
        try:
            if entry.archive is None:
                return gzip.open(entry.file) if entry.file.suffix == ".gz" else entry.file.open("rb")
            archive = self._archives[entry.archive]
            if archive.getinfo(entry.member).file_size > MAX_MEMBER:
                raise InputError(f"a member of over {MAX_MEMBER:,} bytes", path=self.where(name))
            stream = archive.open(entry.member)
            return gzip.open(stream) if entry.member.endswith(".gz") else stream  # type: ignore[return-value]
        except _BROKEN as error:
            raise InputError(f"can't be read ({error})", path=self.where(name)) from error

    def read_bytes(self, name: str) -> bytes:
        """One file's content."""
        with self.open(name) as stream:
            try:
                content = stream.read(MAX_MEMBER + 1)
            except _BROKEN as error:
                raise InputError(f"can't be unpacked ({error})", path=self.where(name)) from error
        if len(content) > MAX_MEMBER:
            raise InputError(f"over {MAX_MEMBER:,} bytes unpacked", path=self.where(name))
        return content

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
