"""Reading and writing files, so that errors name the row and a half-written output never appears."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from biomtl.errors import InputError, OnError, fail
from biomtl.storage.inputs import refuse_endless
from biomtl.storage.json_rows import parse_jsonl
from biomtl.storage.litter import LEFT, MARK, recover
from biomtl.storage.locks import hold, hold_descriptor
from biomtl.storage.ownership import refuse_foreign, refuse_replacing, write_owner

_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
MAX_LINE = 32 * 1024 * 1024  # characters; a longer line is a broken file, not a sentence
BROKEN_GZ = (gzip.BadGzipFile, EOFError, zlib.error)
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def refuse_existing(
    target: Path, overwrite: bool, *, output: str | None = None, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse a target that exists and may not be replaced, after clearing away what killed commands left of it.

    Args:
        target: a file or folder that a command will write.
        overwrite: whether it may be replaced, if the same kind of command wrote it.
        output: the kind of output (see ``ownership.KINDS`` and ``FILES``); ``None`` for a file of any content.
        inputs: what the same command reads, which is never replaced.

    Raises:
        InputError: it exists, and ``overwrite`` is not set or doesn't cover it.
    """
    recover(target.parent, target.name)
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise InputError("the output already exists", path=target, fix="choose another name or add --overwrite")
    refuse_replacing(target, output, inputs)


@contextlib.contextmanager
def atomic_folder(target: str | Path, output: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes ``target`` when the block ends without an error.

    The folder gets a manifest of what was written (see ``ownership``). With ``overwrite`` an older output of the same
    kind is replaced; anything else is left unchanged, even if it appeared after the block began.

    Raises:
        InputError: ``target`` exists and may not be replaced.
    """
    target = Path(target)
    refuse_existing(target, overwrite, output=output)
    with disk_errors(target), made_folder(target.parent):
        work, lock = _locked_folder(target, ".tmp")
        try:
            os.chmod(work, 0o777 & ~_umask())
            yield work
            write_owner(work, output)
            _open_up(work)
            sync_tree(work)
            _take_place(work, target, output, overwrite)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            if lock is not None:
                os.close(lock)


@contextlib.contextmanager
def atomic_file(
    target: str | Path, mode: str = "w", *, overwrite: bool = True, newline: str | None = "\n"
) -> Iterator[IO[Any]]:
    """Yield an open temporary sibling file that becomes ``target`` when the block ends without an error.

    Without ``overwrite`` nothing is replaced, not even what appeared after the block began.

    Raises:
        InputError: ``target`` exists and may not be replaced, or is not a file.
    """
    target = Path(target)
    refuse_existing(target, overwrite)
    with disk_errors(target), made_folder(target.parent):
        descriptor, name = _locked_file(target)
        try:
            os.chmod(name, 0o666 & ~_umask())
            text = {} if "b" in mode else {"encoding": "utf-8", "newline": newline}
            with os.fdopen(descriptor, mode, **text) as stream:  # type: ignore[call-overload]
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                if overwrite:  # renamed while open: a closed file's lock is gone, and it would pass for abandoned
                    os.replace(name, target)
                else:
                    _rename_new(Path(name), target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Create a folder and its parents; if the block ends with an error, remove those that are still empty."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Within this block a failed write, whichever library made it, is an ``OSError`` that names ``target``.

    Libraries in Rust and C raise classes of their own, or the bare ``Exception``, and say the error's number in words.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        said = re.search(r"(?:os error |errno = )(\d+)", str(error))
        if isinstance(error, OSError) and error.filename is not None and not _unfinished(error.filename, target):
            raise
        if number is None and said is not None:
            number = int(said[1])
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(target)) from error


def _unfinished(name: Any, target: Path) -> bool:
    """Whether a file is part of the temporary sibling that is to become ``target``."""
    if isinstance(name, int):
        return False
    path, folder = (Path(os.path.abspath(os.fsdecode(place))) for place in (name, target.parent))
    first = LEFT.fullmatch(path.relative_to(folder).parts[0]) if folder in path.parents else None
    return first is not None and first["name"] == target.name


def _locked_folder(target: Path, suffix: str) -> tuple[Path, int | None]:
    """A locked temporary sibling folder, so that no other process considers it abandoned."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.{MARK}", suffix=suffix, dir=target.parent))
        lock = hold(work)
        if work.is_dir():  # else another command cleared it away in the moment before it was locked
            return work, lock
        if lock is not None:
            os.close(lock)


def _locked_file(target: Path) -> tuple[int, str]:
    """The same for a file, open for writing."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.{MARK}", suffix=".tmp", dir=target.parent)
        hold_descriptor(descriptor)
        if os.path.lexists(name):
            return descriptor, name
        os.close(descriptor)


def _open_up(folder: Path) -> None:
    """Give every file ordinary permissions: some writers (safetensors) let only the owner read theirs."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.chmod(path, 0o666 & ~_umask())


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _rename_new(source: Path, target: Path) -> None:
    """Rename a file to a name that is free."""
    try:
        os.link(source, target)
    except FileExistsError as error:
        raise _appeared(target) from error
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise _appeared(target) from None
        os.rename(source, target)


def _appeared(target: Path) -> InputError:
    return InputError("the output appeared meanwhile", path=target, fix="choose another name or add --overwrite")


def _take_place(work: Path, target: Path, output: str, overwrite: bool) -> None:
    """Rename ``work`` to ``target``; an older output goes to ``work``'s name, at once where the system can."""
    try:
        os.rename(work, target)  # a folder takes the place of nothing but an empty folder
        return
    except OSError:
        if not os.path.lexists(target):
            raise
    if not overwrite:
        raise _appeared(target)
    refuse_foreign(target, output)
    if _exchange(work, target):
        return
    aside, lock = _locked_folder(target, ".old")
    os.rename(target, aside / "old")
    try:
        os.rename(work, target)
    except BaseException:
        os.rename(aside / "old", target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; false if the system or file system can't (all but Linux)."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def link(source: Path, target: Path) -> None:
    """Link a file that will not be written to again, or copy it if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync_tree(folder: Path) -> None:
    """Force every file in ``folder`` to disk, so that a full disk is an error now and not a truncated file later."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def open_binary(path: str | Path) -> BinaryIO:
    """A file's bytes; a file whose name ends in ``.gz`` is decompressed while it is read.

    Reading may raise what `BROKEN_GZ` holds.

    Raises:
        InputError: a pipe, device or socket.
    """
    refuse_endless(path)
    packed = str(path).lower().endswith(".gz")
    return cast("BinaryIO", gzip.open(path) if packed else Path(path).open("rb"))


def suffix_of(path: str | Path) -> str:
    """The suffix that indicates the format, in lower case: ``.tsv`` for ``a.TSV.gz``."""
    return Path(str(path).lower().removesuffix(".gz")).suffix


def stem_of(path: str | Path) -> str:
    """A name without its folder and what says the format: of ``in/a.TSV.gz``, ``a``."""
    path = Path(path)
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def read_lines(path: str | Path, on_error: OnError = fail, ends: str = "\r\n") -> Iterator[tuple[int, str]]:
    """Yield (1-based number, text without line end) of a UTF-8 file; a BOM is dropped, CRLF accepted.

    A file whose name ends in ``.gz`` is decompressed while it is read. ``on_error`` is called with the error of a line
    that can't be read; if it returns, the line is skipped. ``ends`` are the characters that end a line.

    Raises:
        InputError: missing or unreadable file, bytes that are not UTF-8, a NUL byte, an absurdly long line.
    """
    path, number = Path(path), 0
    try:
        with open_binary(path) as stream:
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                try:
                    text = decode_line(raw, path, number, ends)
                except InputError as error:
                    on_error(error)
                    while len(raw) > MAX_LINE and not raw.endswith(b"\n"):  # the rest of the line is no line
                        raw = stream.readline(MAX_LINE + 1)
                    continue
                yield number, text
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else "not a file"
        raise InputError(problem, path=path, fix="check the path") from error
    except PermissionError as error:
        raise InputError("the file can't be read (permission denied)", path=path) from error
    except BROKEN_GZ as error:
        raise InputError(f"can't be unpacked ({error})", path=path, line=number + 1, fix="copy it again") from error


def decode_line(raw: bytes, path: str | Path, number: int, ends: str = "\r\n") -> str:
    """One line's bytes as text, with the checks that every reader shares."""
    if len(raw) > MAX_LINE:
        raise InputError(f"a line of over {MAX_LINE:,} bytes", path=path, line=number, expected="one record per line")
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        bad = f"byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8"
        raise InputError(bad, path=path, line=number, fix="convert the file to UTF-8") from error
    if "\0" in text:
        raise InputError("a NUL byte", path=path, line=number, expected="text", fix="is this a binary file?")
    return text.rstrip(ends)


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based line number, object) of a JSON-lines file; blank lines are skipped.

    A file that begins with ``[`` is one JSON list of objects, numbered from 1.
    """
    yield from parse_jsonl(read_lines(path), path)


def dump_json(value: Any) -> str:
    """One JSON line: unescaped UTF-8, keys in the given order, NaN refused. Deterministic to the byte.

    The three non-ASCII characters that end a line in Unicode (and in ``str.splitlines``) are escaped.
    """
    line = _JSON.encode(value)
    return line if line.isascii() else line.translate(_LINE_ENDS)


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write ``rows`` under a temporary name, then rename; returns their number."""
    count = 0
    with atomic_file(path) as stream:
        for row in rows:
            stream.write(dump_json(row) + "\n")
            count += 1
    return count


def write_json(path: str | Path, value: Any) -> None:
    """Write an indented JSON file under a temporary name, then rename."""
    with atomic_file(path) as stream:
        json.dump(value, stream, ensure_ascii=False, allow_nan=False, indent=2)
        stream.write("\n")
