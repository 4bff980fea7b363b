"""A comparison as a table: for the terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from biomtl.scoring.result import FEWEST_UNITS
from biomtl.study.compare import MEAN, Cell, Comparison

MARKS = {"win": "+", "loss": "-", "tie": ""}
LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def header(comparison: Comparison) -> list[str]:
    """Column titles: the baseline's score, then each arm's score, difference and p-value."""
    first, *others = comparison.arms
    return ["task", first, *(title for arm in others for title in (arm, "difference (95 %)", "p"))]


def rows(comparison: Comparison) -> Iterator[list[str]]:
    """A row per task, then the mean, wins and ranks."""
    first, *others = comparison.arms
    for task in (*comparison.tasks, MEAN):
        cells = comparison.cells[task]
        yield [task, _value(cells[first]), *(text for arm in others for text in _tested(cells[arm]))]
    counts = {arm: "/".join(map(str, comparison.outcomes(arm))) for arm in others}
    yield ["win/tie/loss", "", *(text for arm in others for text in (counts[arm], "", ""))]
    ranks = {arm: f"{rank:.2f}" for arm, rank in comparison.ranks.items()}
    yield ["mean rank", ranks[first], *(text for arm in others for text in (ranks[arm], "", ""))]


def notes(comparison: Comparison, marks: str = "+ and - mark") -> list[str]:
    """How to read the table; ``marks`` says what stands at a difference that is more than chance."""
    lines = [f"{task}: {title}" for task, title in comparison.metrics.items()]
    tests = "Intervals: paired bootstrap over documents. p: approximate randomisation over documents, two-sided,"
    lines.append(f"Split {comparison.split}; differences from {comparison.arms[0]}, positive is better. {tests}")
    lines[-1] += " corrected by Holm over all tests of tasks (those of means apart);"
    lines[-1] += f" {comparison.resamples:,} resamples, seed {comparison.seed}. {marks} p < {comparison.level:g}."
    if least := comparison.least_p:
        few = "with so few resamples or documents"
        lines.append(f"No difference of a task can count: {few} no corrected p is below {least:.3g}.")
    if rare := [f"{task} has {units}" for task, units in comparison.units.items() if units < FEWEST_UNITS]:
        lines.append(f"Intervals from few documents say little and are usually too narrow: {', '.join(rare)}.")
    if comparison.runs > 1:
        lines.append(f"Means of {comparison.runs} runs with different seeds, ± their standard deviation.")
    if comparison.other_seeds:
        others = f"{', '.join(comparison.other_seeds)}: other seeds than {comparison.arms[0]}"
        lines.append(f"{others}, so the runs are paired in the order of their seeds.")
    if comparison.left_out:
        lines.append(f"Not compared, as not all have it: {', '.join(comparison.left_out)}.")
    return lines


def console_table(comparison: Comparison) -> Group:
    """For the terminal: one row per task and arm, which fits any number of arms."""
    table = Table(title=f"Comparison on {comparison.split}", title_justify="left", show_edge=False, pad_edge=False)
    for title in ("task", "run"):
        table.add_column(title, overflow="fold")
    for title in ("score", "difference", "95 % interval", "p", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for task in (*comparison.tasks, MEAN):
        for arm, cell in comparison.cells[task].items():
            name = task if arm == comparison.arms[0] else ""
            table.add_row(name, arm, _value(cell), *_parts(cell), cell.outcome or "")
    table.add_section()
    first, *others = comparison.arms
    for arm, rank in comparison.ranks.items():
        table.add_row("mean rank" if arm == first else "", arm, f"{rank:.2f}")
    for arm in others:
        counts = "/".join(map(str, comparison.outcomes(arm)))
        table.add_row("win/tie/loss" if arm == others[0] else "", arm, "", counts)
    return Group(table, Text("\n".join(notes(comparison, "win and loss:")), style="dim"))


def markdown(comparison: Comparison) -> str:
    """A Markdown table with its notes."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    titles = header(comparison)
    body = [line(row) for row in rows(comparison)]
    return "\n".join([line(titles), line(["---"] * len(titles)), *body, "", *(f"- {n}" for n in notes(comparison)), ""])


def latex(comparison: Comparison) -> str:
    """A LaTeX ``tabular``; the notes are comments above it."""

    def line(cells: list[str]) -> str:
        return " & ".join(latex_text(cell) for cell in cells) + r" \\"

    titles = header(comparison)
    columns = "l" + "r" * (len(titles) - 1)
    body = [line(row) for row in rows(comparison)]
    body.insert(len(comparison.tasks), r"\hline")
    comments = [f"% {note}" for note in notes(comparison)]
    opening = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", line(titles), r"\hline"]
    return "\n".join([*comments, *opening, *body, r"\hline", r"\end{tabular}", ""])


def latex_text(text: str) -> str:
    """Text in which every character that LaTeX would obey stands for itself."""
    return "".join(LATEX.get(c, c) for c in text).replace("±", r"$\pm$")


def csv_table(comparison: Comparison) -> str:
    """CSV with one row per task and arm, numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    titles = (
        "task",
        "metric",
        "run",
        "value",
        "sd",
        "difference",
        "low",
        "high",
        "p_bootstrap",
        "p",
        "p_holm",
        "outcome",
    )
    writer.writerow(titles)
    for task in (*comparison.tasks, MEAN):
        for arm, cell in comparison.cells[task].items():
            test = cell.test
            numbers = [""] * 5 if test is None else [test.difference, test.low, test.high, test.p_bootstrap, test.p]
            own = [cell.value, "" if cell.spread is None else cell.spread, *numbers]
            last = ["" if cell.p_holm is None else cell.p_holm, cell.outcome or ""]
            writer.writerow([task, comparison.metrics.get(task, ""), arm, *own, *last])
    return stream.getvalue()


def _value(cell: Cell) -> str:
    return f"{cell.value:.3f}" + ("" if cell.spread is None else f" ± {cell.spread:.3f}")


def _parts(cell: Cell) -> tuple[str, str, str]:
    if cell.test is None or cell.p_holm is None:
        return "", "", ""
    p = "<0.001" if cell.p_holm < 0.001 else f"{cell.p_holm:.3f}"
    return f"{cell.test.difference:+.3f}", f"{cell.test.low:+.3f} to {cell.test.high:+.3f}", p


def _tested(cell: Cell) -> tuple[str, str, str]:
    difference, interval, p = _parts(cell)
    return _value(cell), f"{difference} ({interval})", f"{p} {MARKS[cell.outcome or 'tie']}".strip()
