"""What a run got wrong, record by record: mentions, labels, relations and scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from biomtl.report.answers import Answers
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.types.regression import score_range
from biomtl.text.alignment import render_tokens
from biomtl.text.tags import chunks, parse_tag

MOST_CASES = 10_000  # of a page, which stays quick with them
FAR = 0.1  # of the range of scores: a score that is off by more is an error
FaultKind = Literal["boundary", "type", "missed", "spurious", "score"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class Mark(NamedTuple):
    """A stretch of the first text: a mention, an argument or an answer, and whether gold and prediction agree on it."""

    start: int
    end: int
    label: str
    right: bool


class Fault(NamedTuple):
    """One error: what kinds it has, and the labels in gold and in the prediction (empty: there is none)."""

    kinds: tuple[FaultKind, ...]
    gold: str
    predicted: str


class Case(NamedTuple):
    """A record with at least one error.

    Attributes:
        id: the record's.
        texts: its texts; marks are in the first one.
        faults: the errors.
        gold: the gold answer in words, empty where marks show it.
        predicted: the predicted one.
        gold_marks: gold mentions.
        predicted_marks: predicted mentions.
        arguments: the two mentions of a relation.
        sure: the probability of the predicted answer, if known.
    """

    id: str
    texts: tuple[str, ...]
    faults: tuple[Fault, ...]
    gold: str = ""
    predicted: str = ""
    gold_marks: tuple[Mark, ...] = ()
    predicted_marks: tuple[Mark, ...] = ()
    arguments: tuple[Mark, ...] = ()
    sure: float | None = None


def cases(answers: Answers) -> Iterator[Case]:
    """The records with errors, in the order of the data."""
    answer = type_of(answers.task).answer
    compare = {"tags": _tags, "label": _label, "labels": _labels, "score": _score}.get(answer, _other)
    for record, predicted in answers:
        case = compare(answers.task, record, predicted)
        if case is not None:
            yield case


def fair_shares(counts: Sequence[int], most: int = MOST_CASES) -> list[int]:
    """How many of each are shown, so that there are at most ``most`` in all and small ones are complete."""
    left, shares = most, [0] * len(counts)
    for place, index in enumerate(sorted(range(len(counts)), key=lambda i: counts[i])):
        shares[index] = min(counts[index], left // (len(counts) - place))
        left -= shares[index]
    return shares


def confused_types(answers: Answers) -> Counter[tuple[str, str]] | None:
    """Gold and predicted type of every mention, ``""`` for none; None for tasks without mentions or with one type."""
    types = {parse_tag(label)[1] for label in answers.task.labels if label != "O"}
    if type_of(answers.task).answer != "tags" or len(types) == 1:
        return None
    counts: Counter[tuple[str, str]] = Counter()
    for record, predicted in answers:
        counts.update((fault.gold, fault.predicted) for fault in _pairs(*_mentions(answers.task, record, predicted)))
    return counts if len({gold for gold, _ in counts if gold}) > 1 else None


def _tags(task: Task, record: Record, predicted: Record) -> Case | None:
    if record["tags"] == predicted["tags"]:
        return None
    gold, found = _mentions(task, record, predicted)
    faults = tuple(fault for fault in _pairs(gold, found) if fault.kinds)
    if not faults:  # other tags, the same mentions
        return None
    text, spans = render_tokens(record["tokens"], record["offsets"])
    both = set(gold) & set(found)

    def marks(side: Sequence[tuple[int, int, str]]) -> tuple[Mark, ...]:
        return tuple(Mark(spans[a][0], spans[b - 1][1], label, (a, b, label) in both) for a, b, label in side)

    return Case(_id(record), (text,), faults, gold_marks=marks(gold), predicted_marks=marks(found))


def _mentions(task: Task, record: Record, predicted: Record) -> tuple[list[tuple[int, int, str]], ...]:
    """First token, token after the last, and type of gold and predicted mentions."""
    return tuple([(a, b, name or task.name) for a, b, name in chunks(side["tags"])] for side in (record, predicted))


def _pairs(gold: Sequence[tuple[int, int, str]], found: Sequence[tuple[int, int, str]]) -> Iterator[Fault]:
    """Each mention beside what it was taken for: the same span first, then whatever overlaps most."""
    left = [mention for mention in found if mention not in set(gold)]
    for mention in gold:
        if mention in found:
            yield Fault((), mention[2], mention[2])
            continue
        best = max(left, key=lambda other: _likeness(mention, other), default=None)
        if best is None or not _overlap(mention, best):
            yield Fault(("missed",), mention[2], "")
            continue
        left.remove(best)
        kinds: list[FaultKind] = []
        kinds += ["boundary"] if mention[:2] != best[:2] else []
        kinds += ["type"] if mention[2] != best[2] else []
        yield Fault(tuple(kinds), mention[2], best[2])
    for mention in left:
        yield Fault(("spurious",), "", mention[2])


def _overlap(one: tuple[int, int, str], other: tuple[int, int, str]) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def _likeness(one: tuple[int, int, str], other: tuple[int, int, str]) -> tuple[bool, int, bool]:
    return one[:2] == other[:2], _overlap(one, other), one[2] == other[2]


def _label(task: Task, record: Record, predicted: Record) -> Case | None:
    gold, found = str(record["label"]), str(predicted["label"])
    if gold == found:
        return None
    kind: FaultKind = "missed" if found == task.negative else "spurious" if gold == task.negative else "type"
    probabilities = predicted.get("probabilities")
    sure = probabilities.get(found) if isinstance(probabilities, Mapping) else None
    if not isinstance(sure, float | int) or not math.isfinite(sure):
        sure = None
    arguments, fault = _arguments(task, record), Fault((kind,), gold, found)
    texts = (*_texts(record), *_nested(record, arguments))
    return Case(_id(record), texts, (fault,), gold, found, arguments=arguments, sure=sure)


def _arguments(task: Task, record: Record) -> tuple[Mark, ...]:
    """The two mentions of a relation; numbered if the same two the other way round are another pair."""
    entities = record.get("entities", ())
    types = [str(entity.get("type", "")) for entity in entities]
    if task.relation is not None and task.relation.directed and len(types) == 2 and task.relation.fits(*types[::-1]):
        types = [f"{number} {name}".rstrip() for number, name in enumerate(types, 1)]
    return tuple(Mark(e["start"], e["end"], name, True) for e, name in zip(entities, types, strict=True))


def _nested(record: Record, arguments: Sequence[Mark]) -> Iterator[str]:
    """A line with two mentions that overlap, as the text can show only one of them."""
    if len(arguments) == 2 and _overlap((*arguments[0][:2], ""), (*arguments[1][:2], "")):
        yield ", ".join(f"{record['text'][mark.start : mark.end]} ({mark.label})" for mark in arguments)


def _labels(task: Task, record: Record, predicted: Record) -> Case | None:
    gold, found = record["labels"], predicted["labels"]
    faults = (
        *(Fault(("missed",), label, "") for label in gold if label not in found),
        *(Fault(("spurious",), "", label) for label in found if label not in gold),
    )
    if not faults:
        return None
    return Case(_id(record), _texts(record), faults, ", ".join(gold) or "no label", ", ".join(found) or "no label")


def _score(task: Task, record: Record, predicted: Record) -> Case | None:
    low, high = score_range(task)
    gold, found = float(record["score"]), float(predicted["score"])
    if abs(gold - found) <= FAR * (high - low):
        return None
    return Case(_id(record), _texts(record), (Fault(("score",), "", ""),), f"{gold:.3g}", f"{found:.3g}")


def _answer(record: Record, predicted: Record) -> Case:
    """An answer that is another one, or none; ``start`` is then ``None``."""
    gold, found = (
        () if side["start"] is None else (Mark(side["start"], side["end"], "", False),) for side in (record, predicted)
    )
    kind: FaultKind = "missed" if gold else "spurious"
    if gold and found and _overlap((*gold[0][:2], ""), (*found[0][:2], "")):
        kind = "boundary"
    right, said = ("" if marks else "no answer" for marks in (gold, found))
    fault = Fault((kind,), "", "")
    return Case(_id(record), _texts(record), (fault,), right, said, gold_marks=gold, predicted_marks=found)


def _other(task: Task, record: Record, predicted: Record) -> Case | None:
    """Spans of an answer, indices of candidates, and the fields of types from elsewhere."""
    keys = [key for key in type_of(task).gold_cells if key in predicted]
    if all(record.get(key) == predicted[key] for key in keys):
        return None
    if {"start", "end"} <= set(keys):
        return _answer(record, predicted)
    texts = *_texts(record), *(f"{number}: {text}" for number, text in enumerate(record.get("candidates", ())))
    gold_said, found_said = (", ".join(str(side.get(key)) for key in keys) for side in (record, predicted))
    if "candidates" in record:
        return Case(_id(record), texts, (Fault(("type",), "", ""),), gold_said, found_said)
    answers = f"gold: {gold_said}", f"predicted: {found_said}"  # which may quote the text
    return Case(_id(record), (*texts, *answers), (Fault(("type",), "", ""),))


def _texts(record: Record) -> tuple[str, ...]:
    if "tokens" in record:
        return (" ".join(record["tokens"]),)
    return tuple(str(record[key]) for key in ("text", "text_a", "text_b") if record.get(key))


def _id(record: Record) -> str:
    return str(record.get("id"))
