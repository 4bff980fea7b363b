"""Labels for raw text: every task in one encoder pass, with offsets in the given string."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

from biomtl.errors import InputError
from biomtl.inference.engines import Model, as_engine
from biomtl.inference.predict import BATCH_TOKENS, Advance, FollowUp, predict_records
from biomtl.model import MultiTaskModel
from biomtl.notebook import html_table
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.registry import pick
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.words import WordChoice, WordRule
from biomtl.text.alignment import render_tokens
from biomtl.text.base import Span
from biomtl.text.word_rules import BLANKS, OURS, cut_words


class TokenizedText(str):
    """A text with the spans of its words; taggers split a text without spans themselves."""

    words: tuple[Span, ...]

    @classmethod
    def of(cls, tokens: Sequence[str], offsets: Sequence[Sequence[int]] | None = None) -> TokenizedText:
        """The sentence of these words, with the spacing of their document or joined by spaces."""
        if offsets is None:
            offsets = [(2 * i, 2 * i + 1) for i in range(len(tokens))]
        text, spans = render_tokens(tokens, offsets)
        sentence = cls(text)
        sentence.words = tuple(spans)
        return sentence


class RelationText(str):
    """A text with the two mentions whose relation is asked for."""

    entities: tuple[Record, Record]
    tasks: tuple[str, ...] | None = None
    """The relation tasks that ask about this pair in this text; ``None`` for all that take mentions of these types."""

    @classmethod
    def of(cls, text: str, first: tuple[str, int, int], second: tuple[str, int, int]) -> RelationText:
        """A text with its first and second argument, each a type and the start and end of its characters."""
        named = enumerate((first, second), 1)
        entities = [
            {"id": f"e{number}", "type": mention_type, "start": start, "end": end, "text": text[start:end]}
            for number, (mention_type, start, end) in named
        ]
        return cls.with_entities(text, entities)

    @classmethod
    def with_entities(cls, text: str, entities: Sequence[Record]) -> RelationText:
        """A text with the two mentions of a record."""
        sentence = cls(text)
        first, second = entities
        sentence.entities = (first, second)
        return sentence

    def check(self) -> None:
        """Check both mentions.

        Raises:
            InputError: one without type, or that isn't a span of the text.
        """
        for entity in self.entities:
            whole = {"type", "start", "end"} <= entity.keys()
            if not whole or not 0 <= entity["start"] < entity["end"] <= len(self):
                fix = "give both mentions, first argument first"
                raise InputError(f"mention {entity!r:.80}", expected="type, and start and end within the text", fix=fix)
            if not self[entity["start"] : entity["end"]].strip():
                problem = f"mention of blanks at {entity['start']}-{entity['end']}"
                raise InputError(problem, expected="the characters of a mention", fix="correct its offsets")
        one, other = ((entity["type"].lower(), entity["start"], entity["end"]) for entity in self.entities)
        if one == other:
            problem = f"both mentions are {self[one[1] : one[2]][:40]!r} at {one[1]}-{one[2]}"
            raise InputError(problem, expected="two mentions", fix="give the other one")


@dataclass(frozen=True)
class PredictedMention:
    """A tagged span; ``text == source[start:end]``. ``probability`` is that of its least certain word."""

    type: str
    start: int
    end: int
    text: str
    probability: float


@dataclass(frozen=True)
class Result:
    """One task's result for one text; fields that its type doesn't have are ``None``."""

    task: str
    label: str | None = None
    score: float | None = None
    labels: tuple[str, ...] | None = None
    probabilities: dict[str, float] | None = None
    mentions: tuple[PredictedMention, ...] | None = None
    tags: tuple[str, ...] | None = None
    """Of each word, where the input was a ``TokenizedText``."""
    other: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Result({', '.join([repr(self.task), *(f'{key}={value}' for key, value in self._shown())])})"

    def _repr_html_(self) -> str:
        """A table of the mentions, of the labels with their probabilities, or of whatever the task answers."""
        if self.mentions is not None:
            rows = [(m.text, m.type, m.start, m.end, m.probability) for m in self.mentions]
            return html_table(("mention", "type", "start", "end", "probability"), rows, caption=self.task)
        if self.probabilities:
            chosen = self.labels if self.labels is not None else (self.label,)
            sure = sorted(self.probabilities.items(), key=lambda item: -item[1])
            lines = [(label, probability, "✓" * (label in chosen)) for label, probability in sure]
            return html_table(("label", "probability", "chosen"), lines, caption=self.task)
        return html_table(("field", "value"), list(self._shown()), caption=self.task)

    def _shown(self) -> Iterator[tuple[str, str]]:
        """The fields that are set, in short."""
        if self.label is not None:
            sure = (self.probabilities or {}).get(self.label)
            yield "label", repr(self.label) + ("" if sure is None else f" ({sure:.2f})")
        if self.score is not None:
            yield "score", f"{self.score:.3f}"
        if self.labels is not None:
            yield "labels", repr(list(self.labels))
        if self.mentions is not None:
            yield "mentions", f"[{', '.join(f'{m.text!r} ({m.type})' for m in self.mentions)}]"
        if self.other is not None:
            yield "other", repr(self.other)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, together with those of ``other``."""
        fields = {key: value for key, value in asdict(self).items() if value is not None and key != "task"}
        other = fields.pop("other", {})
        return fields | other


@dataclass(frozen=True)
class Question:
    """What is asked of a relation task once the results of a batch are known; ``take`` is called with the result."""

    task: str
    text: RelationText
    take: Callable[[Result], None]

    def follow_up(self, task: Task) -> FollowUp:
        """The same about the task's record."""
        record = as_record(task, self.text)
        return FollowUp(task.name, record, lambda prediction: self.take(to_result(task, record, prediction, self.text)))


Follow = Callable[[Mapping[str, Mapping[int, Result]]], Iterable[Question]]
"""From a batch's results, by task and index of the input, to what is asked next."""


class Predictor:
    """Labels raw text with a saved model.

    Args:
        model: a model or run folder, a model, or an engine, such as ``OnnxEngine`` of an exported graph.
        tasks: only these tasks, by name or alias; default every task of the model.
        bf16: let a model compute in bfloat16.
        words: how taggers split text: each as in its training corpus (``model``), or all by one rule.
        calibrated: whether to use the temperatures and thresholds that the model was calibrated with, if it was.

    Examples:
        >>> predictor = Predictor("runs/quickstart")
        >>> predictor(["Naloxone reverses the effect of clonidine."])[0]["bc5cdr-chem"].mentions
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        tasks: Iterable[str] | None = None,
        bf16: bool = False,
        words: WordChoice = "model",
        calibrated: bool = True,
    ) -> None:
        if isinstance(model, str | Path):
            model = MultiTaskModel.from_pretrained(model, tasks=tasks)
            tasks = None
        if not calibrated:
            model.drop_calibration()
        self.engine = as_engine(model, bf16=bf16)
        self.tasks = self.engine.tasks
        self.names = [pick(name, self.tasks, "model") for name in (self.tasks if tasks is None else tasks)]
        self.words = words
        self.divided: dict[str, int] = {}
        """Relation tasks to the number of pairs so far whose mentions no row of their text held together."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a string is a sequence of strings too
        self, texts: str, *, batch_tokens: int = BATCH_TOKENS, advance: Advance | None = None
    ) -> dict[str, Result]: ...

    @overload
    def __call__(
        self,
        texts: Sequence[str | tuple[str, ...]],
        *,
        batch_tokens: int = BATCH_TOKENS,
        advance: Advance | None = None,
    ) -> list[dict[str, Result]]: ...

    def __call__(
        self,
        texts: str | Sequence[str | tuple[str, ...]],
        *,
        batch_tokens: int = BATCH_TOKENS,
        advance: Advance | None = None,
    ) -> dict[str, Result] | list[dict[str, Result]]:
        """Label texts and pairs.

        A pair is for the tasks over two texts, a text with two or more candidates for ranking tasks, a `RelationText`
        for relation tasks, a single text for all others.

        Returns:
            For each input, task name to result; for a single string, only its own.

        Raises:
            InputError: no task of the model takes such an input.
        """
        _refuse_record(texts)
        if isinstance(texts, str):
            return self([texts], batch_tokens=batch_tokens, advance=advance)[0]
        places: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            for name in self.fitting(text):
                places.setdefault(name, []).append(i)
        asked = {name: [texts[i] for i in chosen] for name, chosen in places.items()}
        results: list[dict[str, Result]] = [{} for _ in texts]
        for name, answers in self.ask(asked, batch_tokens=batch_tokens, advance=advance).items():
            for i, result in zip(places[name], answers, strict=True):
                results[i][name] = result
        return results

    def ask(
        self,
        asked: Mapping[str, Sequence[str | tuple[str, ...]]],
        *,
        batch_tokens: int = BATCH_TOKENS,
        advance: Advance | None = None,
        follow: Follow | None = None,
    ) -> dict[str, list[Result]]:
        """Each task's results for its own inputs; an input shared by several tasks is encoded once.

        Args:
            asked: task name to the inputs that it labels.
            batch_tokens: positions of a batch, including padding.
            advance: called with the number of distinct inputs done.
            follow: called after each batch with its results, by task and index of the input. The questions that it
                returns are answered from the same encoder pass, if one of the batch's texts is theirs.

        Returns:
            Each task's results in the order of its inputs.
        """
        tasks = self.tasks
        rules = {name: word_rule(tasks[name], self.words) for name in asked}
        records = _records(tasks, asked, rules)

        def result(name: str, i: int, prediction: Record) -> Result:
            return to_result(tasks[name], records[name][i], prediction, asked[name][i])

        def next_records(done: Mapping[str, Mapping[int, Record]]) -> Iterator[FollowUp]:
            assert follow is not None
            results = {name: {i: result(name, i, row) for i, row in rows.items()} for name, rows in done.items()}
            return (question.follow_up(tasks[question.task]) for question in follow(results))

        predictions = predict_records(
            self.engine,
            records,
            batch_tokens=batch_tokens,
            advance=advance,
            follow=None if follow is None else next_records,
            divided=self.divided,
        )
        return {name: [result(name, i, row) for i, row in enumerate(rows)] for name, rows in predictions.items()}

    def fitting(self, text: str | tuple[str, ...]) -> list[str]:
        """The tasks that take such an input; a text with two mentions is for relation tasks, if there are any.

        Raises:
            InputError: there is none, or it is no input.
        """
        _refuse_record(text)
        if isinstance(text, RelationText):
            text.check()
        choices = self.engine.choices
        names = [name for name in self.names if takes(self.tasks[name], text, choices[name])]
        related = [name for name in self.names if self.tasks[name].relation is not None]
        if isinstance(text, RelationText) and related:
            names = [name for name in names if name in (related if text.tasks is None else text.tasks)]
            if not names:
                types = " and ".join(repr(entity["type"]) for entity in text.entities)
                expected = "; ".join(f"{name}: {_argument_types(self.tasks[name])}" for name in related)
                raise InputError(f"no task of the model takes mentions of types {types}", expected=expected)
        if not names:
            described = "single texts" if isinstance(text, str) else "pairs" if len(text) == 2 else "candidates"
            raise InputError(f"no task of the model takes {described}", expected=f"input for {', '.join(self.names)}")
        return names


def _refuse_record(value: object) -> None:
    if isinstance(value, Mapping):
        expected = 'a text, a tuple of texts, or RelationText.with_entities(record["text"], record["entities"])'
        raise InputError(f"an input of type {type(value).__name__}", expected=expected)


def takes(task: Task, text: str | tuple[str, ...], head: HeadChoice = DEFAULT_HEAD) -> bool:
    """Whether a task takes such an input."""
    if isinstance(text, str):
        if isinstance(text, RelationText):
            types = [entity["type"] for entity in text.entities]
            return task.inputs in ("text", "tokens") and (task.relation is None or task.relation.fits(*types))
        if type_of(task).required(task, head):
            return False
        return task.inputs in ("text", "tokens")
    return task.inputs == ("pair" if len(text) == 2 else "candidates")


def _argument_types(task: Task) -> str:
    """The types of a relation task's arguments, for a message."""
    assert task.relation is not None
    return " and ".join(" or ".join(types) for types in (task.relation.first, task.relation.second))


def word_rule(task: Task, choice: WordChoice = "model") -> WordRule:
    """How a task's text is split; models that were saved without a rule use ours."""
    return (task.words or OURS) if choice == "model" else {"ours": OURS, "blanks": BLANKS}[choice]


def as_record(task: Task, text: str | tuple[str, ...], rule: WordRule = OURS) -> Record:
    """Raw input in the form of the task's records, without gold values."""
    if isinstance(text, tuple):
        if task.inputs == "candidates":
            return {"text": text[0], "candidates": list(text[1:])}
        return {"text_a": text[0], "text_b": text[1]}
    if task.inputs == "tokens":
        spans = list(text.words) if isinstance(text, TokenizedText) else cut_words(text, rule)
        return {"tokens": [text[start:end] for start, end in spans], "offsets": spans}
    if isinstance(text, RelationText):
        return {"text": text, "entities": list(text.entities)}
    return {"text": text}


def _records(
    tasks: Mapping[str, Task], asked: Mapping[str, Sequence[str | tuple[str, ...]]], rules: Mapping[str, WordRule]
) -> dict[str, list[Record]]:
    """Each task's records; tasks that cut a text alike share one, since the words of a long text take much memory."""
    made: dict[Hashable, Record] = {}
    records: dict[str, list[Record]] = {}
    for name, texts in asked.items():
        task, rule = tasks[name], rules[name]
        cut = (rule.name, rule.split, rule.join, rule.abbreviations) if task.inputs == "tokens" else ()
        records[name] = []
        for text in texts:
            key = (id(text), task.inputs, cut)
            if key not in made:
                made[key] = as_record(task, text, rule)
            records[name].append(made[key])
    return records


def to_result(task: Task, record: Record, prediction: Record, source: str | tuple[str, ...]) -> Result:
    """A prediction as a typed result."""
    fields = {key: value for key, value in type_of(task).describe(record, prediction, task).items() if key != "id"}
    if "mentions" in fields:
        assert isinstance(source, str)
        mentions = [{**m, "text": source[m["start"] : m["end"]]} for m in fields["mentions"]]
        tags = tuple(fields["tags"]) if isinstance(source, TokenizedText) else None
        return Result(task.name, mentions=tuple(PredictedMention(**mention) for mention in mentions), tags=tags)
    if "labels" in fields:
        fields["labels"] = tuple(fields["labels"])
    known = {key: fields.pop(key) for key in ("label", "score", "labels", "probabilities") if key in fields}
    return Result(task.name, **known, other=fields or None)
