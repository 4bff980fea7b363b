"""Masking two mentions of a sentence with placeholders, as in BLUE's relation tasks."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked text; ``first`` and ``second`` are the spans of the two arguments' placeholders.

    The spans are equal if one placeholder stands for both.
    """

    text: str
    first: Span
    second: Span


def mask(text: str, first: Span, second: Span, names: tuple[str, str], joint: str) -> Masked:
    """Replace two spans (0-based characters, end exclusive) of ``text`` with placeholders.

    Spans that overlap or touch become one ``joint`` placeholder over their union. Otherwise the one on the LEFT
    becomes ``names[0]`` and the other ``names[1]``, whichever is the first argument: this is BLUE's rule, so in
    ChemProt a gene that precedes its chemical becomes ``@CHEMICAL$``. Other mentions remain as text.
    """
    left, right = sorted((first, second))
    if right[0] <= left[1]:
        start, end = left[0], max(left[1], right[1])
        span = (start, start + len(joint))
        return Masked(text[:start] + joint + text[end:], span, span)
    between = text[left[1] : right[0]]
    spans = [(left[0], left[0] + len(names[0]))]
    begin = spans[0][1] + len(between)
    spans.append((begin, begin + len(names[1])))
    masked = text[: left[0]] + names[0] + between + names[1] + text[right[1] :]
    return Masked(masked, *(spans if first == left else reversed(spans)))
