"""Annotating documents: every task of a model on every sentence, with offsets in the document's text.

Text is split into sentences by the rules of the corpus readers and into words as in each task's training corpus, and
labelled by a `Predictor`: each distinct text is encoded once for all its tasks, whatever their words. Relations come
second, since their texts are made by masking two mentions.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

from biomtl.corpora.parts import document_sentences
from biomtl.corpora.relations import argument_pairs, document_units
from biomtl.errors import InputError
from biomtl.formats.model import Attributes, Document, Mention, Relation, Span
from biomtl.inference.predict import Advance
from biomtl.inference.predictor import Predictor, RelationText, Result
from biomtl.tasks.registry import pick
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

WINDOW = 512  # sentences labelled together: enough for batches of similar length, and little memory
RELATED = 4096  # candidates of relation tasks classified together
MOST_RELATED = 20_000_000  # characters of all candidates of one sentence: tables of whole papers have more
_PIECE = re.compile(r"\S+")
_ONE_LINE = str.maketrans("\t\r\n", "   ")  # one for one, so that offsets stay valid


@dataclass(frozen=True, slots=True)
class _Cut:
    """A sentence of a document: its span, the text that models read, and the offsets of that text's characters."""

    span: Span
    text: str
    places: list[int]


class Annotator:
    """Annotates documents with a model.

    The attributes of an annotation are its ``task`` and ``probability`` (for a mention, of its least certain word). A
    sentence's labels are mentions of type ``Sentence`` over it, with a ``label`` or ``score``; those of a whole
    document are mentions of type ``Document`` over its text. A task's negative class is not written.

    Args:
        predictor: the model, with the selected tasks.
        whole: the tasks, by name or alias, that label documents instead of sentences.
        keep: whether to keep a document's annotations; relation tasks then use its mentions, and the model's only if
            it has none of the required types.
        labels: whether to write labels of sentences and documents; false for formats that can't hold them.

    Attributes:
        skipped: tasks that can't annotate, with the reasons.

    Raises:
        InputError: a task of ``whole`` that the model lacks or that takes no documents, or no task that can annotate.

    Examples:
        >>> annotator = Annotator(Predictor("runs/quickstart"))
        >>> list(annotator([Document("1", "Naloxone reverses the effect of clonidine.")]))[0].mentions
    """

    def __init__(
        self, predictor: Predictor, *, whole: Iterable[str] = (), keep: bool = False, labels: bool = True
    ) -> None:
        self.predictor, self.keep, self.labels = predictor, keep, labels
        self.unrelated: dict[str, int] = {}
        """Document to its number of sentences that hold too many mentions to classify every pair."""
        tasks = {name: predictor.tasks[name] for name in predictor.names}
        self.arguments = {name: task.relation for name, task in tasks.items() if task.relation is not None}
        self.whole = [pick(name, tasks, "model") for name in whole]
        for name in self.whole:
            if tasks[name].inputs != "text" or name in self.arguments:
                raise InputError(f"task {name} does not label documents", expected="a task over single texts")
        found_types = {
            mention_type.lower() for task in tasks.values() if task.inputs == "tokens" for mention_type in _types(task)
        }
        reasons = {name: self._reason(task, found_types) for name, task in tasks.items()}
        self.skipped = {name: reason for name, reason in reasons.items() if reason}
        fit = [name for name in tasks if name not in self.skipped]
        self.relations = [name for name in fit if name in self.arguments]
        self.sentences = [name for name in fit if name not in (*self.relations, *self.whole)]
        if not fit:
            said = "; ".join(f"{name}: {reason}" for name, reason in self.skipped.items())
            raise InputError(f"no task that can annotate documents ({said})", fix="choose other tasks or options")

    def _reason(self, task: Task, found_types: set[str]) -> str | None:
        """Why a task can't annotate documents, or ``None``; ``found_types`` are the mention types that taggers find."""
        if task.inputs == "pair":
            return "it compares two texts"
        if task.inputs == "candidates" or type_of(task).answer == "other":
            return f"documents have no place for its answers ({task.type})"
        if task.name in self.arguments:
            arguments = self.arguments[task.name]
            there = {arguments.type_of(mention_type) for mention_type in found_types}
            lacking = [types for types in (arguments.first, arguments.second) if there.isdisjoint(types)]
            if lacking and not self.keep:
                return f"no tagger of the model finds its arguments ({', '.join(sorted(lacking[0]))})"
        elif task.inputs == "text" and not self.labels:
            return "the format has no place for labels of texts"
        return None

    def __call__(self, documents: Iterable[Document], *, advance: Advance | None = None) -> Iterator[Document]:
        """Stream the documents with their annotations, in order.

        Args:
            documents: what to annotate.
            advance: called with the number of texts done, for a progress bar.
        """
        drafts: list[_Draft] = []
        size = 0
        for document in documents:
            drafts.append(_Draft(document, self.keep))
            size += len(drafts[-1].sentences)
            if size >= WINDOW:
                yield from self._finished(drafts, advance)
                drafts, size = [], 0
        yield from self._finished(drafts, advance)

    def _finished(self, drafts: Sequence[_Draft], advance: Advance | None) -> Iterator[Document]:
        cuts = [(draft, cut) for draft in drafts for cut in draft.sentences]
        full = [draft for draft in drafts if draft.sentences]
        asked: dict[str, list[str]] = {name: [cut.text for _, cut in cuts] for name in self.sentences}
        asked |= {name: [draft.document.text for draft in full] for name in self.whole}
        results = self.predictor.ask(asked, advance=advance)
        tasks = self.predictor.tasks
        for name in self.sentences:
            for (draft, cut), result in zip(cuts, results[name], strict=True):
                draft.add(tasks[name], result, cut)
        for name in self.whole:
            for draft, result in zip(full, results[name], strict=True):
                draft.label(tasks[name], result, "Document", (0, len(draft.document.text)))
        for draft in drafts:
            draft.settle()
        for name in self.relations:
            candidates = ((draft, *pair) for draft in drafts for pair in draft.pairs(self.arguments[name]))
            while some := list(islice(candidates, RELATED)):
                results = self.predictor.ask({name: [text for _, text, *_ in some]}, advance=advance)
                for (draft, _, first, second), result in zip(some, results[name], strict=True):
                    draft.relate(tasks[name], result, first, second)
        for draft in drafts:
            if draft.unrelated:
                self.unrelated[draft.document.id] = draft.unrelated
        for draft in drafts:
            yield draft.finished()


class _Draft:
    """A document that is being annotated."""

    def __init__(self, document: Document, keep: bool) -> None:
        self.document = document
        self.sentences = list(_cuts(document))
        self.kept = document.mentions if keep else ()
        self.relations = list(document.relations) if keep else []
        self.new: tuple[Mention, ...] = ()
        self.found: dict[tuple[str, Span], list[tuple[str, float]]] = {}  # what -> the tasks that found it, how surely
        self.labels: list[Mention] = []
        self.unrelated = 0
        used = {mention.id for mention in self.kept} | {relation.id for relation in self.relations}
        self.names = {letter: _fresh(letter, used) for letter in "TR"}

    def add(self, task: Task, result: Result, cut: _Cut) -> None:
        """Add a task's result for a sentence."""
        for mention in result.mentions or ():
            key = (mention.type, (cut.places[mention.start], cut.places[mention.end - 1] + 1))
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

    def pairs(self, arguments: RelationArguments) -> Iterator[tuple[RelationText, Mention, Mention]]:
        """Candidates of a relation task: the sentence with its two arguments, and their mentions.

        A sentence with far too many is left out and counted.
        """
        sides = dict.fromkeys((arguments.first, arguments.second))
        ordered = sorted((m for types in sides for m in self._of(arguments, types)), key=lambda mention: mention.start)
        starts = [mention.start for mention in ordered]
        for start, end in document_units(arguments, self.document):
            near = ordered[bisect_left(starts, start) : bisect_left(starts, end)]
            near = [mention for mention in near if mention.end <= end]
            if (end - start) * len(near) ** 2 // 2 > MOST_RELATED:
                self.unrelated += 1
                continue
            text = self.document.text[start:end].translate(_ONE_LINE)
            for pair in argument_pairs(arguments, near, self.document.text):
                yield RelationText.of(text.rstrip(), *((m.type, m.start - start, m.end - start) for m in pair)), *pair

    def _of(self, arguments: RelationArguments, types: tuple[str, ...]) -> list[Mention]:
        given, predicted = (
            [m for m in mentions if arguments.type_of(m.type) in types] for mentions in (self.kept, self.new)
        )
        return given or predicted

    def relate(self, task: Task, result: Result, first: Mention, second: Mention) -> None:
        """Add a relation task's result for a candidate."""
        for (_, name), (_, relation_type), *rest in _labels(task, result):
            arguments = (("Arg1", first.id), ("Arg2", second.id))
            self.relations.append(Relation(next(self.names["R"]), relation_type, arguments, (("task", name), *rest)))

    def finished(self) -> Document:
        """The document: its existing mentions, the new ones, and the labels of sentences and of the text."""
        labels = tuple(replace(label, id=next(self.names["T"])) for label in self.labels)
        return replace(self.document, mentions=(*self.kept, *self.new, *labels), relations=tuple(self.relations))


def _fresh(letter: str, used: set[str]) -> Iterator[str]:
    return (name for i in count() if (name := f"{letter}{i}") not in used)


def _cuts(document: Document) -> Iterator[_Cut]:
    """The sentences that aren't blank; models read any whitespace as one space, as in training."""
    for start, end in document_sentences(document):
        pieces = [match.span() for match in _PIECE.finditer(document.text, start, end)]
        if pieces:
            text = " ".join(document.text[slice(*piece)] for piece in pieces)
            # A space between two pieces has the offset of the first character after the piece.
            places = [place for first, last in pieces for place in range(first, last + 1)]
            yield _Cut((start, end), text, places)


def _types(task: Task) -> set[str]:
    """The types of mentions that a tagging task finds."""
    return {label[2:] or task.name for label in task.labels if label.startswith("B")}


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
