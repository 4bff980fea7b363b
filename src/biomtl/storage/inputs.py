"""What may be read as a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from biomtl.errors import InputError


def refuse_endless(path: str | Path) -> None:
    """Refuse devices and sockets, which might never end; the shell's ``/dev/stdin`` and ``/dev/fd/N`` pass.

    Raises:
        InputError: what it is.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # who opens it says why it can't be read
    special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode)
    if special and not str(path).startswith(("/dev/stdin", "/dev/fd/")):
        problem = "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise InputError(problem, path=path, expected="a file", fix="save the text to a file")
