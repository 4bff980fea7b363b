"""BLUE's view: both mentions replaced by placeholders, one text for each pair."""

from __future__ import annotations

from typing import ClassVar

from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.views.base import Argument, View
from biomtl.text.base import Span, TextInput
from biomtl.text.masking import Masked, mask
from biomtl.text.printable import printable


class MaskView(View):
    """The whole text stands for the pair, with the mentions hidden (Peng et al. 2019, arXiv 1906.05474)."""

    name: ClassVar[str] = "mask"

    def text(self, text: str, first: Argument, second: Argument, relation: RelationArguments) -> TextInput:
        """The masked text."""
        return TextInput((mask_entities(relation, text, first, second).text,))


def mask_entities(relation: RelationArguments, text: str, first: Argument, second: Argument) -> Masked:
    """A text with both arguments hidden, and the places of their placeholders.

    Args:
        relation: the task's arguments.
        text: the text; where the task asks for it, it becomes plain ASCII first, which may move what follows.
        first: the first argument.
        second: the second one.
    """
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
