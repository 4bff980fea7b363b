"""BLUE's view: both mentions replaced by placeholders, one text for each pair."""

from __future__ import annotations

from typing import ClassVar

from biomtl.tasks.views.base import Pair, View
from biomtl.text.base import Span, TextInput
from biomtl.text.masking import Masked, mask
from biomtl.text.printable import printable


class MaskView(View):
    """The whole text stands for the pair, with the mentions hidden (Peng et al. 2019, arXiv 1906.05474)."""

    name: ClassVar[str] = "mask"

    def text(self, pair: Pair) -> TextInput:
        """The masked text."""
        return TextInput((mask_entities(pair).text,))


def mask_entities(pair: Pair) -> Masked:
    """A pair's text with both arguments hidden, and the places of their placeholders.

    Where the task asks for it, the text becomes plain ASCII first, which may move what follows.
    """
    text, first, second, relation = pair.text, pair.first, pair.second, pair.relation
    one, other = first.span, second.span
    if relation.ascii:
        ascii = printable(text)
        one, other = (moved(span, text, ascii) for span in (one, other))
        text = ascii
    named = [
        placeholder.replace("{first}", first.type).replace("{second}", second.type)
        for placeholder in (*relation.masks, relation.overlapping)
    ]
    return mask(text, one, other, (named[0], named[1]), named[2])


def moved(span: Span, text: str, ascii: str) -> Span:
    """A span of ``text`` as one of its ASCII form, whose length rarely differs (in ChemProt by three thetas)."""
    if len(ascii) == len(text):
        return span
    return len(printable(text[: span[0]])), len(printable(text[: span[1]]))
