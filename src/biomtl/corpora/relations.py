"""Relation tasks' candidates: which mentions of a text make a pair.

The corpus readers make their records with it, annotation the candidates of new text, so that a model sees the same.
What a task asks about stands in its record (`biomtl.tasks.relation.RelationArguments`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from biomtl.formats.model import Mention
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.relation import RelationArguments
from biomtl.text.base import Span


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
    firsts, seconds = (
        [m for m in ordered if relation.type_of(m.type) in types] for types in (relation.first, relation.second)
    )
    same = relation.same
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
