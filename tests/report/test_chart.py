"""Axes with round numbers, and lines that fit them."""

from __future__ import annotations

import pytest

from biomtl.report.chart import MOST_POINTS, decimals, line_chart, rounded, thinned, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 2.2, [0, 0.5, 1.0, 1.5, 2.0]),
        (1, 240, [50, 100, 150, 200]),
        (-0.3, 0.4, [-0.2, 0, 0.2, 0.4]),
        (0.71, 0.76, [0.71, 0.72, 0.73, 0.74, 0.75, 0.76]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_labels_have_the_digits_that_tell_them_apart() -> None:
    chart = line_chart("a", "a", {"t": [(1, 0.712), (12_000, 0.76)]}, x="step", y="score")
    assert chart is not None
    assert [tick.label for tick in chart.ticks(0)] == ["2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]
    assert [tick.label for tick in chart.ticks(1)] == ["0.71", "0.72", "0.73", "0.74", "0.75", "0.76"]
    assert decimals([0.25, 0.5]) == 2
    few = line_chart("a", "a", {"t": [(1, 0.5), (6, 0.6)]}, x="step", y="score")
    assert few is not None
    assert [tick.label for tick in few.ticks(0)] == ["1", "2", "3", "4", "5", "6"], "there is no step 1.5"


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (3.0, 3.0), (-2.0, -2.0), (1e-9, 2e-9), (5.0, 1e9)])
def test_ends_hold_the_values(low: float, high: float) -> None:
    bottom, top = rounded(low, high)
    assert bottom <= low <= high <= top
    assert bottom < top


def test_lines_are_thinned_and_drawn_upwards() -> None:
    curve = [(float(i), i / 10) for i in range(10_000)]
    assert len(thinned(curve)) == MOST_POINTS
    assert (thinned(curve)[0], thinned(curve)[-1]) == (curve[0], curve[-1])
    chart = line_chart("a", "a", {"t": [(0, 0.0), (1, 1.0)]}, x="x", y="y", dashed={"t": [(0, 0.5)]})
    assert chart is not None
    assert chart.path(chart.lines[0]) == "0.0,1000.0 1000.0,0.0", "SVG's y grows downwards"
    assert chart.lines[1].colour == chart.lines[0].colour
    assert line_chart("a", "a", {"t": []}, x="x", y="y") is None
