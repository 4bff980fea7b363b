"""``biomtl score --suite``: every task of a suite, and the suite's own score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from biomtl.cli.gold import suite_sides
from biomtl.cli.say import say_json
from biomtl.report.console import table_console
from biomtl.report.tables import NARROW
from biomtl.scoring import Score
from biomtl.scoring import score as compute
from biomtl.scoring.result import MARK
from biomtl.scoring.suite import SuiteScore, suite_score
from biomtl.tasks.registry import PARTS
from biomtl.tasks.task import Split


def score_suite(
    gold: Path, predicted: Path | None, suite: str, split: Split, *, seed: int, resamples: int, as_json: bool
) -> None:
    """Score the tasks of a suite that ``gold`` has, and print them by the suite's parts.

    Raises:
        InputError: not a suite in parts, none of its tasks, or a task whose predictions are missing or bad.
    """
    suite_score(suite, {})  # a suite without a score is reported before files are read
    sides = suite_sides(gold, predicted, suite, split)
    scores = {task.name: compute(task, rows, file, seed=seed, resamples=resamples) for task, rows, file in sides}
    whole = suite_score(suite, {name: score.main.value for name, score in scores.items()})
    if as_json:
        content = {**asdict(whole), "tasks": {name: score.to_dict() for name, score in scores.items()}}
        say_json(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2))
        return
    console = table_console()
    console.print(table(whole, scores, split))
    if whole.missing:
        console.print(whole.note, markup=False, highlight=False, soft_wrap=True)


def table(whole: SuiteScore, scores: Mapping[str, Score], split: Split) -> Table:
    """A row for each part of the suite and for each of its tasks, and the suite's score."""
    shown = Table(title=f"{whole.suite} on {split}", title_justify="left", **NARROW)
    shown.add_column("part, task", overflow="fold")
    shown.add_column("main metric", overflow="fold")
    for header in ("score", "95 % interval"):
        shown.add_column(header, justify="right", no_wrap=True)
    for part, tasks in PARTS[whole.suite].items():
        shown.add_row(part, "mean", f"{whole.parts[part]:.4f}" if part in whole.parts else "-", "", style="bold")
        for name in tasks:
            if name in scores:
                score, main = scores[name], scores[name].main
                interval = "-" if main.low is None else f"{main.low:.4f} - {main.high:.4f}{MARK * score.few_units}"
                shown.add_row(f"  {name}", main.title.partition(" (")[0], f"{main.value:.4f}", interval)
    if whole.value is not None:
        shown.add_section()
        shown.add_row(f"{whole.suite} score", "mean of the parts", f"{whole.value:.4f}", "", style="bold")
    return shown
