"""BLUE's view: both mentions replaced by placeholders, one text for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.views.base import Pair, View
from biomtl.text.alignment import span_positions
from biomtl.text.base import EncodedRow, Span, TextInput
from biomtl.text.masking import Masked, mask
from biomtl.text.printable import printable


class MaskView(View):
    """The whole text stands for the pair, with the mentions hidden (Peng et al. 2019, arXiv 1906.05474)."""

    name: ClassVar[str] = "mask"

    def text(self, pair: Pair) -> TextInput:
        """The masked text."""
        return TextInput((mask_entities(pair).text,))

    def places(self, pair: Pair, rows: Sequence[EncodedRow]) -> NDArray[np.int32]:
        """``[1, 4, 2]``: first and last piece of both placeholders."""
        masked = mask_entities(pair)
        return span_positions(rows, (masked.first, masked.second)).reshape(1, 4, 2)


def mask_entities(pair: Pair) -> Masked:
    """A pair's text with both arguments hidden, and the places of their placeholders.

    Where the task asks for it, the text becomes plain ASCII first, which may move what follows. With ``mask_order:
    arguments`` each mention has its own argument's placeholder, and if the two could also be each other's, their types
    are numbered, so that a directed pair and the same pair the other way round are different texts.
    """
    text, first, second, relation = pair.text, pair.first, pair.second, pair.relation
    one, other = first.span, second.span
    if relation.ascii:
        ascii = printable(text)
        one, other = (moved(span, text, ascii) for span in (one, other))
        text = ascii
    types = (first.type, second.type)
    by_argument = relation.mask_order == "arguments"
    swapped = by_argument and other < one
    numbered = by_argument and relation.directed and relation.fits(second.type, first.type)
    if numbered:
        types = (f"{first.type}1", f"{second.type}2")
    names = (_named(relation.masks[0], types), _named(relation.masks[1], types))
    joint = _named(relation.overlapping, types[::-1] if numbered and swapped else types)
    return mask(text, one, other, names[::-1] if swapped else names, joint)


def _named(placeholder: str, types: tuple[str, str]) -> str:
    return placeholder.replace("{first}", types[0]).replace("{second}", types[1])


def moved(span: Span, text: str, ascii: str) -> Span:
    """A span of ``text`` as one of its ASCII form, whose length rarely differs (in ChemProt by three thetas)."""
    if len(ascii) == len(text):
        return span
    return len(printable(text[: span[0]])), len(printable(text[: span[1]]))
