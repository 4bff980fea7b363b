"""The content of ``metrics.json``: every task's scores on every scored split, their mean, and their provenance.

The file is written by a run, by ``evaluate`` and by ``elmoft``; report, model card and tables read it through
:class:`Results`, so that there is one definition of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from biomtl.errors import InputError
from biomtl.scoring.result import Confusion, MetricResult, Score
from biomtl.scoring.suite import SuiteScore, suite_scores
from biomtl.storage.files import write_json
from biomtl.storage.structured import read_json
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Split

FILE = "metrics.json"
FORMAT = 1  # increased when a field changes its meaning; files without a number are of format 1


def run_folder(folder: Path) -> Path:
    """The run that a folder stands for: itself or, of a recipe with stages, its joint run."""
    joint = folder / "joint"
    staged = (folder / "recipe.yaml").is_file() and not (folder / FILE).exists()
    return joint if staged and (joint / FILE).is_file() else folder


class Scored(Protocol):
    """A split with its scores, such as :class:`~biomtl.inference.evaluate.Evaluation`."""

    @property
    def split(self) -> Split:
        """The split."""
        ...

    @property
    def scores(self) -> Mapping[str, Score]:
        """Each task's score."""
        ...

    @property
    def mean(self) -> float:
        """The mean of the tasks' main metrics, higher is better."""
        ...


class SplitScore(BaseModel):
    """A task's score on one split: the main metric's title and value, then all results of scoring."""

    model_config = ConfigDict(frozen=True)

    metric: str = Field(description="the main metric's full name")
    value: float = Field(description="its value as a fraction of 1 (mse in squared score units)")
    task: str
    main: str = Field(description="the main metric's id")
    metrics: dict[str, MetricResult] = Field(description="every metric by id, the main one first")
    rows: int
    units: int = Field(description="number of units for the bootstrap")
    unit: str
    seed: int
    resamples: int
    few_units: bool = Field(False, description="whether there are so few units that the intervals say little")
    confusion: Confusion | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, score: Score) -> SplitScore:
        """The record of a score."""
        return cls(metric=score.main.title, value=score.main.value, **score.to_dict())


class Results(BaseModel):
    """The content of ``metrics.json``."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    tasks: dict[str, dict[Split, SplitScore]]
    mean: dict[Split, float] = Field(description="of the tasks' main metrics; an error counts negative")
    suites: dict[str, dict[Split, SuiteScore]] = Field(
        default_factory=dict, description="scores of suites in parts, such as BLURB, whose every task was scored"
    )
    provenance: dict[str, Any] = Field(description="versions, seed, data checksums, command")

    @classmethod
    def of(cls, scored: Iterable[Scored], provenance: Mapping[str, Any]) -> Results:
        """The results of scored splits, in the given order."""
        scored = list(scored)
        tasks: dict[str, dict[Split, SplitScore]] = {}
        for evaluation in scored:
            for name, score in evaluation.scores.items():
                tasks.setdefault(name, {})[evaluation.split] = SplitScore.of(score)
        means = {evaluation.split: evaluation.mean for evaluation in scored}
        results = cls(tasks=tasks, mean=means, provenance=dict(provenance))
        for split in means:
            for whole in results.suite_scores(split):
                if whole.value is not None:
                    results.suites.setdefault(whole.suite, {})[split] = whole
        return results

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """The results in a file, of this format or an older one.

        Raises:
            InputError: no such file, not JSON, missing or wrong fields, or a newer format.
        """
        path = Path(path)
        content = read_json(path, "the scores of a finished run")
        file_format = content.get("format", FORMAT)
        if isinstance(file_format, int) and file_format > FORMAT:
            raise InputError(
                f"scores of format {file_format}", path=path, expected=f"{FORMAT} or older", fix="update biomtl"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(step) for step in first["loc"])
            raise InputError(
                f"{field}: {first['msg']}".strip(": "), path=path, expected="the scores of a run"
            ) from error

    @classmethod
    def of_model(cls, folder: str | Path) -> Results | None:
        """The results of the run that a model folder belongs to (``RUN`` or ``RUN/model``); None if it has none."""
        folder = run_folder(Path(folder).absolute())
        for place in (folder, *([folder.parent] if folder.name == "model" else [])):
            if (place / FILE).is_file():
                return cls.read(place / FILE)
        return None

    def write(self, path: str | Path) -> None:
        """Write the file; a reader sees either the old file or the complete new one."""
        write_json(path, self.model_dump(mode="json", exclude=None if self.suites else {"suites"}))

    def on(self, split: Split) -> dict[str, SplitScore]:
        """The tasks' scores on a split."""
        return {name: splits[split] for name, splits in self.tasks.items() if split in splits}

    def suite_scores(self, split: Split) -> list[SuiteScore]:
        """The scores of suites in parts on a split, also of those that lack tasks.

        Only the main metrics of the suite's own task records count: a task of that name that was scored by another
        metric is missing.
        """
        known = known_tasks()
        scores = self.on(split).items()
        return suite_scores({name: s.value for name, s in scores if name in known and s.main == known[name].metric})
