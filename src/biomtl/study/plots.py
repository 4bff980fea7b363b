"""Plots of studies as SVG, without any library."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape

CELL, LEFT, TOP = 76, 150, 130
FONT = 'font-family="sans-serif" font-size="12"'


def matrix_plot(
    names: Sequence[str], values: Mapping[tuple[str, str], float], sure: Collection[tuple[str, str]], title: str
) -> str:
    """A heat map of values by row and column, blue above zero and orange below; sure ones are bold, with a star."""
    width, height = LEFT + CELL * len(names) + 10, TOP + CELL * len(names) + 10
    largest = max((abs(value) for value in values.values()), default=0.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/><text x="10" y="20">{escape(title)}</text>',
    ]
    for number, name in enumerate(names):
        across, down = LEFT + CELL * number + CELL // 2, TOP + CELL * number + CELL // 2
        parts.append(f'<text x="{LEFT - 8}" y="{down + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text transform="translate({across},{TOP - 8}) rotate(-45)">{escape(name)}</text>')
    for (row, column), value in values.items():
        x, y = LEFT + CELL * names.index(column), TOP + CELL * names.index(row)
        colour = "#1f6fb4" if value >= 0 else "#d1651b"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" fill="{colour}" '
            f'fill-opacity="{0.08 + 0.82 * abs(value) / largest:.3f}"/>'
        )
        weight = ' font-weight="bold"' if (row, column) in sure else ""
        star = "*" if (row, column) in sure else ""
        middle = f'x="{x + CELL // 2 - 1}" y="{y + CELL // 2 + 3}" text-anchor="middle"'
        parts.append(f"<text {middle}{weight}>{value:+.3f}{star}</text>")
    return "".join([*parts, "</svg>\n"])


def bar_plot(values: Mapping[str, float], title: str) -> str:
    """Horizontal bars, the longest first."""
    ordered = sorted(values.items(), key=lambda entry: -entry[1])
    largest = max(values.values(), default=0.0) or 1.0
    height = 40 + 26 * len(ordered)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" {FONT}>',
        f'<rect width="640" height="{height}" fill="#fff"/><text x="10" y="20">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(ordered):
        y = 34 + 26 * number
        length = round(330 * value / largest, 1)
        parts.append(f'<text x="220" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="228" y="{y}" width="{length}" height="20" fill="#1f6fb4"/>')
        parts.append(f'<text x="{236 + length}" y="{y + 15}">{value:.3f}</text>')
    return "".join([*parts, "</svg>\n"])
