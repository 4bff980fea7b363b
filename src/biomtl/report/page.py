"""``report.html``: a run on one page, in one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from biomtl.errors import visible
from biomtl.report.answers import Answers, read_answers
from biomtl.report.chart import Chart
from biomtl.report.confidence import confidence_charts
from biomtl.report.curves import learning_charts, mixing_chart, mixing_table, read_log
from biomtl.report.errors import KINDS, Case, cases, confused_types, fair_shares
from biomtl.report.lengths import TextLengths, class_names, lengths, shown_classes
from biomtl.report.scores import Baseline, other_data, score_rows, source_link, suite_tables
from biomtl.results import FILE, Results, SplitScore
from biomtl.scoring.result import Confusion
from biomtl.storage.files import atomic_file
from biomtl.suite import Suite
from biomtl.tasks.task import Split

PAGE = "report.html"
Change = tuple[str, str, str]
"""A key of the recipe, its value and its default."""


@dataclass(frozen=True)
class TaskPart:
    """What the page says of one task's answers on one split."""

    task: str
    split: Split
    score: SplitScore
    confusion: Confusion | None
    charts: tuple[Chart, ...] = ()
    calibration_error: float | None = None


@dataclass(frozen=True)
class RunReport:
    """Everything that the page shows.

    Attributes:
        folder: the run, or what ``evaluate`` wrote.
        results: its scores.
        recipe: its ``recipe.yaml``, if there is one.
        changed: the recipe's values that are not the defaults.
        learning: losses, scores on dev, learning rate.
        mixing: the tasks' shares over the run.
        log: the lines of its log.
        parts: tasks and splits, test first.
        lengths: the texts' lengths.
        errors: records with errors, by task and split, as many as a page can hold; and how many there are.
        baseline: another run.
        notes: what can't be shown, and why.
    """

    folder: Path
    results: Results
    recipe: str | None
    changed: tuple[Change, ...]
    learning: tuple[Chart, ...]
    mixing: Chart | None
    log: list[dict[str, Any]]
    parts: tuple[TaskPart, ...]
    lengths: tuple[TextLengths, ...]
    errors: Mapping[tuple[str, Split], tuple[list[Case], int]]
    baseline: Baseline | None
    notes: tuple[str, ...]

    @property
    def splits(self) -> list[Split]:
        """The scored splits, test first."""
        return sorted(self.results.mean, reverse=True)

    @property
    def parts_by_task(self) -> dict[str, list[TaskPart]]:
        """Each task's parts, test first."""
        return {task: [part for part in self.parts if part.task == task] for task in self.results.tasks}

    @property
    def charts(self) -> list[Chart]:
        """All charts, in the order of the page."""
        mixing = [self.mixing] if self.mixing else []
        return [*self.learning, *mixing, *(chart for part in self.parts for chart in part.charts)]

    @property
    def plan(self) -> Mapping[str, Any]:
        """What was planned before training; empty for runs before it was recorded."""
        plan = self.results.provenance.get("plan")
        return plan if isinstance(plan, dict) else {}


def write_report(
    folder: Path,
    suite: Suite | None = None,
    *,
    changed: Sequence[Change] = (),
    baseline: Baseline | None = None,
    texts: bool = True,
) -> Path:
    """Write ``report.html`` of a finished run, or of what ``evaluate`` wrote, from the files in its folder.

    Args:
        folder: where ``metrics.json`` is.
        suite: the gold records, without which no errors are shown.
        changed: the recipe's values that are not the defaults.
        baseline: a run to compare with.
        texts: whether the page may hold texts of the data.

    Returns:
        The page's path.
    """
    page = render(gather(folder, suite, changed=changed, baseline=baseline), texts=texts)
    with atomic_file(folder / PAGE) as stream:
        stream.write(page)
    return folder / PAGE


def gather(
    folder: Path, suite: Suite | None = None, *, changed: Sequence[Change] = (), baseline: Baseline | None = None
) -> RunReport:
    """Read and compute what the page shows; the arguments are those of ``write_report``."""
    results = Results.read(folder / FILE)
    answers, notes = read_answers(folder, results, suite) if suite is not None else ([], [])
    by_place = {(entry.task.name, entry.split): entry for entry in answers}
    found = {place: list(cases(entry)) for place, entry in by_place.items()}
    shares = fair_shares([len(entry) for entry in found.values()])
    log = read_log(folder / "log.jsonl")
    planned = results.provenance.get("plan")
    tasks = planned.get("tasks", {}) if isinstance(planned, dict) else {}
    recipe = folder / "recipe.yaml"
    return RunReport(
        folder=folder,
        results=results,
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else None,
        changed=tuple(changed),
        learning=tuple(learning_charts(log)),
        mixing=mixing_chart(log, {task: facts["share"] for task, facts in tasks.items()}),
        log=log,
        parts=tuple(
            _part(task, split, score, by_place.get((task, split)))
            for task, splits in results.tasks.items()
            for split, score in sorted(splits.items(), reverse=True)
        ),
        lengths=tuple(lengths(entry, {case.id for case in found[place]}) for place, entry in by_place.items()),
        errors={
            place: (entry[:share], len(entry)) for (place, entry), share in zip(found.items(), shares, strict=True)
        },
        baseline=baseline,
        notes=tuple(notes),
    )


def _part(task: str, split: Split, score: SplitScore, answers: Answers | None) -> TaskPart:
    if answers is None:
        return TaskPart(task, split, score, score.confusion)
    charts, error = confidence_charts(answers)
    types = confused_types(answers)
    confusion = score.confusion or (_table(types) if types else None)
    return TaskPart(task, split, score, confusion, tuple(charts), error)


def _table(counts: Counter[tuple[str, str]]) -> Confusion:
    """Gold by predicted types; the last row and column are for mentions without a counterpart."""
    names = sorted({name for pair in counts for name in pair if name})
    rows = [*names, ""]
    return Confusion((*names, "no mention"), tuple(tuple(counts[gold, found] for found in rows) for gold in rows))


def render(report: RunReport, *, texts: bool = True) -> str:
    """The page. Users' strings are escaped in the markup, and in the script's data they can't end the element."""
    templates = _templates()
    script = _packaged("page.js")
    plan = report.plan.get("tasks", {})
    return templates.get_template("page.html").render(
        name=report.folder.resolve().name,
        report=report,
        results=report.results,
        scores={split: score_rows(report.results, split, report.baseline) for split in report.splits},
        wholes={split: suite_tables(report.results, split, report.baseline) for split in report.splits},
        places={task: f"task-{number}" for number, task in enumerate(report.results.tasks)},
        other_data=other_data,
        source_link=source_link,
        mixed=mixing_table(report.log, plan),
        class_names=class_names(),
        shown_classes=shown_classes(report.lengths),
        kinds=KINDS,
        faulty={task for (task, _), (some, _) in report.errors.items() if some},
        texts=texts,
        shown=sum(len(some) for some, _ in report.errors.values()),
        faults=sum(count for _, count in report.errors.values()),
        provenance=_lines(report.results.provenance),
        style=_packaged("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_embedded(_data(report, texts)),
    )


def _templates() -> Environment:
    """The package's templates; every value is escaped, and an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader("biomtl.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    environment.globals["zip"] = zip
    return environment


def _visible(value: Any) -> Any:
    """A string with control characters and halves of surrogate pairs, which can't be written, as escapes."""
    return visible(value, keep="\n\t") if type(value) is str else value


def _packaged(name: str) -> str:
    """A style sheet or script of the package, which is markup of ours."""
    return (files("biomtl.report") / "templates" / name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    """JSON for a script element: nothing in it can be taken for markup."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(report: RunReport, texts: bool) -> dict[str, Any]:
    """What the page's script reads: the charts' points, and the errors with their texts, each text once."""
    numbers: dict[str, int] = {}
    found = [
        [
            *(task, split, case.id, [numbers.setdefault(text, len(numbers)) for text in case.texts if texts]),
            *(case.faults, case.gold, case.predicted, case.gold_marks, case.predicted_marks, case.arguments),
            case.sure,
        ]
        for (task, split), (some, _) in report.errors.items()
        for case in some
    ]
    return {
        "charts": {
            chart.id: [[line.task, line.points, line.dashed] for line in chart.lines] for chart in report.charts
        },
        "texts": list(numbers),
        "cases": found,
    }


def _lines(value: Any, above: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines of a name with dots and a value."""
    if isinstance(value, Mapping) and value:
        return [line for key, inner in value.items() for line in _lines(inner, f"{above}.{key}" if above else str(key))]
    if isinstance(value, list | tuple):
        return [(above, ", ".join(map(str, value)))]
    return [(above, str(value))]
