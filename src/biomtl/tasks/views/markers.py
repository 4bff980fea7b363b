"""Typed markers around both mentions, one text for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.views.base import Pair, View
from biomtl.text.alignment import span_positions
from biomtl.text.base import EncodedRow, Span, TextInput

BEGIN = ("@ * {type} * ", "# ^ {type} ^ ")  # of the first and second argument
END = (" @", " #")


class MarkersView(View):
    """Mentions between markers that name their types; the opening markers stand for the pair.

    The markers are punctuation, which every vocabulary has and knows from pre-training: ``@ * drug * aspirin @`` for
    the first argument, ``# ^ drug ^ warfarin #`` for the second (Zhou and Chen 2022, arXiv 2102.01373; reading the
    markers' states: Baldini Soares et al. 2019, arXiv 1906.03158).
    """

    name: ClassVar[str] = "markers"

    def text(self, pair: Pair) -> TextInput:
        """The text with markers."""
        return TextInput((marked(pair)[0],))

    def positions(self, pair: Pair, rows: Sequence[EncodedRow]) -> NDArray[np.int32] | None:
        """``[1, 2, 2]``: the opening markers, both from one row if one holds them."""
        return span_positions(rows, marked(pair)[1])[None, :, 0]


def marked(pair: Pair) -> tuple[str, tuple[Span, Span]]:
    """The text with markers, and the spans of the first character of both opening markers.

    Markers nest where mentions do: of two that open at one place the longer mention's comes first (the first
    argument's if they are equal), of two that close there the one that opened last.
    """
    arguments, text = (pair.first, pair.second), pair.text
    outer = sorted((0, 1), key=lambda i: (arguments[i].span[0], -arguments[i].span[1], i))
    # (place, closing markers before opening ones, order of nesting, what is inserted, argument if it opens)
    marks = []
    for depth, i in enumerate(outer):
        start, end = arguments[i].span
        marks.append((start, 1, depth, BEGIN[i].replace("{type}", arguments[i].type), i))
        marks.append((end, 0, -depth, END[i], -1))
    pieces: list[str] = []
    opened: dict[int, Span] = {}
    done = length = 0
    for place, _, _, mark, argument in sorted(marks):
        pieces += text[done:place], mark
        length += place - done
        if argument >= 0:
            opened[argument] = (length, length + 1)
        length += len(mark)
        done = place
    return "".join([*pieces, text[done:]]), (opened[0], opened[1])
