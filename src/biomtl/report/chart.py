"""The layout of a line chart over the optimiser steps, for a template to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, MARGIN = 760, 260, 44
TICKS = 5
COLOURS = ("#1f6fb4", "#d1651b", "#2f8f46", "#b93b3b", "#7a57b5", "#80593f", "#c2579f", "#5c6570", "#8f8b1e", "#1795a3")
LEGEND_COLUMNS, LEGEND_WIDTH, LEGEND_HEIGHT = 5, 140, 18

Curve = Sequence[tuple[float, float]]
"""Points (step, value), by step."""


@dataclass(frozen=True)
class Tick:
    """A grid line's height and value."""

    y: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve in SVG coordinates, and the position of its legend entry."""

    name: str
    colour: str
    points: str
    x: int
    y: int


@dataclass(frozen=True)
class Chart:
    """A chart in SVG units, where y increases downwards."""

    title: str
    last: str
    ticks: tuple[Tick, ...]
    curves: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = MARGIN
    right: int = WIDTH - MARGIN
    bottom: int = HEIGHT - MARGIN


def line_chart(curves: Mapping[str, Curve], title: str) -> Chart | None:
    """The chart of some curves by name; None if there are no points."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return None
    last = max(x for x, _ in points) or 1
    low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points) or 1.0
    span = (high - low) or 1.0

    def down(value: float) -> float:
        return round(HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN), 1)

    def across(step: float) -> float:
        return round(MARGIN + step / last * (WIDTH - 2 * MARGIN), 1)

    values = [low + span * i / (TICKS - 1) for i in range(TICKS)]
    lines = [
        Line(
            name=name,
            colour=COLOURS[i % len(COLOURS)],
            points=" ".join(f"{across(x)},{down(y)}" for x, y in curve),
            x=MARGIN + (i % LEGEND_COLUMNS) * LEGEND_WIDTH,
            y=HEIGHT + 14 + LEGEND_HEIGHT * (i // LEGEND_COLUMNS),
        )
        for i, (name, curve) in enumerate(sorted(curves.items()))
    ]
    return Chart(
        title=title,
        last=f"{last:g}",
        ticks=tuple(Tick(down(value), f"{value:.2g}") for value in values),
        curves=tuple(lines),
        height=HEIGHT + 30 + LEGEND_HEIGHT * ((len(lines) - 1) // LEGEND_COLUMNS),
    )
