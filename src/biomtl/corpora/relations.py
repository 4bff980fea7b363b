"""Relation tasks' candidates: which mentions of a text make a pair.

The corpus readers make their records with it, annotation the candidates of new text, so that a model sees the same.
What a task asks about stands in its record (`biomtl.tasks.relation.RelationArguments`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from biomtl.corpora.parts import document_parts
from biomtl.formats.model import Document, Mention
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.relation import RelationArguments
from biomtl.text.base import Span
from biomtl.text.sentences import sentences
from biomtl.text.words import words


def arguments_of(task: str) -> RelationArguments:
    """The arguments of a relation task that comes with the package."""
    relation = known_tasks()[task].relation
    assert relation is not None, f"{task} is not a relation task"
    return relation


def argument_pairs(
    relation: RelationArguments, mentions: Sequence[Mention], text: str | None = None
) -> Iterator[tuple[Mention, Mention]]:
    """Every pair of mentions that the task asks about, first argument first, in text order.

    If both mentions may be either argument, (a, b) and (b, a) are two pairs of a directed task; otherwise there is one,
    in text order, and a mention is not paired with another mention of the same characters. Overlapping mentions are
    paired.

    Args:
        relation: the task's arguments.
        mentions: the mentions of one unit.
        text: their document's text, needed for ``window``.
    """
    ordered = sorted(mentions, key=lambda mention: (mention.start, mention.end))
    fit = [[relation.type_of(m.type) in types for m in ordered] for types in (relation.first, relation.second)]
    firsts, seconds = ([i for i, fits in enumerate(side) if fits] for side in fit)
    near = _nearness(relation, text)
    for i, j in product(firsts, seconds):
        one, other = ordered[i], ordered[j]
        either = fit[0][j] and fit[1][i]
        repeated = either and (not relation.directed and j < i)
        same = i == j or (either and (one.start, one.end) == (other.start, other.end))
        if not (repeated or same) and near(one, other):
            yield one, other


def _nearness(relation: RelationArguments, text: str | None) -> Callable[[Mention, Mention], bool]:
    """Whether at most ``window`` words stand between two mentions."""
    window = relation.window
    if window is None:
        return lambda one, other: True
    assert text is not None, "a window is counted in the text's words"
    starts = [start for start, _ in words(text)]

    def near(one: Mention, other: Mention) -> bool:
        begin, end = min(one.end, other.end), max(one.start, other.start)
        return bisect_left(starts, end) - bisect_left(starts, begin) <= window

    return near


def document_units(relation: RelationArguments, document: Document) -> Iterator[Span]:
    """The parts of a document in which both arguments must be, in text order."""
    text, parts = document.text, document_parts(document)
    if relation.unit == "document":
        yield from units(relation, text, (sentence for part in parts for sentence in sentences(text, *part)))
        return
    for part in parts:
        yield from units(relation, text, sentences(text, *part))


def units(relation: RelationArguments, text: str, sentences: Iterable[Span]) -> Iterator[Span]:
    """The parts of a text in which both arguments must be.

    Args:
        relation: the task's arguments, of which ``unit`` decides: each sentence, sentences joined as BLUE joins those
            of spaCy, or one unit from the first sentence to the last.
        text: the document's text.
        sentences: the sentences of a passage, or of the document if that is the unit.
    """
    if relation.unit == "sentence":
        yield from sentences
    elif relation.unit == "joined-sentences":
        yield from _joined(text, sentences)
    elif spans := list(sentences):
        yield spans[0][0], spans[-1][1]


def _joined(text: str, sentences: Iterable[Span]) -> Iterator[Span]:
    """Sentences by BLUE's rule.

    A boundary is kept if the text before it ends in ``.``, ``?`` or ``!`` but not in ``i.v.``, and the text after it
    begins with an upper-case letter.
    """
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
