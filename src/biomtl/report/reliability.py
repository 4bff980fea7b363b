"""A reliability diagram as SVG: how often predictions are right, by how sure they are."""

from __future__ import annotations

from html import escape

from biomtl.tasks.calibration import Reliability

SIZE, MARGIN = 320, 48


def reliability_plot(title: str, before: Reliability, after: Reliability) -> str:
    """Both curves against the diagonal; a point's size shows its share of the predictions."""
    low, high = MARGIN, SIZE - MARGIN / 2

    def across(share: float) -> float:
        return round(low + share * (high - low), 1)

    def down(share: float) -> float:
        return round(SIZE - across(share), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE + 40}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{SIZE}" height="{SIZE + 40}" fill="#fff"/>',
        f'<text x="{low}" y="18">{escape(title)}</text>',
        f'<path d="M{across(0)} {down(0)}L{across(1)} {down(1)}" stroke="#9aa5b1" stroke-dasharray="4" fill="none"/>',
        f'<path d="M{across(0)} {down(1)}V{down(0)}H{across(1)}" stroke="#52606d" fill="none"/>',
        *(f'<text x="{across(v)}" y="{down(0) + 16}" text-anchor="middle">{v:g}</text>' for v in (0, 0.5, 1)),
        *(f'<text x="{low - 6}" y="{down(v) + 4}" text-anchor="end">{v:g}</text>' for v in (0, 0.5, 1)),
        f'<text x="{across(0.5)}" y="{SIZE - 4}" text-anchor="middle">probability (across), share right (up)</text>',
    ]
    for number, (name, colour, values) in enumerate(
        (("as trained", "#d1651b", before), ("calibrated", "#1f6fb4", after))
    ):
        total = sum(entry.count for entry in values.bins) or 1
        points = [(across(entry.confidence), down(entry.accuracy), entry.count / total) for entry in values.bins]
        path = "L".join(f"{x} {y}" for x, y, _ in points)
        parts.append(f'<path d="M{path}" stroke="{colour}" fill="none"/>')
        parts += [
            f'<circle cx="{x}" cy="{y}" r="{2 + 6 * s**0.5:.1f}" fill="{colour}" fill-opacity=".7"/>'
            for x, y, s in points
        ]
        said = f"{name}: expected calibration error {values.error:.3f}"
        parts.append(f'<text x="{low}" y="{SIZE + 14 + 16 * number}" fill="{colour}">{said}</text>')
    return "".join([*parts, "</svg>\n"])
