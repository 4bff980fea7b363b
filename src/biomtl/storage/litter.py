"""What killed commands leave under temporary names, and the next command clears away."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from biomtl.storage.locks import hold

MARK = "biomtl-"  # in temporary names, as a user's own files may end in ".backup01.tmp"
LEFT = re.compile(rf"\.(?P<name>.+)\.{MARK}[a-z0-9_]{{8}}\.(tmp|old)", re.DOTALL)


def recover(folder: Path, name: str | None = None) -> None:
    """Restore what a killed process had moved aside in ``folder``, and delete what it left half-written.

    Files of a running process are locked and left alone.

    Args:
        folder: where to look.
        name: only files that belong to this name.
    """
    with contextlib.suppress(OSError):
        for left in list(folder.iterdir()):
            match = LEFT.fullmatch(left.name)
            if match and name in (None, _final(match["name"])) and (lock := hold(left)) is not None:
                _clear(left, folder / match["name"])
                os.close(lock)


def _final(name: str) -> str:
    """The name of the output in the end, where a temporary name is itself that of a temporary folder's."""
    while match := LEFT.fullmatch(name):
        name = match["name"]
    return name


def _clear(left: Path, target: Path) -> None:
    if left.suffix == ".old":  # what we moved aside holds just that; anything else is somebody's own
        if not left.is_dir() or not {path.name for path in left.iterdir()} <= {"old"}:
            return
        restored = not LEFT.fullmatch(target.name) and not os.path.lexists(target)
        if (left / "old").is_dir() and restored:
            os.rename(left / "old", target)
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
