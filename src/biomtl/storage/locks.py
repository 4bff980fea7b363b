"""Locks that end with their owner: whatever is unlocked was left by a process that was killed."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: without locks, nothing is considered abandoned
    fcntl = None  # type: ignore[assignment]


def hold(path: Path) -> int | None:
    """Lock a file or folder until the returned descriptor is closed or the process ends, however it ends.

    Returns:
        The descriptor; ``None`` if another owner holds the lock, or if the file system has no locks.
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
    """Lock an open file; false if another owner holds the lock, or if the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
