"""Sampling a dev set from a corpus where BLUE's own choice isn't known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def sample(names: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """About ``share`` of the names (at least one, never all): those whose hash with the seed is smallest.

    The same on every machine and in every Python, and independent of the order of ``names``.
    """
    unique = sorted(set(names), key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))
    return frozenset(unique[: min(max(1, round(share * len(unique))), len(unique) - 1)])
