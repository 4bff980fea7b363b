"""Batches with almost no padding that train as well as random ones (measured in docs/batching.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError

Index = NDArray[np.int64]
POOL_BATCHES = 64  # both numbers were chosen by measurement: docs/batching.md
STRATA = 4


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
    """Cut ``order`` into batches of similar length, in random order.

    The drawn order is cut into pools of about ``pool_batches`` batches, each pool is sorted by length and cut, and
    its batches come in a random order in which every few steps hold short and long ones. So the mix of lengths,
    tasks and labels stays nearly that of the corpus from step to step and does not drift.

    Args:
        order: entry numbers as drawn, in random order; an entry may occur several times.
        lengths: [entries] positions of the entry's longest row.
        batch_tokens: maximum positions of a batch, including padding (rows x longest row); an entry that is
            larger gets its own batch.
        batch_size: or the maximum number of entries of a batch.
        rows: [entries] rows of the entry (windows, or two texts encoded separately); default one each.
        groups: [entries] a batch holds entries of one group only (`mixing: batch`: the pool of the mixer).
        pool_batches: entries are sorted by length within pools of about this many batches; 1 is random batching.
        seed: seed of the order of batches.

    Returns:
        The batches, each an array of entry numbers; together they hold ``order`` exactly.

    Raises:
        ValueError: not exactly one of ``batch_tokens`` and ``batch_size``.
    """
    if (batch_tokens is None) == (batch_size is None):
        raise ValueError("choose one of batch_tokens and batch_size")
    rows = np.ones_like(lengths) if rows is None else rows
    group_orders = [order] if groups is None else [order[groups[order] == group] for group in np.unique(groups[order])]
    random = np.random.default_rng(seed)
    planned: list[list[Index]] = []
    for group_order in group_orders:
        if batch_tokens is not None:
            pools = _token_pools(group_order, lengths[group_order] * rows[group_order], batch_tokens, pool_batches)
        else:
            assert batch_size is not None
            pools = _size_pools(group_order, batch_size, pool_batches)
        batches: list[Index] = []
        for pool in pools:
            pool = pool[np.argsort(-lengths[pool], kind="stable")]
            if batch_tokens is not None:
                cut = np.split(pool, _even_cuts(lengths[pool], np.cumsum(rows[pool]), batch_tokens))
            else:
                assert batch_size is not None
                cut = np.array_split(pool, -(-len(pool) // batch_size))
            batches += [cut[index] for index in _mixed(len(cut), random)]
        planned.append(batches)
    # Each group's batches keep their own order; which group comes next is drawn.
    turns = random.permutation(np.repeat(np.arange(len(planned)), [len(batches) for batches in planned]))
    waiting = [iter(batches) for batches in planned]
    return [next(waiting[turn]) for turn in turns]


def _token_pools(order: Index, costs: Index, budget: int, pool_batches: int) -> list[Index]:
    """Consecutive parts of ``order`` of equal cost, each a little below ``pool_batches`` full batches."""
    if not len(order):
        return []
    ends = np.cumsum(costs)
    pools = max(1, -(-int(ends[-1]) // max(1, int((pool_batches - 0.5) * budget))))
    return [
        pool for pool in np.split(order, np.searchsorted(ends, ends[-1] * np.arange(1, pools) / pools)) if len(pool)
    ]


def _size_pools(order: Index, size: int, pool_batches: int) -> list[Index]:
    """Consecutive parts of ``order`` for ``pool_batches`` batches whose sizes differ by at most one."""
    if not len(order):
        return []
    starts = np.linspace(0, len(order), -(-len(order) // size) + 1).astype(np.int64)
    return np.split(order, starts[pool_batches:-1:pool_batches])


def _even_cuts(lengths: Index, total_rows: Index, budget: int) -> list[int]:
    """Where to cut entries, longest first, into batches of at most ``budget``; ``total_rows`` is cumulative.

    There are as few batches as the budget allows (in a larger pool, a multiple of ``STRATA``), cut with the lowest
    budget that needs no more of them, so that all are about equally full.
    """
    cuts = _greedy_cuts(lengths, total_rows, budget)
    count = len(cuts) + 1
    if count >= 4 * STRATA:  # whole rounds only, so that steps of several batches coincide with rounds
        count = -(-count // STRATA) * STRATA
    low, high = 0, budget
    while high - low > 1:
        middle = (low + high) // 2
        closer = _greedy_cuts(lengths, total_rows, middle)
        if len(closer) + 1 > count:
            low = middle
        else:
            high, cuts = middle, closer
    return cuts


def _greedy_cuts(lengths: Index, total_rows: Index, budget: int) -> list[int]:
    cuts = [0]
    while cuts[-1] < len(lengths):
        start = cuts[-1]
        before = int(total_rows[start - 1]) if start else 0
        room = before + budget // int(lengths[start])
        cuts.append(max(start + 1, int(np.searchsorted(total_rows, room, side="right"))))
    return cuts[1:-1]


def _mixed(count: int, random: np.random.Generator) -> Index:
    """A random order of ``count`` batches sorted by length, in which every ``STRATA`` steps span all lengths.

    The batches are divided into strata by length; each round takes one batch of every stratum, in random order. A plain
    shuffle could put many short or many long batches in a row.
    """
    strata = np.array_split(np.arange(count), STRATA)
    rounds = max(len(stratum) for stratum in strata)
    # If a stratum has one batch less than others, the round without it is random too.
    places = np.concatenate([random.permutation(rounds)[: len(stratum)] for stratum in strata])
    return np.lexsort((random.random(count), places))


def shard(batches: Sequence[Index], rank: int, world: int) -> list[Index]:
    """The batches of process ``rank`` of ``world``: the same number for each, which together hold every entry.

    If the number of batches isn't divisible, the batches with the most entries are halved until it is. Where all have a
    single entry, the first ones come once more at the end.

    Raises:
        InputError: fewer entries than processes.
    """
    even, entries = list(batches), sum(map(len, batches))
    if entries < world:
        problem = f"{entries} training texts for {world} processes"
        raise InputError(problem, expected="a batch for every process at each step", fix="use fewer processes")
    while len(even) % world and len(even) < entries:
        widest = max(range(len(even)), key=lambda index: len(even[index]))
        even[widest : widest + 1] = np.array_split(even[widest], 2)
    even += even[: -len(even) % world]
    return even[rank::world]
