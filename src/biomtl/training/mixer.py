"""The seeded plan that mixes the tasks' rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomtl.training.recipe import Policy

Index = NDArray[np.int64]
PLANNED = 1000  # epochs that the plan covers at most
FINAL_EXPONENT = 0.2  # of annealed sampling, Stickland & Murray 2019 (arXiv 1902.02671), section 4.2


@dataclass(frozen=True)
class TaskPlan:
    """One task's share in the run, as means over its epochs.

    ``entries`` the task has, ``examples`` it gets per epoch, its ``share`` of all examples, and how many
    ``passes`` over its entries an epoch makes.
    """

    task: str
    entries: int
    examples: float
    share: float
    passes: float


class Mixer:
    """Draws entries epoch by epoch; every epoch is a pure function of ``seed`` and its number.

    Entries with the same set of tasks and the same rate form a pool. Task ``t`` with ``n_t`` entries (each counted as
    often as its rate says) has the quota ``Q * share_t``, where ``Q`` is the sum of ``n_t`` and the share follows from
    the policy: ``n_t`` (proportional), ``n_t^0.5`` (sqrt), ``n_t^(1/T)`` (temperature), 1 (uniform), ``n_t^a`` with
    ``a`` falling from 1 to 0.2 over the epochs (annealed), or given (fixed). A pool P is drawn for its neediest task,
    ``max over t of quota_t * |P| / n_t`` times; then all pools are scaled so that an epoch has ``Q`` examples under
    every policy (an entry counts once for each of its tasks, and by its rate). Draws follow seeded permutations of the
    pool, also across epochs: every entry is drawn once before any is drawn twice.

    Args:
        items: the set of tasks of each entry.
        policy: see above.
        seed: seed of every permutation.
        epochs: number of epochs in the run; needed by the annealed policy.
        temperature: T of the temperature policy.
        weights: task -> weight of the fixed policy.
        rates: how often each entry is drawn in an epoch, compared with the others of its tasks; default once each.

    Raises:
        ValueError: no items, an item without a task, or a policy without its temperature or weights.
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
        rates: Sequence[float] | None = None,
    ) -> None:
        members: dict[tuple[frozenset[str], float], list[int]] = {}
        for index, (tasks, rate) in enumerate(zip(items, rates or [1.0] * len(items), strict=True)):
            members.setdefault((tasks, rate), []).append(index)
        keys = sorted(members, key=lambda key: (sorted(key[0]), key[1]))
        sets = [tasks for tasks, _ in keys]
        if not sets or frozenset() in sets:
            raise ValueError("the mixer needs items, each with at least one task")
        self.seed, self.epochs = seed, epochs
        self.tasks = sorted(frozenset().union(*sets))
        self.pools = [np.array(members[key], dtype=np.int64) for key in keys]
        self.group_of: Index = np.empty(len(items), dtype=np.int64)
        """The number of each entry's set of tasks."""
        for tasks, pool in zip(sets, self.pools, strict=True):
            self.group_of[pool] = sets.index(tasks)
        rows = np.array([len(pool) for pool in self.pools], dtype=np.float64)
        self._labels = np.array([[task in tasks for task in self.tasks] for tasks in sets])  # [pools, tasks]
        self._rows = rows @ self._labels  # [tasks] entries
        self._sizes = rows * np.array([rate for _, rate in keys])
        self._entries = self._sizes @ self._labels  # [tasks] the same by their rates
        self._weigh = _policy(policy, self._entries, self.tasks, temperature, weights)
        self.needs: dict[int, tuple[float, ...]] = {}
        """From which epoch on the tasks get which shares beside the policy's, and at the end these shares' own part."""
        self._next = 0
        self._counted = (0, np.zeros(len(self.pools)))  # an epoch, and the draws from each pool before it

    def epoch(self, epoch: int) -> Index:
        """One epoch's entry numbers in random order (``epoch`` counts from 0); an entry may occur several times."""
        self._next = epoch + 1
        start, end = self._drawn(epoch), self._drawn(epoch + 1)
        drawn = [self._draw(number, start[number], end[number]) for number in range(len(self.pools))]
        return np.random.default_rng([self.seed, 0, epoch]).permutation(np.concatenate(drawn))

    def need(self, needs: Mapping[str, float], part: float) -> None:
        """From the first epoch that isn't drawn yet, give ``part`` of the draws to the tasks in these proportions.

        If all are 0, the policy gets that part too.
        """
        total = sum(needs.values())
        by_need = (*(needs.get(task, 0.0) / (total or 1.0) for task in self.tasks), part if total else 0.0)
        self.set_needs({**self.needs, self._next: by_need})

    def set_needs(self, needs: Mapping[int, tuple[float, ...]]) -> None:
        """Set all of ``needs``."""
        self.needs = dict(needs)
        self._counted = (0, np.zeros(len(self.pools)))

    def plan(self) -> list[TaskPlan]:
        """Each task's share, in order of names."""
        examples = self.drawn_per_epoch() @ self._labels
        return [
            TaskPlan(task, int(rows), float(drawn), float(drawn / examples.sum()), float(drawn / rows))
            for task, rows, drawn in zip(self.tasks, self._rows, examples, strict=True)
        ]

    def drawn_per_epoch(self) -> NDArray[np.float64]:
        """[pools] mean number of entries drawn from each pool in an epoch."""
        if self.epochs <= PLANNED:
            return self._drawn(self.epochs) / self.epochs
        return np.mean([self._draws(e) for e in np.linspace(0, self.epochs - 1, PLANNED)], axis=0)

    def _draws(self, epoch: float) -> NDArray[np.float64]:
        """[pools] number of entries drawn from each pool in the epoch, before rounding."""
        weights = self._weigh(min(1.0, epoch / max(1, self.epochs - 1)))
        shares = weights / weights.sum()
        begun = [first for first in self.needs if first <= epoch]
        if begun:
            *by_need, part = self.needs[max(begun)]
            shares = (1 - part) * shares + part * np.array(by_need)
        quota = shares * self._entries.sum()
        wanted = (quota / self._entries * self._labels).max(axis=1) * self._sizes
        return wanted * self._entries.sum() / (wanted @ self._labels).sum()

    def _drawn(self, epoch: int) -> Index:
        """[pools] number of entries drawn before ``epoch``; rounding the sum keeps small quotas from vanishing."""
        start, total = self._counted if self._counted[0] <= epoch else (0, np.zeros(len(self.pools)))
        for earlier in range(start, epoch):
            total = total + self._draws(earlier)
        self._counted = (epoch, total)  # epochs are requested in order
        return np.floor(total + 0.5).astype(np.int64)

    def _draw(self, number: int, start: int, end: int) -> Index:
        """Positions ``start`` to ``end`` in the endless sequence of permutations of pool ``number``."""
        pool = self.pools[number]
        first = start // len(pool)
        turns = range(first, -(-end // len(pool)))
        passes = [np.random.default_rng([self.seed, 1, number, turn]).permutation(pool) for turn in turns]
        row = np.concatenate(passes) if passes else pool[:0]
        return row[start - first * len(pool) : end - first * len(pool)]


def _policy(
    policy: Policy,
    entries: NDArray[np.float64],
    tasks: Sequence[str],
    temperature: float | None,
    weights: Mapping[str, float] | None,
) -> Callable[[float], NDArray[np.float64]]:
    """Weights of the tasks as a function of the fraction of the run that is over, 0 to 1."""
    if policy == "fixed":
        if weights is None or not set(tasks) <= set(weights):
            raise ValueError("the fixed policy needs a weight for every task")
        given = np.array([weights[task] for task in tasks], dtype=np.float64)
        return lambda done: given
    if policy == "annealed":
        return lambda done: entries ** (1 - (1 - FINAL_EXPONENT) * done)
    if policy == "temperature" and not temperature:
        raise ValueError("the temperature policy needs a temperature")
    exponents = {"proportional": 1.0, "sqrt": 0.5, "uniform": 0.0, "temperature": 1 / (temperature or 1)}
    power = (entries / entries.max()) ** exponents[policy]  # never above 1, so that a low temperature doesn't overflow
    return lambda done: power
