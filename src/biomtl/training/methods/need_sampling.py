"""More examples of the tasks that are furthest from their goal on dev."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from biomtl.scoring import METRICS
from biomtl.training.methods.base import Course, Method, MethodState

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel
    from biomtl.training.mixer import Mixer


class NeedSampling(Method):
    """``need_sampling``: this share of each epoch's draws goes to the tasks by need, the rest by ``policy``.

    A task's need is the relative distance of its latest dev score from its goal, ``tasks.NAME.target_score`` (1 without
    one), such as the score of a single-task run: dynamic sampling of Gottumukkala et al. (2020, ACL Anthology
    2020.acl-main.86; for translation Wang, Tsvetkov and Neubig 2020, arXiv 2004.06748). An error has no goal but a
    given one. A dev score takes effect with the next epoch. Before the first one, and where no task needs anything, the
    policy alone decides.
    """

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        self.part = value
        self.mixer: Mixer | None = None
        self.goals: Mapping[str, float] = {}
        """Higher is better, as for scores; an error's goal is negative."""
        self.errors = {name for name, task in model.tasks.items() if not METRICS[task.metric].higher_is_better}

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Find the mixer and the tasks' goals."""
        self.mixer = course.data.mixer
        given = {task: options.target_score for task, options in course.recipe.tasks.items()}
        goals = {task: given.get(task) or (None if task in self.errors else 1.0) for task in self.mixer.tasks}
        self.goals = {task: -goal if task in self.errors else goal for task, goal in goals.items() if goal is not None}

    def after_evaluation(self, scores: Mapping[str, float], step: int, model: MultiTaskModel) -> None:
        """Set the needs of the epochs that haven't begun."""
        assert self.mixer is not None
        needs = {
            task: max(0.0, goal - scores[task]) / abs(goal) if task in scores else 0.0
            for task, goal in self.goals.items()
        }
        self.mixer.need(needs, self.part)

    def state(self) -> MethodState:
        """The needs that were set, by epoch."""
        assert self.mixer is not None
        return MethodState(values={"needs": {str(epoch): list(shares) for epoch, shares in self.mixer.needs.items()}})

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """Set them again."""
        assert self.mixer is not None
        self.mixer.set_needs({int(epoch): tuple(shares) for epoch, shares in state.values["needs"].items()})
