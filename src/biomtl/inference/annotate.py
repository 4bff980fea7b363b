"""Annotating documents: every task of a model on every sentence, with offsets in the document's text.

Text is split into sentences by the rules of the corpus readers and into words as in each task's training corpus, and
labelled by a `Predictor`: each distinct text is encoded once for all its tasks, whatever their words. Relations between
mentions of a sentence are read from the same encoder pass, once the taggers have found them, by tasks that read the
sentence as it stands (the view ``spans``). Texts of other views and units are encoded in a second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from biomtl.errors import InputError
from biomtl.formats.model import Document, Mention, Span
from biomtl.inference.drafts import Candidate, Cut, Draft, Related, related
from biomtl.inference.predict import Advance
from biomtl.inference.predictor import Predictor, Question, Result
from biomtl.tasks.registry import pick
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.relation import view_of
from biomtl.tasks.views import View

WINDOW = 512  # sentences labelled together: enough for batches of similar length, and little memory
RELATED = 4096  # candidates of relation tasks classified together


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
        second_pass: relation tasks whose pairs, all or some, are encoded by themselves, with the reasons.

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
        self._seen: dict[str, set[str]] = {}
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
        self.taggers = frozenset(name for name in self.sentences if tasks[name].inputs == "tokens")
        reasons = {name: self._second_pass(name) for name in self.relations}
        self.second_pass = {name: reason for name, reason in reasons.items() if reason}
        keeps = bool(self.sentences) and predictor.engine.keeps_states
        self.one_pass = [name for name in self.relations if keeps and self._view(name).shared]
        if not fit:
            said = "; ".join(f"{name}: {reason}" for name, reason in self.skipped.items())
            raise InputError(f"no task that can annotate documents ({said})", fix="choose other tasks or options")

    def _reason(self, task: Task, found_types: set[str]) -> str | None:
        """Why a task can't annotate documents, or ``None``; ``found_types`` are the mention types that taggers find."""
        if task.inputs == "pair":
            return "it compares two texts"
        if task.inputs == "candidates" or type_of(task).answer == "other":
            return f"documents can't store its answers ({task.type})"
        if task.name in self.arguments:
            missing = self.arguments[task.name].missing(found_types)
            if missing and not self.keep:
                return f"no tagger of the model finds its arguments ({', '.join(sorted(missing))})"
        elif task.inputs == "text" and not self.labels:
            return "the format can't store labels of texts"
        return None

    def _view(self, name: str) -> View:
        """What a relation task reads of a pair."""
        return view_of(self.predictor.engine.choices[name])

    def _second_pass(self, name: str) -> str | None:
        """Why a relation task needs a second encoder pass, or ``None``."""
        unit = self.arguments[name].unit
        if not self._view(name).shared:
            return f"view {self._view(name).name}"
        if self.sentences and not self.predictor.engine.keeps_states:
            return "the engine keeps no states"
        return f"unit {unit}, if it is more than a sentence" if self.sentences and unit != "sentence" else None

    def plan(self) -> str | None:
        """One line on what is read in which encoder pass; ``None`` if there are no relations."""
        first = [*self.sentences, *self.whole, *(name for name in self.relations if name not in self.second_pass)]
        second = [f"{name} ({reason})" for name, reason in self.second_pass.items()]
        said = " and a second for ".join(", ".join(names) for names in (first, second) if names)
        return f"one encoder pass for {said}" if self.relations else None

    def lacking(self) -> dict[str, str]:
        """Relation tasks to the types of an argument that no document so far had a mention of."""
        missing = {name: self.arguments[name].missing(seen) for name, seen in self._seen.items()}
        return {name: ", ".join(types) for name, types in missing.items() if types}

    def __call__(self, documents: Iterable[Document], *, advance: Advance | None = None) -> Iterator[Document]:
        """Stream the documents with their annotations, in order.

        Args:
            documents: what to annotate.
            advance: called with the number of texts done, for a progress bar.
        """
        drafts: list[Draft] = []
        size = 0
        for document in documents:
            drafts.append(Draft(document, self.keep))
            size += len(drafts[-1].sentences)
            if size >= WINDOW:
                yield from self._finished(drafts, advance)
                drafts, size = [], 0
        yield from self._finished(drafts, advance)

    def _finished(self, drafts: Sequence[Draft], advance: Advance | None) -> Iterator[Document]:
        cuts = [(draft, cut) for draft in drafts for cut in draft.sentences]
        full = [draft for draft in drafts if draft.sentences]
        asked: dict[str, list[str]] = {name: [cut.text for _, cut in cuts] for name in self.sentences}
        asked |= {name: [draft.document.text for draft in full] for name in self.whole}
        follow = _Pairs(self, cuts) if self.one_pass else None
        results = self.predictor.ask(asked, advance=advance, follow=follow)
        tasks = self.predictor.tasks
        for name in self.sentences:
            for (draft, cut), result in zip(cuts, results[name], strict=True):
                draft.add(tasks[name], result, cut)
        for name in self.whole:
            for draft, result in zip(full, results[name], strict=True):
                draft.label(tasks[name], result, "Document", (0, len(draft.document.text)))
        for draft in drafts:
            draft.settle()
        self._relate(drafts, advance)
        for draft in drafts:
            if draft.unrelated:
                self.unrelated[draft.document.id] = draft.unrelated
            yield draft.finished()

    def _relate(self, drafts: Sequence[Draft], advance: Advance | None) -> None:
        """Add the relations of all drafts, in order; pairs that no first pass has answered take a second one."""
        tasks = self.predictor.tasks
        found = (part for draft in drafts for name in self.relations for part in self._parts(draft, name))
        while some := list(islice(found, RELATED)):
            asked: dict[str, list[str]] = {}
            for _, name, one in some:
                if isinstance(one, Candidate):
                    asked.setdefault(name, []).append(one.text)
            results = {name: iter(rows) for name, rows in self.predictor.ask(asked, advance=advance).items()}
            for draft, name, one in some:
                directed = self.arguments[name].directed
                if isinstance(one, Candidate):
                    for relation in related(tasks[name], next(results[name]), one.first, one.second):
                        draft.relate(relation, directed=directed)
                else:
                    draft.relate(one, directed=directed)

    def _parts(self, draft: Draft, name: str) -> Iterator[tuple[Draft, str, Candidate | Related]]:
        """A document's relations of a task that are known already, and the candidates that still have to be asked."""
        arguments = self.arguments[name]
        sides = draft.sides(name, arguments, draft.new)
        self._seen.setdefault(name, set()).update(mention.type for mention in sides)
        for unit in draft.units(name, arguments):
            draft.unrelated += draft.too_many(arguments, unit, sides, verbatim=not self._view(name).one_row)
            known = draft.related.get((name, unit))
            for part in self.candidates(draft, name, unit, sides) if known is None else known:
                yield draft, name, part

    def candidates(self, draft: Draft, name: str, unit: Span, sides: Sequence[Mention]) -> Iterator[Candidate]:
        """The candidates of a relation task in a unit of a document."""
        return draft.candidates(self.arguments[name], unit, sides, verbatim=not self._view(name).one_row)


class _Pairs:
    """Asks for the pairs of sentences while the states of these sentences are at hand.

    Args:
        annotator: has the tasks.
        cuts: the sentences, in the order of the tasks' inputs.
    """

    def __init__(self, annotator: Annotator, cuts: Sequence[tuple[Draft, Cut]]) -> None:
        self.annotator, self.cuts = annotator, cuts
        self.tagged: dict[int, dict[str, Result]] = {}
        self.asked: set[int] = set()

    def __call__(self, done: Mapping[str, Mapping[int, Result]]) -> Iterator[Question]:
        """The pairs of those sentences of a batch that all taggers have labelled."""
        ready: dict[int, None] = {}
        for name in self.annotator.sentences:
            for i, result in done.get(name, {}).items():
                if name in self.annotator.taggers:
                    self.tagged.setdefault(i, {})[name] = result
                if i not in self.asked and len(self.tagged.get(i, ())) == len(self.annotator.taggers):
                    ready[i] = None
        for i in ready:
            self.asked.add(i)
            yield from self._of(*self.cuts[i], self.tagged.pop(i, {}).values())

    def _of(self, draft: Draft, cut: Cut, results: Iterable[Result]) -> Iterator[Question]:
        found = draft.mentions_in(cut, results)
        for name in self.annotator.one_pass:
            arguments = self.annotator.arguments[name]
            if cut.span not in draft.units(name, arguments):
                continue
            sides = draft.sides(name, arguments, found)
            for candidate in self.annotator.candidates(draft, name, cut.span, sides):
                yield Question(name, candidate.text, self._taker(draft, name, cut, candidate))

    def _taker(self, draft: Draft, name: str, cut: Cut, candidate: Candidate) -> Callable[[Result], None]:
        known = draft.related.setdefault
        task = self.annotator.predictor.tasks[name]

        def take(result: Result) -> None:
            known((name, cut.span), []).extend(related(task, result, candidate.first, candidate.second))

        return take


def _types(task: Task) -> set[str]:
    """The types of mentions that a tagging task finds."""
    return {label[2:] or task.name for label in task.labels if label.startswith("B")}
