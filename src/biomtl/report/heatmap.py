"""A heat map of the overlap between tasks, as SVG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from biomtl.audit.audit import Audit
from biomtl.errors import InputError
from biomtl.storage.files import atomic_file


def overlap_plot(audit: Audit, path: Path) -> None:
    """Draw, for dev and test, the share of each task's rows that overlaps with each task's train split.

    Raises:
        InputError: matplotlib isn't installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("the plot needs matplotlib", path=path, fix="pip install biomtl[plots]") from error
    tasks = list(dict.fromkeys(facts.task for facts in audit.splits))
    shown = [split for split in ("dev", "test") if any(facts.split == split for facts in audit.splits)]
    side = 1.6 + 0.62 * len(tasks)
    figure = Figure(figsize=(side * max(len(shown), 1) + 1.2, side), layout="constrained")
    FigureCanvasSVG(figure)
    for number, split in enumerate(shown, 1):
        values = np.zeros((len(tasks), len(tasks)))
        for overlap in audit.overlaps:
            if overlap.scored[1] == split:
                values[tasks.index(overlap.train), tasks.index(overlap.scored[0])] = 100 * overlap.share
        axes = figure.add_subplot(1, len(shown), number)
        axes.imshow(values, cmap="Blues", vmin=0, vmax=100)
        axes.set_xticks(range(len(tasks)), tasks, rotation=45, ha="right")
        axes.set_yticks(range(len(tasks)), tasks if number == 1 else [""] * len(tasks))
        axes.set_xlabel(f"scored on {split} of")
        if number == 1:
            axes.set_ylabel("trained on train of")
        for (row, column), value in np.ndenumerate(values):
            if value:
                colour = "white" if value > 50 else "black"
                axes.text(
                    column,
                    row,
                    f"{value:.1f}" if value < 10 else f"{value:.0f}",
                    ha="center",
                    va="center",
                    color=colour,
                )
    figure.suptitle("Rows with a document or (near-)duplicate text in training data, %")
    drawn = io.StringIO()
    # A fixed salt and no date: the same audit gives the same file.
    with rc_context({"svg.hashsalt": "biomtl", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    with atomic_file(path) as stream:
        stream.write("\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n")
