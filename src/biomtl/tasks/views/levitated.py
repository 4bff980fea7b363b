"""The view with markers beside the text: all pairs of a text in one row, each read at every layer."""

from __future__ import annotations

from typing import ClassVar

from biomtl.tasks.views.spans import SpansView


class LevitatedView(SpansView):
    """The text as it stands, and beside it a marker for each mention of each pair (see `text.levitated`).

    The text's states are the same for all tasks, but markers have to be in its row before it is encoded: where the
    mentions follow from these states, as in annotating, the row is encoded once more, for all its pairs.
    """

    name: ClassVar[str] = "levitated"
    shared: ClassVar[bool] = False
    markers: ClassVar[tuple[int, ...]] = (0, 2)
