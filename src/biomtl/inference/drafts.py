"""Documents that are being annotated: their sentences, what models find in them, and the candidates of relations."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import NamedTuple

from biomtl.corpora.parts import document_sentences
from biomtl.corpora.relations import argument_pairs, document_units
from biomtl.errors import InputError
from biomtl.formats.model import Attributes, Document, Mention, Relation, Span
from biomtl.inference.predictor import RelationText, Result
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task

MOST_RELATED = 20_000_000  # characters of all candidates of one sentence: tables of whole papers have more
PAIR = 100  # as so many characters counts a candidate that has no text of its own
_PIECE = re.compile(r"\S+")
_ONE_LINE = str.maketrans("\t\r\n", "   ")  # one for one, so that offsets stay valid


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a document: its span, the text that models read, and the offsets of that text's characters.

    Any whitespace is one space, as in training.
    """

    span: Span
    text: str
    places: list[int]

    @classmethod
    def of(cls, text: str, span: Span) -> Cut:
        """The part of a document's text."""
        pieces = [match.span() for match in _PIECE.finditer(text, *span)]
        # A space between two pieces has the offset of the first character after the piece.
        places = [place for first, last in pieces for place in range(first, last + 1)]
        return cls(span, " ".join(text[slice(*piece)] for piece in pieces), places)

    def document_span(self, start: int, end: int) -> Span:
        """The document's characters that these of the cut's text are."""
        return self.places[start], self.places[end - 1] + 1

    def own_span(self, start: int, end: int) -> Span:
        """The characters of the cut's text that these of the document are."""
        first = bisect_left(self.places, start)
        return first, max(first + 1, bisect_right(self.places, end - 1))


class Candidate(NamedTuple):
    """A pair of mentions for a relation task, first argument first."""

    text: RelationText
    first: Mention
    second: Mention


class Related(NamedTuple):
    """A relation that a task found: its type, mentions and attributes."""

    type: str
    first: Mention
    second: Mention
    attributes: Attributes


class Draft:
    """A document that is being annotated.

    Args:
        document: the document.
        keep: whether to keep its annotations.
    """

    def __init__(self, document: Document, keep: bool) -> None:
        self.document = document
        cuts = (Cut.of(document.text, span) for span in document_sentences(document))
        self.sentences = [cut for cut in cuts if cut.text]
        self.relations = list(document.relations) if keep else []
        self._there = {(r.type, tuple(value for _, value in r.arguments)): i for i, r in enumerate(self.relations)}
        self.new: tuple[Mention, ...] = ()
        self.found: dict[tuple[str, Span], list[tuple[str, float]]] = {}  # what -> the tasks that found it, how surely
        self.labels: list[Mention] = []
        self.related: dict[tuple[str, Span], list[Related]] = {}
        """What a relation task found in a unit, if its pairs were already classified; there may be nothing."""
        self.unrelated = 0
        self._units: dict[str, Mapping[Span, None]] = {}
        self._given: dict[tuple[str, tuple[str, ...]], list[Mention]] = {}
        old = document.mentions if keep else ()
        used = {mention.id for mention in old} | {relation.id for relation in self.relations}
        used |= {value for relation in self.relations for _, value in relation.arguments}  # concepts may look like ids
        self.names = {letter: _fresh(letter, used) for letter in "TR"}
        self.unclear: set[str] = set()
        """Ids that several mentions have, and a relation that is kept refers to."""
        self.kept = tuple(self._identified(old))

    def _identified(self, mentions: Iterable[Mention]) -> Iterator[Mention]:
        """The mentions, with a new id for each that has none or an earlier one's, unless a relation refers to that."""
        named = {value for relation in self.relations for _, value in relation.arguments}
        there: set[str] = set()
        for mention in mentions:
            if mention.id in there and mention.id in named:
                self.unclear.add(mention.id)
            elif not mention.id or mention.id in there:
                mention = replace(mention, id=next(self.names["T"]))
            there.add(mention.id)
            yield mention

    def mentions_in(self, cut: Cut, results: Iterable[Result]) -> list[Mention]:
        """The mentions that taggers found in a sentence, in order, each once; they have no ids yet."""
        keys = {
            (cut.document_span(mention.start, mention.end), mention.type)
            for result in results
            for mention in result.mentions or ()
        }
        return [Mention("", name, (span,), self.document.text[slice(*span)]) for span, name in sorted(keys)]

    def add(self, task: Task, result: Result, cut: Cut) -> None:
        """Add a task's result for a sentence."""
        for mention in result.mentions or ():
            key = (mention.type, cut.document_span(mention.start, mention.end))
            self.found.setdefault(key, []).append((task.name, mention.probability))
        self.label(task, result, "Sentence", cut.span)

    def label(self, task: Task, result: Result, mention_type: str, span: Span) -> None:
        """Add a task's labels or score for a span."""
        text = self.document.text[slice(*span)]
        for attributes in _labels(task, result):
            self.labels.append(Mention("", mention_type, (span,), text, (), attributes))

    def settle(self) -> None:
        """Turn predictions into mentions; a mention found by several tasks, or already present, is written once."""
        there = {(mention.type, mention.spans): i for i, mention in enumerate(self.kept)}
        kept, new = list(self.kept), []
        for (mention_type, span), by in sorted(self.found.items(), key=lambda item: (item[0][1], item[0][0])):
            tasks = tuple(("task", task) for task, _ in by)
            attributes = tasks + tuple(("probability", f"{probability:.4f}") for _, probability in by)
            if (i := there.get((mention_type, (span,)))) is not None:
                kept[i] = replace(kept[i], attributes=kept[i].attributes + attributes)
            else:
                text = self.document.text[slice(*span)]
                new.append(Mention(next(self.names["T"]), mention_type, (span,), text, (), attributes))
        self.kept, self.new = tuple(kept), tuple(new)
        self.ids = {(mention.type, mention.spans): mention.id for mention in self.new}

    def units(self, task: str, arguments: RelationArguments) -> Mapping[Span, None]:
        """The parts in which both arguments of a relation task must be, in order."""
        if task not in self._units:
            self._units[task] = dict.fromkeys(document_units(arguments, self.document))
        return self._units[task]

    def sides(self, task: str, arguments: RelationArguments, found: Sequence[Mention]) -> list[Mention]:
        """The mentions that may be arguments, in text order: the document's own of a side, or those found if none.

        Of several that were found at one place under names of one type, the first is an argument.
        """
        chosen: dict[int, Mention] = {}
        for types in dict.fromkeys((arguments.first, arguments.second)):
            if (given := self._given.get((task, types))) is None:
                given = self._given[task, types] = [m for m in self.kept if arguments.type_of(m.type) in types]
            named = {(arguments.type_of(m.type), m.spans): m for m in reversed(found)}
            fit = given or [mention for (name, _), mention in named.items() if name in types]
            chosen |= {id(mention): mention for mention in fit}
        return sorted(chosen.values(), key=lambda mention: (mention.start, mention.end, mention.type))

    def candidates(
        self, arguments: RelationArguments, unit: Span, sides: Sequence[Mention], *, verbatim: bool
    ) -> Iterator[Candidate]:
        """Candidates of a relation task in one unit; none if there are far too many (see ``too_many``).

        Args:
            arguments: the task's.
            unit: the part of the document.
            sides: mentions that may be arguments, in text order.
            verbatim: whether whitespace stays as it is.
        """
        start, _ = unit
        near = _inside(unit, sides)
        if len(near) < 2 or self.too_many(arguments, unit, sides, verbatim=verbatim):
            return
        text = self.document.text[slice(*unit)].translate(_ONE_LINE).rstrip()
        cut = None if verbatim else Cut.of(self.document.text, unit)
        for pair in argument_pairs(arguments, near, self.document.text):
            if cut is None:
                spans = [(m.start - start, m.end - start) for m in pair]
            else:
                text, spans = cut.text, [cut.own_span(m.start, m.end) for m in pair]
            named = [(m.type, *span) for m, span in zip(pair, spans, strict=True)]
            yield Candidate(RelationText.of(text, named[0], named[1]), *pair)

    def too_many(self, arguments: RelationArguments, unit: Span, sides: Sequence[Mention], *, verbatim: bool) -> bool:
        """Whether the unit has far too many candidates to classify them all, whether a text each or all in one."""
        near, length = _inside(unit, sides), unit[1] - unit[0] if verbatim else PAIR
        if length * len(near) ** 2 // 2 <= MOST_RELATED:
            return False
        if len(near) ** 2 > MOST_RELATED:  # too many to look at
            return True
        most = MOST_RELATED // length
        return sum(1 for _ in islice(argument_pairs(arguments, near, self.document.text), most + 1)) > most

    def relate(self, related: Related, *, directed: bool) -> None:
        """Add a relation; one that is already present is written once.

        Args:
            related: what a task found.
            directed: whether the same relation the other way round is another one.

        Raises:
            InputError: the id of one of its mentions is another's too, and can't be changed.
        """
        ids = [m.id or self.ids[m.type, m.spans] for m in (related.first, related.second)]
        if unclear := self.unclear.intersection(ids):
            problem = f"document {self.document.id}: a relation of {min(unclear)[:40]!r}, the id of two mentions"
            raise InputError(problem, expected="one", fix="number the mentions anew, or annotate without --keep")
        for pair in (ids,) if directed else (ids, ids[::-1]):
            if (i := self._there.get((related.type, tuple(pair)))) is not None:
                kept = self.relations[i]
                self.relations[i] = replace(kept, attributes=kept.attributes + related.attributes)
                return
        arguments = (("Arg1", ids[0]), ("Arg2", ids[1]))
        self.relations.append(Relation(next(self.names["R"]), related.type, arguments, related.attributes))

    def finished(self) -> Document:
        """The document: its existing mentions, the new ones, and the labels of sentences and of the text."""
        labels = tuple(replace(label, id=next(self.names["T"])) for label in self.labels)
        return replace(self.document, mentions=(*self.kept, *self.new, *labels), relations=tuple(self.relations))


def related(task: Task, result: Result, first: Mention, second: Mention) -> Iterator[Related]:
    """The relation that a result for a candidate is, if it is one."""
    for (_, name), (_, relation_type), *rest in _labels(task, result):
        yield Related(relation_type, first, second, (("task", name), *rest))


def _inside(unit: Span, mentions: Sequence[Mention]) -> list[Mention]:
    """Those of the mentions, in text order, that lie in the unit."""
    first, last = (bisect_left(mentions, place, key=lambda mention: mention.start) for place in unit)
    return [mention for mention in mentions[first:last] if mention.end <= unit[1]]


def _fresh(letter: str, used: set[str]) -> Iterator[str]:
    return (name for i in count() if (name := f"{letter}{i}") not in used)


def _labels(task: Task, result: Result) -> Iterator[Attributes]:
    """Attributes for each label of a text, or for its score; the negative class is left out."""
    if result.score is not None:
        yield ("task", task.name), ("score", f"{result.score:.4f}")
    labels = result.labels if result.label is None else (result.label,)
    for label in labels or ():
        if label != task.negative:
            probability = (result.probabilities or {}).get(label)
            known = () if probability is None else (("probability", f"{probability:.4f}"),)
            yield ("task", task.name), ("label", label), *known
