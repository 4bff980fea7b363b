"""``report.html``: a run on one page that opens anywhere, without scripts or network."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biomtl.files import atomic_file, read_jsonl

WIDTH, HEIGHT, MARGIN = 760, 260, 44
COLOURS = ("#1f6fb4", "#d1651b", "#2f8f46", "#b93b3b", "#7a57b5", "#80593f", "#c2579f", "#5c6570", "#8f8b1e", "#1795a3")
SMOOTHING = 0.95  # of the loss curves: single batches jump too much to be read
STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .7em; text-align: right }
th:first-child, td:first-child, td:nth-child(2) { text-align: left } tr + tr { border-top: 1px solid #8884 }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: currentColor } pre { overflow: auto }
"""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` of a finished run from what lies in its folder.

    Returns:
        The page's path.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    lines = [line for _, line in read_jsonl(folder / "log.jsonl")]
    steps = [line for line in lines if "loss" in line]
    evaluations = [line for line in lines if "scores" in line]
    parts = [
        f"<h1>{html.escape(folder.name)}</h1>",
        *[_scores(split, metrics) for split in metrics["mean"]],
        "<h2>Loss per task</h2>",
        _chart(_losses(steps), "smoothed loss"),
    ]
    if len(evaluations) > 1:
        parts += ["<h2>Scores on dev during training</h2>", _chart(_dev(evaluations), "main metric")]
    parts += ["<h2>Recipe</h2>", f"<pre>{html.escape((folder / 'recipe.yaml').read_text(encoding='utf-8'))}</pre>"]
    provenance = json.dumps(metrics["provenance"], indent=2, ensure_ascii=False)
    parts += ["<h2>Provenance</h2>", f"<pre>{html.escape(provenance)}</pre>"]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(folder.name)}</title>'
    page = f"{head}<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    with atomic_file(folder / "report.html") as stream:
        stream.write(page)
    return folder / "report.html"


def _scores(split: str, metrics: Mapping[str, Any]) -> str:
    rows = []
    for task, splits in metrics["tasks"].items():
        for i, metric in enumerate(splits.get(split, {}).get("metrics", {}).values()):
            interval = "" if metric["low"] is None else f"{metric['low']:.3f} to {metric['high']:.3f}"
            numbers = ["" if metric[key] is None else f"{metric[key]:.3f}" for key in ("precision", "recall")]
            cells = [task if i == 0 else "", metric["title"], f"{metric['value']:.3f}", interval, *numbers]
            rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in [*cells, f"{metric['support']:,}"]))
    headers = ("task", "metric", "score", "95 % interval", "precision", "recall", "support")
    head = "".join(f"<th>{header}</th>" for header in headers)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    mean = f"<p>Mean of the tasks' main metrics: {metrics['mean'][split]:.3f}</p>"
    return f"<h2>Scores on {split}</h2><table><tr>{head}</tr>{body}</table>{mean}"


def _losses(steps: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in steps:
        for task, loss in line["losses"].items():
            curve = curves.setdefault(task, [])
            before = curve[-1][1] if curve else loss
            curve.append((line["step"], SMOOTHING * before + (1 - SMOOTHING) * loss))
    return curves


def _dev(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in evaluations:
        for task, score in line["scores"].items():
            curves.setdefault(task, []).append((line["step"], score["value"]))
    return curves


def _chart(curves: Mapping[str, Sequence[tuple[float, float]]], what: str) -> str:
    """Lines over the optimiser steps as an inline SVG, each with a legend entry and a title to hover."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return "<p>No values.</p>"
    last = max(x for x, _ in points) or 1
    low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points) or 1.0
    span = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        across = MARGIN + x / last * (WIDTH - 2 * MARGIN)
        return f"{across:.1f},{HEIGHT - MARGIN - (y - low) / span * (HEIGHT - 2 * MARGIN):.1f}"

    shapes = []
    for i in range(5):
        value = low + span * i / 4
        x, y = place(0, value).split(",")
        shapes.append(f'<line x1="{x}" x2="{WIDTH - MARGIN}" y1="{y}" y2="{y}" stroke="#8884"/>')
        shapes.append(f'<text x="{MARGIN - 6}" y="{y}" text-anchor="end">{value:.2g}</text>')
    for i, (name, curve) in enumerate(sorted(curves.items())):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(place(x, y) for x, y in curve)
        label = html.escape(name)
        line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6">'
        shapes.append(f"{line}<title>{label}</title></polyline>")
        left, top = MARGIN + (i % 5) * 140, HEIGHT + 14 + 18 * (i // 5)
        shapes.append(f'<rect x="{left}" y="{top - 9}" width="10" height="10" fill="{colour}"/>')
        shapes.append(f'<text x="{left + 15}" y="{top}">{label}</text>')
    shapes.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 18}" text-anchor="end">{last:g} steps; {what}</text>')
    height = HEIGHT + 30 + 18 * ((len(curves) - 1) // 5)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{what}">{"".join(shapes)}</svg>'
