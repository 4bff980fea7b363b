"""The seeded plan of which task's rows come when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biomtl.training.recipe import Policy

Index = NDArray[np.int64]
FINAL_EXPONENT = 0.2  # of annealed sampling, Stickland & Murray 2019 (arXiv 1902.02671), section 4.2


class Entries(NamedTuple):
    """What the mixer draws: entry ``i`` is item ``item[i]``, trained for the tasks ``tasks[i]``."""

    item: Index
    tasks: list[frozenset[str]]


def entries(items: Sequence[frozenset[str]], mixing: Literal["instance", "batch"]) -> Entries:
    """The entries of ``items`` (an item is one text with the set of tasks that label it).

    ``instance``: each item once, for all its tasks. ``batch`` (MT-DNN's way: one task a batch): each item once for
    each of its tasks.
    """
    if mixing == "instance":
        return Entries(np.arange(len(items)), list(items))
    single = [(index, frozenset([task])) for index, tasks in enumerate(items) for task in sorted(tasks)]
    return Entries(np.array([index for index, _ in single], dtype=np.int64), [tasks for _, tasks in single])


@dataclass(frozen=True)
class TaskPlan:
    """One task's part in an epoch: ``rows`` it has, ``draws`` of them (float: mean of the epochs), its ``share``."""

    task: str
    rows: int
    draws: float
    share: float
    passes: float


class Mixer:
    """Draws entries epoch by epoch; every epoch is a pure function of ``seed`` and its number.

    Entries with the same set of tasks form a pool. Task ``t`` with ``n_t`` entries has the quota ``Q * share_t``,
    where ``Q`` is the sum of ``n_t`` and the share follows from the policy: ``n_t`` (proportional), ``n_t^0.5``
    (sqrt), ``n_t^(1/T)`` (temperature), 1 (uniform), ``n_t^a`` with ``a`` falling from 1 to 0.2 over the epochs
    (annealed), or given (fixed). A pool P is drawn for its neediest task, ``max over t of quota_t * |P| / n_t``
    times; then all pools are scaled so that an epoch has ``Q`` examples whatever the policy (an entry counts once
    for each of its tasks). Draws go through seeded permutations of the pool, across epochs too: every entry
    comes once before any comes twice.

    Args:
        items: the set of tasks of each entry.
        policy: see above.
        seed: of every permutation.
        epochs: how many epochs the run has; the annealed policy needs it.
        temperature: T of the temperature policy.
        weights: task -> weight of the fixed policy.
    """

    def __init__(
        self,
        items: Sequence[frozenset[str]],
        *,
        policy: Policy = "proportional",
        seed: int = 42,
        epochs: int = 1,
        temperature: float | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        raise NotImplementedError

    pool_of: Index  # the pool of each entry

    def epoch(self, epoch: int) -> Index:
        """Entry numbers of epoch ``epoch`` (from 0) in random order; an entry may occur several times."""
        raise NotImplementedError

    def plan(self) -> list[TaskPlan]:
        """What each task gets, averaged over the epochs, in the order of names."""
        raise NotImplementedError
