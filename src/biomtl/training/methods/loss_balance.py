"""Factors of the tasks' losses that don't follow their shares of the examples."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from biomtl.training.methods.base import Course, Method, MethodState

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel

Table = dict[str, float]


class LossBalance(Method):
    """``loss_balance``: the tasks' total weights in the run, where without it each has its share of the examples.

    ``equal`` (all the same), ``uncertainty`` (Kendall, Gal and Cipolla 2018, arXiv 1705.07115), ``dwa`` (dynamic weight
    average: Liu, Johns and Davison 2019, arXiv 1803.10704) or ``scale`` (each loss divided by its own running mean, the
    gradient of the losses' logarithms: Lin et al. 2023, arXiv 2308.12029).

    A step holds a task's examples in proportion to its share s of the run's, and the loop weights its mean loss by its
    share of the step. The factor 1 / (T s) makes T tasks equal over the run without letting one row in a step outweigh
    thirty of another task. The dynamic rules multiply that.
    """

    def __init__(self, value: str, model: MultiTaskModel) -> None:
        self.rule = RULES[value]()
        self.base: Table = dict.fromkeys(model.tasks, 1.0)

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Learn the tasks' shares."""
        shares = course.data.shares()
        self.base |= {task: 1 / (len(shares) * share) for task, share in shares.items()}
        self.rule.start(list(shares), course.total)

    def factor(self, task: str) -> float:
        """Its factor in the coming step; 1 for a head that isn't trained."""
        return self.base[task] * self.rule.factors.get(task, 1.0)

    def after_step(self, model: MultiTaskModel, losses: Mapping[str, float]) -> None:
        """Let the rule follow the losses."""
        self.rule.follow(losses)

    def state(self) -> MethodState:
        """The rule's numbers."""
        return MethodState(values={"numbers": self.rule.numbers, "factors": self.rule.factors})

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """Take them up."""
        self.rule.numbers = state.values["numbers"]
        self.rule.factors = {task: float(state.values["factors"][task]) for task in self.rule.factors}


class Rule:
    """Factors around 1 that follow the losses; ``numbers`` is all that a rule remembers."""

    def __init__(self) -> None:
        self.numbers: dict[str, Any] = {}
        self.factors: Table = {}

    def start(self, tasks: list[str], total: int) -> None:
        """Before the first step."""
        self.total = total
        self.factors = dict.fromkeys(tasks, 1.0)

    @abstractmethod
    def follow(self, losses: Mapping[str, float]) -> None:
        """After a step, with the mean losses of the tasks in it."""


class Equal(Rule):
    """1 throughout."""

    def follow(self, losses: Mapping[str, float]) -> None:
        """Nothing to follow."""


class Uncertainty(Rule):
    """``exp(-v)``, where v, the logarithm of the task's noise, minimises ``exp(-v) L + v / 2`` by gradient descent."""

    RATE = 0.01

    def follow(self, losses: Mapping[str, float]) -> None:
        """A step of descent for each task seen."""
        for task, loss in losses.items():
            v = self.numbers.get(task, 0.0)
            v -= self.RATE * (0.5 - math.exp(-v) * loss)
            self.numbers[task] = v
            self.factors[task] = math.exp(-v)


class Average(Rule):
    """``T softmax(r / 2)``, where r is the task's loss in the last window of steps over that in the one before.

    The paper's windows are epochs; here they are twentieths of the run, as an epoch may be most of it.
    """

    TEMPERATURE = 2.0
    WINDOWS = 20

    def follow(self, losses: Mapping[str, float]) -> None:
        """Gather the window's means, and renew the factors at its end."""
        numbers = self.numbers
        numbers["steps"] = numbers.get("steps", 0) + 1
        sums = numbers.setdefault("sums", {})
        for task, loss in losses.items():
            total, count = sums.get(task, (0.0, 0))
            sums[task] = (total + loss, count + 1)
        if numbers["steps"] % max(1, self.total // self.WINDOWS):
            return
        means = {task: total / count for task, (total, count) in sums.items()}
        before = numbers.get("before", {})
        ratios = {task: means.get(task, 1.0) / max(before.get(task, 0.0), 1e-8) for task in self.factors}
        if before:
            known = {
                task: min(ratio, 10.0) if task in before and task in means else 1.0 for task, ratio in ratios.items()
            }
            powers = {task: math.exp(ratio / self.TEMPERATURE) for task, ratio in known.items()}
            scale = len(powers) / sum(powers.values())
            self.factors = {task: power * scale for task, power in powers.items()}
        numbers["before"], numbers["sums"] = {**before, **means}, {}


class Scale(Rule):
    """1 / m, where m is the running mean of the task's loss; all scaled to the mean 1."""

    DECAY = 0.99

    def follow(self, losses: Mapping[str, float]) -> None:
        """Renew the means."""
        for task, loss in losses.items():
            total, weight = self.numbers.get(task, (0.0, 0.0))
            self.numbers[task] = (self.DECAY * total + (1 - self.DECAY) * loss, self.DECAY * weight + 1 - self.DECAY)
        inverse = {task: weight / max(total, 1e-4 * weight) for task, (total, weight) in self.numbers.items()}
        middle = sum(inverse.values()) / len(inverse)
        self.factors = {task: inverse.get(task, middle) / middle for task in self.factors}


RULES: Mapping[str, type[Rule]] = {"equal": Equal, "uncertainty": Uncertainty, "dwa": Average, "scale": Scale}
