"""What may be read as a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from biomtl.errors import InputError

_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_STANDARD = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def refuse_endless(path: str | Path, *, once: bool = True) -> None:
    """Refuse what is not a file or folder: a device might never end, and a pipe without a writer never begins.

    Args:
        path: what is to be read; if it doesn't exist, whoever opens it says so.
        once: whether it is read only once, from start to end. Then standard input and the shell's process
            substitution may be given by path: ``/dev/stdin``, ``/dev/fd/N``.

    Raises:
        InputError: a pipe, device or socket.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    if kind not in _SPECIAL or (once and str(path).startswith(_STANDARD)):
        return
    expected, fix = "a file or folder", "save the data to a file"
    if once:
        expected, fix = "a file", f"{fix}, or pass it on standard input (/dev/stdin)"
    raise InputError(_SPECIAL[kind], path=path, expected=expected, fix=fix)
