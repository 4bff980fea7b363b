"""A line chart with axes, for a page to draw and for a file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

COLOURS = 10  # of lines, after which they repeat
MOST_POINTS = 240  # of a line: more can't be told apart at the chart's width
TICKS = 6
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Curve = Sequence[tuple[float, float]]
"""Points (x, y), by x."""


@dataclass(frozen=True)
class Tick:
    """A grid line: its value, its place as a percentage of the axis, and its label."""

    value: float
    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve; those of one ``task`` are switched together and have one colour."""

    name: str
    task: str
    colour: int
    points: tuple[tuple[float, float], ...]
    dashed: bool = False
    dots: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart; ``low`` and ``high`` are the ends of its axes.

    Attributes:
        id: its name in files and in the page.
        title: what it shows.
        x: the name of the x axis.
        y: the name of the y axis.
        lines: the curves.
        low: the least x and y.
        high: the largest x and y.
    """

    id: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def tasks(self) -> dict[str, int]:
        """The tasks that can be switched, with their colours."""
        return {line.task: line.colour for line in self.lines}

    def ticks(self, axis: int) -> list[Tick]:
        """The grid lines of the x axis (0) or the y axis (1)."""
        low, high = self.low[axis], self.high[axis]
        whole = axis == 0 and all(float(x).is_integer() for line in self.lines for x, _ in line.points)
        values = ticks(low, high, whole=whole and high - low > 1)
        digits = decimals(values)
        return [Tick(v, round(100 * (v - low) / (high - low), 2), f"{v:,.{digits}f}") for v in values]

    def path(self, line: Line) -> str:
        """The line in a square of 1000 units, where y grows downwards."""
        return " ".join(f"{1000 * self._share(x, 0):.1f},{1000 * (1 - self._share(y, 1)):.1f}" for x, y in line.points)

    def places(self, line: Line) -> list[tuple[float, float]]:
        """The line's points in percent from the left and from the top."""
        return [(round(100 * self._share(x, 0), 2), round(100 * (1 - self._share(y, 1)), 2)) for x, y in line.points]

    def _share(self, value: float, axis: int) -> float:
        return (value - self.low[axis]) / (self.high[axis] - self.low[axis])


def line_chart(
    id: str,
    title: str,
    curves: Mapping[str, Curve],
    *,
    x: str,
    y: str,
    dashed: Mapping[str, Curve] | None = None,
    ends: tuple[float, float] | None = None,
    dots: bool = False,
    joined: bool = True,
) -> Chart | None:
    """The chart of some curves by task; None if there are no points.

    Args:
        id: its name in files and in the page.
        title: what it shows.
        curves: the points of each task.
        x: the name of the x axis.
        y: the name of the y axis.
        dashed: further lines of the same tasks, such as what was planned.
        ends: the ends of the y axis; default what the values need.
        dots: mark the points.
        joined: draw the lines between them.
    """
    dashed = dashed or {}
    colours = {name: number % COLOURS for number, name in enumerate(dict.fromkeys((*curves, *dashed)))}
    lines = [
        Line(name, name, colours[name], thinned(curve), is_dashed, dots and not is_dashed, joined or is_dashed)
        for side, is_dashed in ((curves, False), (dashed, True))
        for name, curve in side.items()
        if curve
    ]
    points = [point for line in lines for point in line.points]
    if not points:
        return None
    first, last = min(p[0] for p in points), max(p[0] for p in points)
    bottom, top = ends or rounded(min(p[1] for p in points), max(p[1] for p in points))
    if first == last:
        first, last = first - 1, last + 1
    return Chart(id, title, x, y, tuple(lines), (first, bottom), (last, top))


def thinned(curve: Curve) -> tuple[tuple[float, float], ...]:
    """The curve with at most ``MOST_POINTS`` points, among them the first and the last."""
    if len(curve) <= MOST_POINTS:
        return tuple(curve)
    step = (len(curve) - 1) / (MOST_POINTS - 1)
    return tuple(curve[round(i * step)] for i in range(MOST_POINTS))


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About six round values from ``low`` to ``high``, a 1, 2, 2.5 or 5 times a power of ten apart."""
    step = _step(high - low, TICKS)
    if whole and not step.is_integer():
        step = math.ceil(step)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def rounded(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis at round values around these; an axis that nearly starts at 0 starts there."""
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    if low == high:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    step = _step(high - low, TICKS)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def decimals(values: Iterable[float]) -> int:
    """The digits after the point that tell the values apart."""
    return max((_digits(value) for value in values), default=0)


def _digits(value: float) -> int:
    return next((digits for digits in range(7) if math.isclose(value, round(value, digits), abs_tol=1e-9)), 7)


def _step(span: float, most: int) -> float:
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
