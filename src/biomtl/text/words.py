"""Words with offsets, cut finely enough that every mention of BC5CDR begins and ends at a word's edge."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The possessive first, so that "patient's" is "patient" and "'s"; other apostrophes inside a word belong to it.
_WORD = re.compile(r"'[sS](?!\w)|\w+(?:'(?![sS](?!\w))\w+)*|[^\w\s]")


def words(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Offsets in ``text`` of the words between ``start`` and ``end``, in order.

    Letters, digits and underscores run together; every other visible character is a word of its own:
    ``non-steroidal`` gives three, ``P<0.01`` five. Only blanks are dropped. BLUE cuts like this after spaCy; it also
    drops symbols outside ASCII (BC5CDR has none), which here stay visible to the model.
    """
    for match in _WORD.finditer(text, start, len(text) if end is None else end):
        yield match.span()
