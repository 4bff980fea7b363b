"""Which ids a split has had, in a few bytes each."""

from __future__ import annotations

import numpy as np

RECENT = 100_000  # ids kept as Python objects, about a hundred bytes each; older ones take eight


class Seen:
    """A growing set of strings, known by their 64-bit hashes (which two different ones share practically never)."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._old = np.empty(0, dtype=np.int64)

    def add(self, name: str) -> bool:
        """Take a string in; says whether it was new."""
        number = hash(name)
        if number in self._recent:
            return False
        if len(self._old):
            at = int(np.searchsorted(self._old, number))
            if at < len(self._old) and self._old[at] == number:
                return False
        self._recent.add(number)
        if len(self._recent) >= RECENT:
            recent = np.fromiter(self._recent, dtype=np.int64, count=len(self._recent))
            self._old = np.sort(np.concatenate([self._old, recent]), kind="stable")
            self._recent = set()
        return True
