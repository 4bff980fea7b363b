"""Unpacking a zip so that nothing lands outside its folder and no bomb fills the disk."""

from __future__ import annotations

import errno
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from biomtl.errors import InputError

MAX_UNPACKED = 1 << 30  # bytes, all members together
MAX_MEMBERS = 100_000
_BLOCK = 1 << 20
_BAD_ARCHIVE = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}  # the archive's fault; others are the disk's
_LITTER = {"__MACOSX", ".DS_Store"}


def unpack(archive: Path, folder: Path, shown: str | Path | None = None) -> list[Path]:
    """Unpack ``archive`` into ``folder``, and zips inside it (one level) into folders of their own names.

    Args:
        archive: a zip file.
        folder: an existing folder; nothing in it is overwritten.
        shown: the archive's name for errors.

    Returns:
        The files written.

    Raises:
        InputError: not a zip, a broken member, a path outside the folder, a link, over 1 GiB unpacked.
    """
    shown = shown or archive
    budget = MAX_UNPACKED
    written: list[Path] = []
    for path, size in _members(archive, folder, shown, budget):
        budget -= size
        if path.suffix.lower() != ".zip":
            written.append(path)
            continue
        inner = path.with_suffix("")
        if inner.exists() and not inner.is_dir():
            raise InputError(f"both {inner.name} and {path.name}", path=shown, fix="don't use it")
        inner.mkdir(exist_ok=True)
        for deeper, deeper_size in _members(path, inner, f"{shown}/{path.name}", budget):
            budget -= deeper_size
            written.append(deeper)
        path.unlink()
    return written


def _members(archive: Path, folder: Path, shown: str | Path, budget: int) -> Iterator[tuple[Path, int]]:
    """Write every member; yields its file and size."""
    try:
        with zipfile.ZipFile(archive) as opened:
            if len(opened.infolist()) > MAX_MEMBERS:
                raise InputError(f"an archive of {len(opened.infolist()):,} members", path=shown)
            for info in opened.infolist():
                parts = _parts(info, shown)
                if info.is_dir() or not parts or _LITTER & set(parts):
                    continue
                target = folder.joinpath(*parts)
                size = _write(opened, info, target, shown, budget)
                budget -= size
                yield target, size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"not a readable zip ({error})", path=shown, fix="download it again") from error


def _parts(info: zipfile.ZipInfo, shown: str | Path) -> tuple[str, ...]:
    """The member's path in pieces, checked.

    Raises:
        InputError: absolute, with ``..`` or a drive, a link or a device.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    file_type = stat.S_IFMT(info.external_attr >> 16)
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or any(":" in component or "\0" in component for component in path.parts)
    ):
        raise InputError(f"archive member {info.filename!r} points outside", path=shown, fix="don't use it")
    if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"archive member {info.filename!r} is a link or a device", path=shown, fix="don't use it")
    return path.parts


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, shown: str | Path, budget: int) -> int:
    """Write one member and count its bytes: the size that an archive claims may be a lie."""
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as source, target.open("xb") as stream:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > budget:
                    raise InputError(f"over {MAX_UNPACKED:,} bytes unpacked", path=shown, fix="don't use it")
                stream.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"archive member {info.filename!r} occurs twice", path=shown, fix="don't use it") from error
    except OSError as error:
        if error.errno not in _BAD_ARCHIVE:
            raise
        problem = f"archive member {info.filename[:60]!r} can't be written ({error.strerror})"
        raise InputError(problem, path=shown, fix="don't use it") from error
    return size
