"""Candidates of relation tasks: which mentions form a pair, and how the pair is marked in the text.

Both the corpus readers and the annotation of new text use it, so that a model always sees the same form. A task's
record says which types it relates (`biomtl.tasks.task.RelationArguments`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from biomtl.formats.model import Mention
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import RelationArguments
from biomtl.text.masking import Masked, Span, mask
from biomtl.text.printable import printable


def arguments_of(task: str) -> RelationArguments:
    """The arguments of a relation task that comes with the package."""
    relation = known_tasks()[task].relation
    assert relation is not None, f"{task} is no relation task"
    return relation


def argument_pairs(relation: RelationArguments, mentions: Sequence[Mention]) -> Iterator[tuple[Mention, Mention]]:
    """Every pair of mentions: in text order if both arguments have the same types, otherwise the first argument first.

    A mention is not paired with another mention of the same characters.
    """
    ordered = sorted(mentions, key=lambda mention: (mention.start, mention.end))
    firsts, seconds = ([m for m in ordered if m.type.lower() in types] for types in (relation.first, relation.second))
    same = relation.first == relation.second
    for one, other in combinations(firsts, 2) if same else product(firsts, seconds):
        if not same or (one.start, one.end) != (other.start, other.end):
            yield one, other


def units(relation: RelationArguments, text: str, sentences: Iterable[Span]) -> Iterator[Span]:
    """The parts of a text in which both arguments must be: sentences, or sentences joined as BLUE joins spaCy's.

    With BLUE's rule, a boundary is kept if the text before it ends in ``.``, ``?`` or ``!`` but not in ``i.v.``, and
    the text after it begins with an upper-case letter.
    """
    if relation.unit == "sentence":
        yield from sentences
        return
    begin = before = -1
    for start, end in sentences:
        if begin < 0:
            begin = start
        elif text[before - 1] in ".?!" and not text.endswith("i.v.", begin, before) and text[start].isupper():
            yield begin, before
            begin = start
        before = end
    if begin >= 0:
        yield begin, before


def mask_entities(relation: RelationArguments, text: str, first: tuple[str, Span], second: tuple[str, Span]) -> Masked:
    """A sentence with both arguments (type and character span) masked, as in the task's records.

    Args:
        relation: the task's arguments.
        text: the sentence; for some tasks it is first converted to ASCII, which may shift later characters.
        first: the first argument.
        second: the second argument.
    """
    (first_type, one), (second_type, other) = first, second
    if relation.ascii:
        ascii = printable(text)
        one, other = (moved(span, text, ascii) for span in (one, other))
        text = ascii
    named = [
        hidden.replace("{first}", first_type).replace("{second}", second_type)
        for hidden in (*relation.masks, relation.overlapping)
    ]
    return mask(text, one, other, (named[0], named[1]), named[2])


def moved(span: Span, text: str, ascii: str) -> Span:
    """A span of ``text`` in its ASCII form, whose length rarely differs (in ChemProt, because of three thetas)."""
    if len(ascii) == len(text):
        return span
    return len(printable(text[: span[0]])), len(printable(text[: span[1]]))
