"""Tables for people: the plan before training, the scores after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from biomtl.tasks.task import Task

if TYPE_CHECKING:
    from biomtl.inference.evaluate import Evaluation
    from biomtl.training.data import DataPlan
    from biomtl.training.recipe import Recipe


def plan_table(plan: DataPlan, tasks: Mapping[str, Task], recipe: Recipe) -> Table:
    """What an epoch holds: each task's rows, how often they are drawn, their share, the loss weight."""
    size = f"{recipe.batch_tokens:,} positions" if recipe.batch_tokens else f"{recipe.batch_size} texts"
    title = (
        f"Plan of an epoch: {plan.texts:,} texts, {plan.real_tokens:,} word pieces in {plan.rows:,} rows; "
        f"batches of {size}, policy {recipe.policy}, mixing by {recipe.mixing}"
    )
    cut = f"{plan.cut:,} word pieces of very long pairs don't fit max_length and are cut" if plan.cut else None
    table = Table(title=title, caption=cut, title_justify="left", caption_justify="left")
    table.add_column("task")
    table.add_column("type")
    for header in ("texts", "examples an epoch", "share", "passes an epoch", "loss weight"):
        table.add_column(header, justify="right")
    for row in plan.tasks:
        weight = recipe.tasks[row.task].weight if row.task in recipe.tasks else 1.0
        numbers = (f"{row.entries:,}", f"{row.examples:,.0f}", f"{row.share:.1%}", f"{row.passes:.2f}", f"{weight:g}")
        table.add_row(row.task, tasks[row.task].type, *numbers)
    return table


def score_table(evaluation: Evaluation) -> Table:
    """Each task's metrics in full name, with precision, recall, support and the 95 % interval."""
    first = next(iter(evaluation.scores.values()))
    caption = f"95 % bootstrap interval: {first.resamples:,} resamples, seed {first.seed}, documents resampled"
    table = Table(title=f"Scores on {evaluation.split}", caption=caption, title_justify="left", caption_justify="left")
    table.add_column("task")
    table.add_column("metric")
    for header in ("score", "95 % interval", "precision", "recall", "support"):
        table.add_column(header, justify="right")
    for name, score in evaluation.scores.items():
        for i, metric in enumerate(score.metrics.values()):
            interval = "-" if metric.low is None else f"{metric.low:.3f} to {metric.high:.3f}"
            precision = "-" if metric.precision is None else f"{metric.precision:.3f}"
            recall = "-" if metric.recall is None else f"{metric.recall:.3f}"
            cells = (f"{metric.value:.3f}", interval, precision, recall, f"{metric.support:,}")
            table.add_row(name if i == 0 else "", metric.title, *cells)
    table.add_section()
    table.add_row("mean", "mean of the tasks' main metrics", f"{evaluation.mean:.3f}", "", "", "", "")
    return table
