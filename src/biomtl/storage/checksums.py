"""SHA-256 of every file of a saved model or checkpoint, written with it and checked when it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.storage.ownership import OWNED, files_below

CARD = "README.md"  # people may write on
SEAL = "sha256"
_wanted: ContextVar[bool] = ContextVar("verify", default=True)


def take(folder: Path, *, known: Mapping[str, str] | None = None, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Name to SHA-256 of every file in a folder except manifests and the model card.

    Args:
        folder: the folder.
        known: checksums of files that were linked here and need not be read again.
        without: further names to leave out.
    """
    known = known or {}
    names = sorted(set(files_below(folder)) - {OWNED, CARD, *without})
    return {name: known.get(name) or sha256(folder / name) for name in names}


def verify(
    folder: Path,
    checksums: Any,
    wanted: Callable[[str], bool] = lambda name: True,
    *,
    fix: str = "copy the folder again",
) -> None:
    """Compare files with their checksums; a file without one (written by an older biomtl) passes.

    Args:
        folder: where the files are.
        checksums: name to SHA-256, from ``take``.
        wanted: the files that are about to be read.
        fix: what the user can do about a damaged file.

    Raises:
        InputError: names the first file that is missing or has other bytes.
    """
    if not _wanted.get() or not isinstance(checksums, dict):
        return
    for name, digest in checksums.items():
        if not wanted(name):
            continue
        path = folder / name
        if ".." in Path(name).parts or not path.is_file():
            raise InputError("the file is missing", path=path, fix=fix)
        if sha256(path) != digest:
            expected = "the bytes that were written (SHA-256)"
            raise InputError("the file is damaged", path=path, expected=expected, fix=fix)


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a JSON file with a checksum of themselves, where no other file could hold it."""
    return {**values, SEAL: _digest(values)}


def verify_seal(values: Mapping[str, Any], path: Path, *, fix: str) -> None:
    """Compare what a file says with the checksum in it; a file without one (written by an older biomtl) passes.

    Raises:
        InputError: the file is damaged.
    """
    said = values.get(SEAL)
    if _wanted.get() and said is not None and said != _digest({k: v for k, v in values.items() if k != SEAL}):
        raise InputError("the file is damaged", path=path, expected="what was written (SHA-256)", fix=fix)


def _digest(values: Mapping[str, Any]) -> str:
    read = json.loads(json.dumps(values))  # as they come back from a file
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def demand(wanted: bool) -> None:
    """Whether files are verified from here on in this thread; ``--no-verify`` asks for no."""
    _wanted.set(wanted)


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
