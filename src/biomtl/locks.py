"""Locks that end with their owner: what nobody holds was left by a process that was killed."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing can be locked, so nothing is ever taken for abandoned
    fcntl = None  # type: ignore[assignment]


def hold(path: Path) -> int | None:
    """Lock a file or folder until the returned descriptor is closed, or its process ends in whatever way.

    Returns:
        The descriptor; ``None`` if another owner holds the lock, or if the file system knows no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    if hold_descriptor(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def hold_descriptor(descriptor: int) -> bool:
    """Lock an open file; false if another owner holds the lock, or if the file system knows no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
