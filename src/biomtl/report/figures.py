"""A report's figures as files, SVG and PNG."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.report.chart import Chart
from biomtl.report.page import RunReport, TaskPart
from biomtl.storage.files import atomic_file

DPI = 150
FORMS = ("svg", "png")


def write_figures(report: RunReport, folder: Path) -> list[Path]:
    """Write every chart and confusion matrix of a report, each as SVG and PNG.

    Returns:
        The files' paths.

    Raises:
        InputError: matplotlib isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib", path=folder, fix="pip install biomtl[plots]")
    drawn = {chart.id: _line_figure(chart) for chart in report.charts}
    for part in report.parts:
        if part.confusion is not None:
            drawn[f"confusion-{part.task}-{part.split}"] = _matrix_figure(part)
    return [_write(figure, folder / f"{name}.{form}", form) for name, figure in drawn.items() for form in FORMS]


def _line_figure(chart: Chart) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for line in chart.lines:
        style = {"linestyle": "--", "linewidth": 1.0} if line.dashed else {"linewidth": 1.5}
        name = (
            None
            if line.dashed and any(line.task == other.task and not other.dashed for other in chart.lines)
            else line.name
        )
        marker = "o" if line.dots else None
        axes.plot(
            *zip(*line.points, strict=True), color=f"C{line.colour}", marker=marker, markersize=4, label=name, **style
        )
    axes.set(xlim=(chart.low[0], chart.high[0]), ylim=(chart.low[1], chart.high[1]))
    axes.set_title(_plain(chart.title), fontsize=10)
    axes.set_xlabel(_plain(chart.x))
    axes.set_ylabel(_plain(chart.y))
    axes.grid(alpha=0.3)
    if len(chart.lines) > 1:
        axes.legend(fontsize=7, frameon=False, ncols=2)
    return figure


def _matrix_figure(part: TaskPart) -> Any:
    from matplotlib.figure import Figure

    assert part.confusion is not None
    labels, counts = part.confusion.labels, part.confusion.counts
    side = 1.8 + 0.55 * len(labels)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    largest = max(map(max, counts)) or 1
    shares = [[count / largest for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_plain(label) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="gold")
    axes.set_title(_plain(f"{part.task}, {part.split}"), fontsize=10)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if count:
                colour = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def _plain(text: str) -> str:
    """A string in which matplotlib sees no formula."""
    return "".join(character if character.isprintable() else " " for character in text).replace("$", r"\$")


def _write(figure: Any, path: Path, form: str) -> Path:
    from matplotlib import rc_context

    drawn = io.BytesIO()
    # A fixed salt and no date: the same report gives the same file.
    with rc_context({"svg.hashsalt": "biomtl", "svg.fonttype": "none"}):
        figure.savefig(drawn, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)
    with atomic_file(path, "wb") as stream:
        stream.write(drawn.getvalue())
    return path
