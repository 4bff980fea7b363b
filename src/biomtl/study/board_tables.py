"""A leaderboard as a table: for the terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from biomtl.study.leaderboard import Board, Entry
from biomtl.study.published import SPLIT
from biomtl.study.tables import latex_text

MEAN = "mean"


class Marks:
    """Remarks by number, in the order in which they are first used."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, remarks: str) -> str:
        """The marks of an entry's remarks, separated by commas."""
        parts = [part for part in remarks.split("; ") if part]
        return ",".join(str(n) for n in sorted(self.numbers.setdefault(p, len(self.numbers) + 1) for p in parts))


def console_table(board: Board) -> Group:
    """For the terminal: each column's systems, the best first, runs of the user's own in bold."""
    marks = Marks()
    shown: list[RenderableType] = []
    for place in board.columns:
        table = Table(title=f"{place.task}: {place.title}", title_justify="left", show_edge=False, pad_edge=False)
        table.add_column("system", overflow="fold", min_width=28)
        table.add_column("x 100", justify="right", no_wrap=True, min_width=12)
        table.add_column("remarks", no_wrap=True)
        for entry in place.entries:
            note = marks.of(entry.remarks)
            table.add_row(entry.system, _value(entry), f"[{note}]" if note else "", style="bold" if entry.ours else "")
        shown += [table, Text()]
    lines = [f"[{number}] {remark}" for remark, number in marks.numbers.items()]
    means = [f"{name} {value:.1f}" for name, value in board.means.items()]
    lines += [f"mean of the main metrics: {', '.join(means)}"] * bool(means)
    return Group(*shown, Text("\n".join([*lines, *sources(board)]), style="dim"))


def markdown(board: Board) -> str:
    """A Markdown table with systems as rows; remarks and sources below it."""

    def cell(entry: Entry, note: str) -> str:
        value = f"**{_value(entry)}**" if entry.ours else _value(entry)
        return f"{value} [{note}]" if note else value

    head, body, marks = _matrix(board, cell)
    lines = [[_plain(text) for text in row] for row in (head, ["---"] + ["---:"] * (len(head) - 1), *body)]
    notes = [f"- [{number}] {remark}" for remark, number in marks.numbers.items()]
    notes += [f"- {note}" for note in [*metrics(board), *sources(board)]]
    return "\n".join(["| " + " | ".join(row) + " |" for row in lines] + ["", *notes, ""])


def latex(board: Board) -> str:
    """A LaTeX ``tabular``; remarks and sources are comments above it."""

    def cell(entry: Entry, note: str) -> str:
        value = latex_text(_value(entry))
        return (rf"\textbf{{{value}}}" if entry.ours else value) + (rf"\textsuperscript{{{note}}}" if note else "")

    head, body, marks = _matrix(board, cell)
    notes = [f"% [{number}] {remark}" for remark, number in marks.numbers.items()]
    notes += [f"% {note}" for note in [*metrics(board), *sources(board)]]
    rows = [" & ".join([latex_text(row[0]), *row[1:]]) + r" \\" for row in body]
    ours = len(body) - len({entry.system for place in board.columns for entry in place.entries if entry.ours})
    if ours < len(body):
        rows.insert(ours, r"\hline")
    titles = " & ".join(latex_text(title) for title in head) + r" \\"
    opening = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\hline", titles, r"\hline"]
    return "\n".join([*notes, *opening, *rows, r"\hline", r"\end{tabular}", ""])


def csv_table(board: Board) -> str:
    """CSV with one row per column and system, numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("task", "metric", "split", "system", "ours", "value", "sd", "remarks", "source"))
    for place in board.columns:
        for entry in place.entries:
            sd = "" if entry.sd is None else entry.sd
            own = "yes" if entry.ours else "no"
            cells = (entry.system, own, entry.value, sd, entry.remarks, entry.source)
            writer.writerow([place.task, place.metric, SPLIT, *cells])
    return stream.getvalue()


def metrics(board: Board) -> list[str]:
    """What each column's number is."""
    lines = [f"{_name(board, i)}: {place.title}, {SPLIT} split, x100" for i, place in enumerate(board.columns)]
    return lines + [f"{MEAN}: over the tasks' own metrics, for systems with all of them"] * bool(board.means)


def sources(board: Board) -> list[str]:
    """Where each published number was read, and what could not be placed."""
    systems: dict[str, dict[str, None]] = {}
    for place in board.columns:
        for entry in place.entries:
            if not entry.ours:
                systems.setdefault(entry.source, {})[entry.system] = None
    lines = [f"{', '.join(names)}: {source}" for source, names in systems.items()]
    return lines + [f"Without published scores: {', '.join(board.left_out)}"] * bool(board.left_out)


def _matrix(board: Board, cell: Callable[[Entry, str], str]) -> tuple[list[str], list[list[str]], Marks]:
    """Titles and rows: a system, its score in each column, and its mean where it has all."""
    marks = Marks()
    head = ["system", *(_name(board, i) for i in range(len(board.columns))), *([MEAN] if board.means else [])]
    rows = []
    for system in board.systems:
        found = [next((e for e in place.entries if e.system == system), None) for place in board.columns]
        cells = ["" if entry is None else cell(entry, marks.of(entry.remarks)) for entry in found]
        mean = [f"{board.means[system]:.1f}" if system in board.means else ""] if board.means else []
        rows.append([system, *cells, *mean])
    return head, rows, marks


def _name(board: Board, number: int) -> str:
    """A column's name: the task, and the metric where the task has several columns."""
    place = board.columns[number]
    several = sum(other.task == place.task for other in board.columns) > 1
    return f"{place.task} ({place.metric})" if several else place.task


def _value(entry: Entry) -> str:
    digits = f"{entry.value:.2f}" if entry.ours else f"{entry.value:.2f}".removesuffix("0")
    return digits + ("" if entry.sd is None else f" ± {entry.sd:.1f}")


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
