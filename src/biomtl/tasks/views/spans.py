"""The view with one encoder pass: the text as it stands, from which all its pairs are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.views.base import Pair, View
from biomtl.text.alignment import span_positions
from biomtl.text.base import EncodedRow, TextInput

BEFORE, AFTER, OVERLAPPING = range(3)  # the first argument's place, seen from the second


class SpansView(View):
    """The first and last pieces of both mentions stand for the pair, with their types and order.

    So a text is encoded once for all its pairs, and for other tasks that read the same text.
    """

    name: ClassVar[str] = "spans"
    shared: ClassVar[bool] = True
    typed: ClassVar[bool] = True

    def text(self, pair: Pair) -> TextInput:
        """The text itself."""
        return TextInput((pair.text,))

    def positions(self, pair: Pair, rows: Sequence[EncodedRow]) -> NDArray[np.int32] | None:
        """``[1, 4, 2]``: first and last piece of the first mention, then of the second."""
        return span_positions(rows, (pair.first.span, pair.second.span)).reshape(1, 4, 2)

    def features(self, pair: Pair) -> NDArray[np.int64] | None:
        """``[1, 3]``: the places of both types among the task's (from 1; 0 for others), and the order."""
        first, second, names = pair.first, pair.second, pair.relation.names()
        types = [names.index(a.type) + 1 if a.type in names else 0 for a in (first, second)]
        order = BEFORE if first.span[1] <= second.span[0] else AFTER if second.span[1] <= first.span[0] else OVERLAPPING
        return np.array([[*types, order]], dtype=np.int64)
