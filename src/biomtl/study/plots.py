"""Plots of studies as SVG, without any library. They follow the light or dark setting of whoever looks at them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape

CELL = 76
CHARACTER = 7.5  # pixels: what a character of a name takes at most on average
STRONGEST = 0.6  # opacity of the largest value's cell: text is readable on every cell, in light and dark
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1c2530 } .title { font-size: 14px; font-weight: 600 }
.soft { fill: #5b6775 } .sheet { fill: #fff } .gain { fill: #1f6fb4 } .loss { fill: #b5520f } .sure { font-weight: 700 }
@media (prefers-color-scheme: dark) { text { fill: #e3e8ed } .soft { fill: #9aa7b4 } .sheet { fill: #14181d } }
</style>"""


def matrix_plot(
    names: Sequence[str],
    values: Mapping[tuple[str, str], float],
    sure: Collection[tuple[str, str]],
    alone: Mapping[str, float],
    title: str,
) -> str:
    """A heat map of what the task of a row gains from that of a column, blue above zero and brown below.

    Args:
        names: the tasks.
        values: the gain of a task (row) from another (column).
        sure: those that are more than chance: bold, with a star.
        alone: each task's own score, on the diagonal.
        title: what the values are.
    """
    notes = ["row: the task that is scored; column: the task it was trained with", "diagonal: its score when alone"]
    notes += ["* p < 0.05 after Holm's correction"] * bool(sure)
    longest = max(map(len, names), default=0) * CHARACTER
    left, top = 20 + longest, 60 + 16 * len(notes) + longest * 0.71
    width = max(left + CELL * len(names) + longest * 0.71, CHARACTER * max(map(len, [title, *notes])))
    parts = _opening(width + 10, top + CELL * len(names) + 10, title)
    parts += [f'<text class="soft" x="10" y="{46 + 16 * i}">{escape(note)}</text>' for i, note in enumerate(notes)]
    largest = max(map(abs, values.values()), default=0.0) or 1.0
    for number, name in enumerate(names):
        across, down = left + CELL * (number + 0.5), top + CELL * (number + 0.5) + 4
        parts.append(f'<text x="{left - 8:g}" y="{down:g}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text transform="translate({across:g},{top - 8:g}) rotate(-45)">{escape(name)}</text>')
        own = f"{alone[name]:.3f}" if name in alone else ""
        parts.append(f'<text class="soft" x="{across:g}" y="{down:g}" text-anchor="middle">{own}</text>')
    for (row, column), value in values.items():
        x, y = left + CELL * names.index(column), top + CELL * names.index(row)
        kind, opacity = "gain" if value >= 0 else "loss", STRONGEST * abs(value) / largest
        side = CELL - 2
        parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{side}" height="{side}" opacity="{opacity:.3f}"/>'
        )
        known, star = (' class="sure"', "*") if (row, column) in sure else ("", "")
        middle = f'x="{x + side / 2:g}" y="{y + side / 2 + 4:g}" text-anchor="middle"'
        parts.append(f"<text{known} {middle}>{round(value, 3) + 0.0:+.3f}{star}</text>")
    return "\n".join([*parts, "</svg>\n"])


def bar_plot(values: Mapping[str, float], title: str) -> str:
    """Horizontal bars, the longest first."""
    ordered = sorted(values.items(), key=lambda entry: -entry[1])
    largest = max(values.values(), default=0.0) or 1.0
    left = 20 + max(map(len, values), default=0) * CHARACTER
    parts = _opening(max(left + 400, CHARACTER * len(title) + 20), 50 + 26 * len(ordered), title)
    for number, (name, value) in enumerate(ordered):
        y = 44 + 26 * number
        length = round(330 * value / largest, 1)
        parts.append(f'<text x="{left - 8:g}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="gain" x="{left:g}" y="{y}" width="{length}" height="20"/>')
        parts.append(f'<text x="{left + length + 8:g}" y="{y + 15}">{value:.3f}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _opening(width: float, height: float, title: str) -> list[str]:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" {size}>{STYLE}',
        f'<rect class="sheet" {size}/><text class="title" x="10" y="24">{escape(title)}</text>',
    ]
