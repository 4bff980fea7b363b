"""Tables for the console: the plan before training and the scores after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from biomtl.scoring.result import MARK, few_units_note
from biomtl.tasks.task import Split, Task

if TYPE_CHECKING:
    from biomtl.formats.model import Attributes, Document
    from biomtl.results import Results
    from biomtl.training.data import DataPlan
    from biomtl.training.recipe import Recipe


# The tables fit into 80 columns with complete names and numbers; a user's longer task name is folded, never truncated.
NARROW: dict[str, Any] = {"show_edge": False, "pad_edge": False}


def plan_table(plan: DataPlan, tasks: Mapping[str, Task], recipe: Recipe, processes: int = 1) -> Table:
    """The contents of an epoch: each task's rows, distinct texts, share, passes over its texts, and loss weight."""
    size = f"{recipe.batch_tokens:,} positions" if recipe.batch_tokens else f"{recipe.batch_size} texts"
    title = (
        f"Plan of an epoch: {sum(plan.records.values()):,} rows with {plan.texts:,} distinct texts, "
        f"{plan.real_tokens:,} word pieces in {plan.rows:,} encoder rows; "
        f"batches of {size}, policy {recipe.policy}, mixing by {recipe.mixing}; "
        f"{processes} {'process' if processes == 1 else 'processes'}"
    )
    notes = [
        f"{task}: texts that occur in several rows with different answers: {count:,}"
        for task, count in plan.unlike.items()
    ]
    notes += plan.rebalanced
    if plan.windowed:
        notes.append(
            f"{plan.windowed:,} texts are longer than max_length {recipe.max_length}: "
            f"{plan.windows:,} overlapping windows cover them"
        )
    notes += plan.weights
    notes += [divided_note(task, count) for task, count in plan.divided.items()]
    if plan.portioned:
        notes.append(f"{plan.portioned:,} texts with very many rows of a task are encoded several times")
    if plan.truncated:
        notes.append(f"{plan.truncated:,} word pieces of very long pairs don't fit max_length and are truncated")
    table = Table(title=title, caption="\n".join(notes) or None, title_justify="left", caption_justify="left", **NARROW)
    table.add_column("task", overflow="fold")
    table.add_column("type", no_wrap=True)
    for header in ("rows", "texts", "share", "passes", "weight"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in plan.tasks:
        weight = recipe.tasks[row.task].weight if row.task in recipe.tasks else 1.0
        counts = (f"{plan.records[row.task]:,}", f"{row.entries:,}")
        numbers = (*counts, f"{row.share:.1%}", f"{row.passes:.2f}", f"{weight:g}")
        table.add_row(row.task, tasks[row.task].type, *numbers)
    return table


def divided_note(task: str, count: int) -> str:
    """A line on pairs of mentions that no window of their text holds both of."""
    pairs = "1 pair is" if count == 1 else f"{count:,} pairs are"
    return f"{task}: {pairs} read from two windows, as no row of max_length holds both mentions"


def score_table(results: Results, split: Split) -> Group:
    """Each task's metrics with precision, recall, support and the 95 % interval; metrics in full name below."""
    scores = results.on(split)
    first = next(iter(scores.values()))
    table = Table(title=f"Scores on {split}", title_justify="left", **NARROW)
    table.add_column("task", overflow="fold")
    for header in ("metric", "score", "95 % interval", "precision", "recall", "support"):
        table.add_column(header, justify="right", no_wrap=True)
    titles: dict[str, str] = {}
    for name, score in scores.items():
        for i, metric in enumerate(score.metrics.values()):
            key = titles.setdefault(metric.title, f"[{len(titles) + 1}]")
            interval = "-" if metric.low is None else f"{metric.low:.3f}-{metric.high:.3f}{MARK * score.few_units}"
            precision = "-" if metric.precision is None else f"{metric.precision:.3f}"
            recall = "-" if metric.recall is None else f"{metric.recall:.3f}"
            cells = (f"{metric.value:.3f}", interval, precision, recall, f"{metric.support:,}")
            table.add_row(name if i == 0 else "", Text(key), *cells)
    table.add_section()
    table.add_row("mean", "", f"{results.mean[split]:.3f}", "", "", "", "")
    wholes = results.suite_scores(split)
    for whole in wholes:
        if whole.value is not None:
            table.add_section()
            for part, value in {**whole.parts, f"{whole.suite} score": whole.value}.items():
                table.add_row(part, "", f"{value:.3f}", "", "", "", "")
    notes = [f"{key} {title}" for title, key in titles.items()]
    notes += [whole.note for whole in wholes]
    notes.append("mean: of each task's first metric, which is used for model selection")
    notes.append(f"intervals: bootstrap over documents, {first.resamples:,} resamples, seed {first.seed}")
    few = {few_units_note(score.units, score.unit) for score in scores.values() if score.few_units}
    notes.extend(sorted(few))
    return Group(table, Text("\n".join(notes), style="dim"))


def annotation(document: Document, tasks: Iterable[str]) -> Group:
    """An annotated document (`biomtl.inference.annotate`): its text with mentions marked, and each task's results."""
    marked = Text(document.text)
    findings: dict[str, list[str]] = {task: [] for task in tasks}
    for mention in document.mentions:
        values = [value for name, value in mention.attributes if name in ("label", "score")]
        named = values[0] if values else f"{mention.text} ({mention.type}, {mention.start}-{mention.end})"
        if not values:
            marked.stylize("bold reverse", mention.start, mention.end)
        for task, probability in _finders(mention.attributes):
            findings[task].append(named + probability)
    texts = {mention.id: mention.text for mention in document.mentions}
    for relation in document.relations:
        named = f"{' - '.join(texts[argument] for _, argument in relation.arguments)} ({relation.type})"
        for task, probability in _finders(relation.attributes):
            findings[task].append(named + probability)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for task, lines in findings.items():
        table.add_row(task, Text("; ".join(lines) or "-"))
    return Group(marked, table)


def _finders(attributes: Attributes) -> Iterator[tuple[str, str]]:
    """The tasks that found something, each with its probability as displayed."""
    tasks, probabilities = ([value for name, value in attributes if name == key] for key in ("task", "probability"))
    for task, probability in zip_longest(tasks, probabilities):
        yield task, "" if probability is None else f" {float(probability):.2f}"
