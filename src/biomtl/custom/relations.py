"""Relation records from annotated documents: every pair that a task asks about, with the label of its relation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomtl.corpora.reader import Record
from biomtl.corpora.records import Located
from biomtl.corpora.relations import argument_pairs, document_units
from biomtl.custom.config import TaskDefinition
from biomtl.custom.documents import READERS, document_name
from biomtl.errors import InputError, OnError
from biomtl.formats.mentions import apply_policy
from biomtl.formats.model import Document, Mention, Relation
from biomtl.tasks.relation import RelationArguments
from biomtl.text.base import Span
from biomtl.text.concepts import concepts_of

EQUIVALENT = "Equiv"  # brat's name for mentions of the same thing, a relation without roles
ONE_LINE = str.maketrans("\t\r\n", "   ")  # one for one, so that offsets stay valid; annotation reads texts alike
_NUMBERED = re.compile(r"(.*?)([1-9]\d?)")
Arguments = tuple[tuple[str, str], ...]  # role and id
Pair = tuple[int, int]  # indices of two of a document's mentions, first argument first


@dataclass
class Coverage:
    """What became of the relations of a task's documents.

    Attributes:
        relations: all of them.
        covered: those that are the label of at least one pair.
        apart: those whose arguments have the task's types, but are in different units or beyond the window.
        other: those between mentions of other types, and those that aren't between two mentions (brat's events) or say
            that these are the same (brat's equivalences).
        dropped: those that lost an argument by the policy for overlapping mentions.
        types: number of mentions of each type.
    """

    relations: int = 0
    covered: int = 0
    apart: int = 0
    other: int = 0
    dropped: int = 0
    types: Counter[str] = field(default_factory=Counter)

    def add(self, other: Coverage) -> None:
        """Add another's counts."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def relation_records(
    path: Path, format: str, definition: TaskDefinition, negative: str, coverage: Coverage, on_error: OnError
) -> Iterator[Record]:
    """Stream one record for every pair of mentions that the task asks about, and for every label of it.

    Pairs without a relation have the negative class. A relation between concepts (PubTator's, and BioC's without nodes)
    labels every pair of their mentions in one unit.

    Args:
        path: the file (for brat, or the folder).
        format: ``pubtator``, ``bioc``, ``brat`` or ``documents``.
        definition: the task's arguments and its policy for special mentions.
        negative: the negative class.
        coverage: counts of relations, added to.
        on_error: called with the error of each bad document.
    """
    relation = definition.relation
    assert relation is not None
    for document in READERS[format](path, on_error):
        where = path / f"{document.id}.ann" if path.is_dir() else path
        try:
            document, cases = apply_policy(document, definition.mentions or "keep", where)
            labels = None if definition.labels is None else (*definition.labels, negative)
            pairs = DocumentPairs(document, relation, where, concepts_first=format == "pubtator", labels=labels)
            gold = pairs.gold(coverage)
            dropped = cases["dropped relations"]
            coverage.add(Coverage(dropped, dropped=dropped))
        except InputError as error:
            on_error(error)
            continue
        name = document_name(document.id, format, path)
        for fields in pairs.records(gold, name, negative):
            yield Located((str(where), None), cases, document.line, **fields)
            cases = Counter()


def in_order(arguments: Arguments) -> Arguments:
    """A relation's arguments as their roles are numbered (``Arg1``, ``Arg2``); with other names, as they stand."""
    numbered = [(match, argument) for argument in arguments if (match := _NUMBERED.fullmatch(argument[0]))]
    if len(numbered) < len(arguments) or len({match[1].lower() for match, _ in numbered}) != 1:
        return arguments
    return tuple(argument for _, argument in sorted(numbered, key=lambda pair: int(pair[0][2])))


class DocumentPairs:
    """The candidate pairs of a document.

    Args:
        document: the document.
        relation: the task's arguments.
        where: its file, for errors.
        concepts_first: whether an argument that may be a concept or a mention's id is the concept, as in PubTator.
        labels: the labels that relations between such arguments may have; ``None`` for any.
    """

    def __init__(
        self,
        document: Document,
        relation: RelationArguments,
        where: str | Path,
        *,
        concepts_first: bool = False,
        labels: Sequence[str] | None = None,
    ) -> None:
        self.document, self.relation, self.where, self.labels = document, relation, where, labels
        self.concepts_first = concepts_first
        self.mentions = document.mentions
        self.units: dict[Pair, Span] = {}
        """Every candidate pair, in text order, and its unit."""
        order = sorted(range(len(self.mentions)), key=lambda i: (self.mentions[i].start, self.mentions[i].end))
        self.rank = {i: rank for rank, i in enumerate(order)}
        self.unit_of: dict[int, Span] = {}
        self._find(order)
        self.by_id: dict[str, list[int]] = {}
        self.by_concept: dict[str, list[int]] = {}
        for i, mention in enumerate(self.mentions):
            self.by_id.setdefault(mention.id, []).append(i)
            for concept in concepts_of(mention.identifiers):
                self.by_concept.setdefault(concept, []).append(i)
        self.others = set() if concepts_first else {relation.id for relation in document.relations}

    def _find(self, order: Sequence[int]) -> None:
        """Find the units' pairs; units don't overlap, so every mention is in one or none."""
        waiting = iter(order)
        i = next(waiting, None)
        place = {id(mention): at for at, mention in enumerate(self.mentions)}
        for unit in document_units(self.relation, self.document):
            inside: list[Mention] = []
            while i is not None and self.mentions[i].start < unit[1]:
                if unit[0] <= self.mentions[i].start and self.mentions[i].end <= unit[1]:
                    inside.append(self.mentions[i])
                    self.unit_of[i] = unit
                i = next(waiting, None)
            for one, other in argument_pairs(self.relation, inside, self.document.text):
                self.units[place[id(one)], place[id(other)]] = unit

    def gold(self, coverage: Coverage) -> dict[Pair, list[str]]:
        """The labels of every pair that has any, by the document's relations.

        Raises:
            InputError: a relation without label or with an unknown one, of a mention that is missing or has its id
                twice, of a mention with itself or with one of the same characters, or given both ways in an undirected
                task.
        """
        gold: dict[Pair, list[str]] = {}
        given: dict[tuple[str, ...], Relation] = {}
        counts = Coverage(len(self.document.relations), types=Counter(mention.type for mention in self.mentions))
        for relation in self.document.relations:
            arguments = self._arguments(relation)
            pairs = self._pairs(relation, *arguments) if arguments else []
            if not pairs:
                counts.other += 1
                continue
            self._check(relation, given)
            covered = [pair for pair in pairs if pair in self.units]
            counts.covered += bool(covered)
            counts.apart += not covered
            for pair in covered:
                labels = gold.setdefault(pair, [])
                if relation.type not in labels:
                    labels.append(relation.type)
        coverage.add(counts)
        return gold

    def _arguments(self, relation: Relation) -> tuple[list[int], list[int]] | None:
        """The mentions of both arguments; ``None`` if it isn't a relation of two mentions or concepts."""
        arguments = in_order(relation.arguments)
        roles, values = [role for role, _ in arguments], [value for _, value in arguments]
        equivalent = relation.type == EQUIVALENT and not any(roles) and EQUIVALENT not in (self.labels or ())
        if len(values) != 2 or "trigger" in roles or equivalent:
            return None
        sides = []
        for value in values:
            named = self._named(value)
            if len(named) > 1:
                problem = f"two mentions with the id {value[:40]!r}"
                raise self._error(relation, problem, expected="one", fix="number the mentions anew")
            found = named or self._of_concepts(value)
            if not found and value not in self.others:
                what = "an id of a mention, or a concept that a mention has"
                if self.concepts_first:
                    what = "a mention's concept, or T and the number of a mention's line, from 0"
                raise self._error(relation, f"no mention {value[:40]!r}", expected=what)
            sides.append(found)
        return sides[0], sides[1]

    def _named(self, value: str) -> list[int]:
        """The mentions whose id an argument is."""
        return [] if self.concepts_first and self._of_concepts(value) else self.by_id.get(value, [])

    def _of_concepts(self, value: str) -> list[int]:
        """The mentions of a concept, or of all concepts of a composite one (``D001|D002``)."""
        sides = [self.by_concept.get(concept, []) for concept in concepts_of([value])]
        return [i for i in sides[0] if all(i in side for side in sides)] if sides else []

    def _pairs(self, relation: Relation, firsts: Sequence[int], seconds: Sequence[int]) -> list[Pair]:
        """The pairs of mentions with the task's types, in the task's order."""
        pairs = []
        for i in firsts:
            for j in seconds:
                one, other = self.mentions[i], self.mentions[j]
                forward, backward = self.relation.fits(one.type, other.type), self.relation.fits(other.type, one.type)
                if not (forward or backward):
                    continue
                same = i == j or (forward and backward and (one.start, one.end) == (other.start, other.end))
                if same and all(self._named(value) for _, value in relation.arguments):
                    problem = f"its arguments are the same text, {one.text[:40]!r}"
                    expected = "two mentions; overlapping ones may be related, but not those of the same characters"
                    raise self._error(relation, problem, expected=expected)
                swapped = self.rank[j] < self.rank[i] if forward and not self.relation.directed else False
                if not same:
                    pairs.append((j, i) if not forward or (backward and swapped) else (i, j))
        return pairs

    def _check(self, relation: Relation, given: dict[tuple[str, ...], Relation]) -> None:
        """Refuse a relation's label, or a relation that was given the other way round."""
        if not relation.type.strip():
            raise self._error(relation, "no type", expected="the label of its pair")
        if self.labels is not None and relation.type not in self.labels:
            raise self._error(relation, f"label {relation.type[:40]!r}", expected=", ".join(dict.fromkeys(self.labels)))
        values = tuple(value for _, value in in_order(relation.arguments))
        if not self.relation.directed and (earlier := given.get(values[::-1])) and values != values[::-1]:
            problem = f"it is {earlier.id} with its arguments the other way round"
            raise self._error(relation, problem, expected="one of them", fix="remove one, or say `directed: true`")
        given.setdefault(values, relation)

    def _error(self, relation: Relation, problem: str, expected: str, fix: str | None = None) -> InputError:
        name = f"document {self.document.id}, relation {relation.id} ({relation.type[:40]})"
        fix = fix or "correct the relation"
        return InputError(f"{name}: {problem}", path=self.where, line=self.document.line, expected=expected, fix=fix)

    def records(self, gold: Mapping[Pair, list[str]], name: str, negative: str) -> Iterator[dict[str, Any]]:
        """The fields of a record for every label of every pair.

        Args:
            gold: the labels of the pairs that have any.
            name: the document's name.
            negative: the label of all other pairs.
        """
        ids = [mention.id for mention in self.mentions]
        if len(set(ids)) < len(ids) or "" in ids:
            ids = [f"T{i}" for i in range(len(ids))]
        for pair, (start, end) in self.units.items():
            text = self.document.text[start:end].translate(ONE_LINE)
            labels = [label for label in gold.get(pair, ()) if label != negative] or [negative]
            entities = [_entity(self.mentions[i], ids[i], text, start) for i in pair]
            identifier = ".".join((name, *(ids[i] for i in pair)))
            for count, label in enumerate(labels, 1):
                yield {
                    "id": identifier if count == 1 else f"{identifier}#{count}",
                    "doc_id": name,
                    "text": text,
                    "label": label,
                    "entities": entities,
                }


def _entity(mention: Mention, name: str, text: str, start: int) -> dict[str, Any]:
    """A mention of a record; a discontinuous one is its full extent."""
    begin, end = mention.start - start, mention.end - start
    entity: dict[str, Any] = {"id": name, "type": mention.type, "start": begin, "end": end, "text": text[begin:end]}
    return entity | ({"identifiers": list(mention.identifiers)} if mention.identifiers else {})
