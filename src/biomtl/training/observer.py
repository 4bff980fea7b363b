"""What a run does during the loop: log, score dev and keep the best model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate.utils import broadcast_object_list

from biomtl.inference.evaluate import evaluate
from biomtl.model import MultiTaskModel
from biomtl.scoring.metrics import METRICS
from biomtl.suite import Suite
from biomtl.tasks.types.base import Record
from biomtl.training.log import RunLog
from biomtl.training.loop import Step
from biomtl.training.origin import Energy
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe import Recipe
from biomtl.training.selection import selecting_score

if TYPE_CHECKING:
    from accelerate import Accelerator


class Observer:
    """The loop's hooks for a run in ``folder``.

    Attributes:
        predictions: the best model's predictions on dev, if this process made them.
        energy: what the machine has used since the run was started or resumed.
    """

    def __init__(
        self, model: MultiTaskModel, suite: Suite, recipe: Recipe, accelerator: Accelerator, folder: Path
    ) -> None:
        self.model, self.suite, self.recipe = model, suite, recipe
        self.accelerator, self.folder = accelerator, folder
        self.energy = Energy()
        self.predictions: Mapping[str, list[Record]] | None = None
        self._latest: Mapping[str, list[Record]] | None = None
        self._saved: Path | None = None
        self._log: RunLog | None = None

    @property
    def log(self) -> RunLog:
        """The run's log, once the loop has started."""
        assert self._log is not None
        return self._log

    def on_start(self, progress: Progress, total: int) -> None:
        """Open the log, without the lines that an interrupted run wrote after its checkpoint."""
        if self.recipe.report_to:
            place = self.accelerator.project_configuration
            place.project_dir = place.logging_dir = str(self.folder)
            self.accelerator.init_trackers("biomtl")
        self._log = RunLog(self.folder / "log.jsonl", self.accelerator, total, keep=progress.step)

    def on_step(self, step: Step) -> None:
        """Log a step."""
        self.log.step(step)
        self.energy.read()

    def evaluate(self, progress: Progress) -> DevScores:
        """Score the tasks that have dev.

        All processes predict, so that none waits long, and take the scores of the first: what they decide by them must
        be the same, and sums on another GPU may differ in the last bit.
        """
        result = evaluate(self.model, self.suite, "dev", resamples=0, bf16=self.recipe.bf16)
        scores = {name: {"metric": s.main.id, "value": s.main.value} for name, s in result.scores.items()}
        self.log.evaluation(progress.step, progress.seconds, "dev", scores, result.mean)
        self._latest = result.predictions
        gains = {name: result.gain(name) for name in result.scores}
        errors = any(not METRICS[score.main.id].higher_is_better for score in result.scores.values())
        chosen = selecting_score(self.recipe.metric_for_best_model, gains, result.mean)
        [scores] = broadcast_object_list([DevScores(chosen, gains, errors)])
        return scores

    def note(self, line: str) -> None:
        """Tell the user something in the middle of the run."""
        self.log.note(line)

    def save_best(self) -> None:
        """Save the current model."""
        self.predictions = self._latest
        if self.accelerator.is_main_process:
            # A frozen encoder, such as a biLM of 370 MB, need not be written at every improvement.
            same = self._saved if self.model.encoder.frozen else None
            self.model.save_pretrained(self.folder / "model", overwrite=True, encoder_from=same)
            self._saved = self.folder / "model"

    def close(self) -> None:
        """End the log."""
        if self._log is not None:
            self._log.close()
