"""Small HTML views of objects for notebooks; everything that a user's data says is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from zlib import crc32

MOST_ROWS = 100  # of a table in a notebook, and of the mentions marked in a text
MOST_CHARACTERS = 20_000  # of a text in a notebook
Marked = tuple[int, int, str]
"""Start, end and type of a stretch of text."""


def html_table(headers: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table; numbers stand on the right, and of very many rows only the first are shown."""
    rows = list(rows)
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:MOST_ROWS])
    if (more := len(rows) - MOST_ROWS) > 0:
        body += f'<tr><td colspan="{len(headers)}">… and {more:,} more</td></tr>'
    top = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{top}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    number = isinstance(value, int | float)
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else str(value)
    return f'<td style="text-align:{"right" if number else "left"}">{escape(shown)}</td>'


def html_text(text: str, marked: Iterable[Marked]) -> str:
    """A text with stretches highlighted, one colour per type; a place in several of them names all their types."""
    shown = text[:MOST_CHARACTERS]
    spans = [span for span in marked if span[0] < span[1] <= len(shown)]
    borders = sorted({0, len(shown), *(end for start, end, _ in spans), *(start for start, _, _ in spans)})
    ending: dict[int, list[str]] = {}
    for _, end, kind in spans:
        ending.setdefault(end, []).append(kind)
    starts = sorted(spans, key=lambda span: (span[0], -span[1]))  # the innermost gives the colour
    parts, opened, next_span = [], list[Marked](), 0
    for start, end in pairwise(borders):
        while next_span < len(starts) and starts[next_span][0] <= start:
            opened.append(starts[next_span])
            next_span += 1
        opened = [span for span in opened if span[1] > start]
        piece = escape(shown[start:end])
        parts.append(_mark(piece, [kind for _, _, kind in opened]) if opened else piece)
        kinds = dict.fromkeys(ending.get(end, ()))
        parts += [f'<sub style="opacity:.7">{escape(kind)}</sub>' for kind in kinds]
    rest = len(text) - len(shown)
    parts.append(f"<i> … and {rest:,} more characters</i>" if rest else "")
    return f'<div style="white-space:pre-wrap;line-height:1.7">{"".join(parts)}</div>'


def _mark(piece: str, kinds: Sequence[str]) -> str:
    hue = crc32(kinds[-1].encode("utf-8", "replace")) % 360
    style = f"background:hsl({hue},70%,85%);color:#111;border-radius:3px"
    return f'<mark title="{escape("; ".join(dict.fromkeys(kinds)))}" style="{style}">{piece}</mark>'
