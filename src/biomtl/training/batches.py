"""Batches that hold almost no padding and yet are as good as random ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
POOL_BATCHES = 16


def plan_batches(
    order: Index,
    lengths: Index,
    *,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
    rows: Index | None = None,
    groups: Index | None = None,
    pool_batches: int = POOL_BATCHES,
    seed: int | Sequence[int] = 0,
) -> list[Index]:
    """Cut ``order`` into batches of like length, in random order.

    Args:
        order: entry numbers as drawn, in random order; an entry may occur several times.
        lengths: [entries] positions of the entry's longest row.
        batch_tokens: the most positions of a batch, padding included (rows x longest row); an entry that alone
            is larger gets a batch of its own.
        batch_size: or the number of entries of a batch.
        rows: [entries] rows of the entry (windows, or two texts encoded apart); default one each.
        groups: [entries] a batch holds entries of one group only (`mixing: batch`: the pool of the mixer).
        pool_batches: like lengths are sought among the entries of about this many batches.
        seed: of the order of batches.

    Returns:
        The batches, each an array of entry numbers; together they hold ``order`` exactly.
    """
    raise NotImplementedError


def fill(batches: Sequence[Index], lengths: Index, rows: Index | None = None, tokens: Index | None = None) -> float:
    """Real positions / all positions of ``batches``; ``tokens`` [entries] = real positions, default rows x length."""
    raise NotImplementedError


def shard(batches: Sequence[Index], rank: int, world: int) -> list[Index]:
    """The batches of process ``rank`` of ``world``: every process gets equally many, no entry is lost or doubled."""
    raise NotImplementedError
