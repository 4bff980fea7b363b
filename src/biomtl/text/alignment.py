"""Words and positions: which position of which window represents a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biomtl.text.base import EncodedRow, Span

GAP = " "


def render_tokens(tokens: Sequence[str], offsets: Sequence[Sequence[int]]) -> tuple[str, list[Span]]:
    """A sentence as one string, with the span of each token in it.

    Tokens that were adjacent in the document are adjacent here; any other gap becomes one space. So two tasks with the
    same tokens give the same text, and the encoder sees words as in pre-training.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    for i, token in enumerate(tokens):
        if i and offsets[i][0] != offsets[i - 1][1]:
            pieces.append(GAP)
            length += len(GAP)
        pieces.append(token)
        spans.append((length, length + len(token)))
        length += len(token)
    return "".join(pieces), spans


def word_positions(rows: Sequence[EncodedRow], words: Sequence[Span], side: int = 0) -> NDArray[np.int32]:
    """``[words, 2]``: row and position of each word's first piece; ``(-1, -1)`` for a word without pieces.

    Where windows overlap, the row with the most context around the word is used. A word has no piece if the tokenizer
    drops all of its characters (control characters, for example).
    """
    places = np.full((len(words), 2), -1, dtype=np.int32)
    if not words:
        return places
    starts, ends = np.asarray(words, dtype=np.int64).T
    in_order = bool((np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all())
    best = np.full(len(words), -1, dtype=np.int64)
    for number, row in enumerate(rows):
        positions = np.flatnonzero(row.sides == side)
        if not len(positions):
            continue
        piece_starts, piece_ends = row.offsets[positions].T.astype(np.int64)
        own = slice(None)
        if in_order:  # only the words that the row can hold, else time would be windows times words
            own = slice(np.searchsorted(ends, piece_starts.min(), "right"), np.searchsorted(starts, piece_ends.max()))
        # A combining character's pieces may repeat offsets, but ends never decrease: the first piece that extends
        # beyond the word's start is the word's first piece.
        first = np.searchsorted(np.maximum.accumulate(piece_ends), starts[own], side="right")
        inside = np.minimum(first, len(positions) - 1)
        has_piece = (first < len(positions)) & (piece_starts[inside] < ends[own])
        # A window that starts in the middle of a word has a later piece of it first, without context: it never speaks.
        context = np.minimum(inside, len(positions) - 1 - inside)
        better = has_piece & (context > best[own])
        places[own][better] = np.stack([np.full(better.sum(), number), positions[inside[better]]], axis=1)
        best[own][better] = context[better]
    return places


def span_positions(rows: Sequence[EncodedRow], spans: Sequence[Span], side: int = 0) -> NDArray[np.int32]:
    """``[spans, 2, 2]``: row and position of each span's first and last piece; ``-1`` for a span without pieces.

    All spans are read from one row if a row holds them all, from the one with the most context around them. Otherwise
    each is read where it has the most context.
    """
    placed = [_in_row(row, spans, side, number == 0) for number, row in enumerate(rows)]
    together = max(range(len(rows)), key=lambda number: min(context for _, _, context in placed[number]))
    result = np.full((len(spans), 2, 2), -1, dtype=np.int32)
    for i in range(len(spans)):
        number = together
        if min(context for _, _, context in placed[together]) < 0:
            number = max(range(len(rows)), key=lambda row: (placed[row][i][2], placed[row][i][0] >= 0))
        first, last, _ = placed[number][i]
        if first >= 0:
            result[i] = (number, first), (number, last)
    return result


def in_several_rows(places: NDArray[np.int32]) -> int:
    """How many of these ``[outputs, k, 2]`` outputs are about places in different rows."""
    rows = places[..., 0]
    missing = rows < 0
    highest, lowest = rows.max(1), np.where(missing, np.iinfo(rows.dtype).max, rows).min(1)
    return int(((highest > lowest) & ~missing.all(1)).sum())


def _in_row(row: EncodedRow, spans: Sequence[Span], side: int, begins_text: bool) -> list[tuple[int, int, int]]:
    """First and last position of each span's pieces in a row, and the pieces around it; -1 if it isn't all there."""
    positions = np.flatnonzero(row.sides == side)
    starts, ends = row.offsets[positions].T.astype(np.int64) if len(positions) else (np.empty(0), np.empty(0))
    placed = []
    for start, end in spans:
        inside = np.flatnonzero((starts < end) & (ends > start))
        if not len(inside):
            placed.append((-1, -1, -1))
            continue
        first, last = int(inside[0]), int(inside[-1])
        whole = (first > 0 or begins_text or starts[0] <= start) and (last < len(positions) - 1 or ends[last] >= end)
        context = min(first, len(positions) - 1 - last) if whole else -1
        placed.append((int(positions[first]), int(positions[last]), context))
    return placed
