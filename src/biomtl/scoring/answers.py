"""Metrics of answers: the rank of the right candidate and the overlap of answer spans, as means over rows."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from biomtl.errors import InputError
from biomtl.scoring.measure import Floats, Ints, Measure, ratio
from biomtl.scoring.table import Table
from biomtl.tasks.task import Task
from biomtl.text.words import words

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Choice(NamedTuple):
    """A row's choice: the candidate's index, the candidates' scores in order, and their number, where it is known."""

    label: int
    scores: list[float] | None
    candidates: int | None


class Answer(NamedTuple):
    """A row's answer.

    Attributes:
        span: its first character and the one after its last; ``None`` if there is no answer or only its text.
        text: the text that holds it, if the row has it.
        answers: the answer's text, or those of several right ones; a single empty one for no answer; empty if it has
            to be taken from ``text``.
    """

    span: tuple[int, int] | None
    text: str
    answers: tuple[str, ...]

    @property
    def missing(self) -> bool:
        """Whether the row says that there is no answer."""
        return self.span is None and self.answers == ("",)


def read_choices(table: Table, task: Task) -> list[Choice]:
    """Each row's ``label``, and its ``probabilities`` if it has any.

    Raises:
        InputError: a value of the wrong kind.
    """
    choices: list[Choice] = []
    for row, record in enumerate(table.records):
        label, scores = record.get("label"), record.get("probabilities")
        if type(label) is not int or label < 0:
            raise table.error(row, f"label {label!r:.40}", expected="a candidate's place from 0")
        if scores is not None:
            sound = isinstance(scores, list) and all(type(s) in (int, float) and abs(s) < np.inf for s in scores)
            if not sound or label >= len(scores):
                raise table.error(row, f"probabilities {scores!r:.40}", expected="a number for every candidate")
        candidates = record.get("candidates")
        choices.append(Choice(label, scores, len(candidates) if isinstance(candidates, list) else None))
    return choices


def read_answers(table: Table, task: Task) -> list[Answer]:
    """Each row's ``start``, ``end`` and text, or a predicted ``answer`` alone; no answer is ``null`` twice, or "".

    Raises:
        InputError: an invalid span, or answers that are not texts.
    """
    return [_read_answer(table, row, record) for row, record in enumerate(table.records)]


def _read_answer(table: Table, row: int, record: dict[str, Any]) -> Answer:
    start, end = record.get("start"), record.get("end")
    text = str(record.get("text", record.get("text_a", "")))
    given = record.get("answers")
    if given is None and "answer" in record:
        given = [record["answer"]]
    if given is not None and not (isinstance(given, list) and all(isinstance(answer, str) for answer in given)):
        raise table.error(row, f"answers {given!r:.40}", expected="a list of texts")
    if start is None and end is None and ("start" in record or given):
        known = given is not None and "start" not in record
        return Answer(None, text, (tuple(given or ()) if known else ("",)))
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        raise table.error(row, f"start {start!r:.20}, end {end!r:.20}", expected="two character offsets")
    return Answer((start, end), text, tuple(given or ()))


def accuracy_at_1(gold: Sequence[Choice], predicted: Sequence[Choice], unit_of: Ints) -> Measure:
    """Share of rows whose first candidate is the right one."""
    return _mean([float(g.label == p.label) for g, p in zip(gold, predicted, strict=True)], unit_of)


def reciprocal_rank(gold: Sequence[Choice], predicted: Sequence[Choice], unit_of: Ints) -> Measure:
    """Mean of 1 / rank of the right candidate (Voorhees 1999, TREC-8); among equal scores the right one ranks last.

    Raises:
        InputError: a prediction without probabilities, or without one for every candidate.
    """
    values = []
    for row, (right, (_, scores, _)) in enumerate(zip(gold, predicted, strict=True), 1):
        given = len(scores or ())
        if scores is None or right.label >= given or given != (right.candidates or given):
            problem = f"row {row}: {given} probabilities, the right candidate is {right.label}"
            problem += f" of {right.candidates}" if right.candidates else ""
            raise InputError(problem, expected="one for every candidate", fix="or choose the metric accuracy_at_1")
        values.append(1.0 / sum(score >= scores[right.label] for score in scores))
    return _mean(values, unit_of)


def exact_match(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Share of rows with the same first and last character, or rightly without an answer.

    Raises:
        InputError: a prediction without its characters.
    """
    for row, answer in enumerate(predicted, 1):
        if answer.span is None and not answer.missing:
            fix = "choose the metric squad_exact_match"
            raise InputError(f"predicted row {row}: only a text", expected="start and end", fix=fix)
    return _mean([float(g.span == p.span) for g, p in zip(gold, predicted, strict=True)], unit_of)


def token_f1(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Mean over rows of the F1 between the answers' words, as SQuAD (Rajpurkar et al. 2016, section 6.1).

    Words are lower-cased and counted with multiplicity; punctuation and articles are kept. Both answers are taken from
    the gold text. Two missing answers count 1.

    Raises:
        InputError: gold rows without their text.
    """
    values = []
    for row, (right, found) in enumerate(zip(gold, predicted, strict=True), 1):
        if right.missing or found.missing:
            values.append(float(right.missing and found.missing))
            continue
        if not right.text:
            raise InputError(f"gold row {row}: no text", expected="the text that holds the answer")
        values.append(_overlap(_words(_said(right, right)), _words(_said(found, right))))
    return _mean(values, unit_of)


def squad_f1(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Mean over rows of the best F1 of normal words with any of the right answers, by SQuAD's official script.

    Normal words are those of `normal`. A question without an answer has the right answer "", and so has one whose
    answers have no normal word; against it, and for an answer without any, only equality counts.

    Raises:
        InputError: gold rows without their text.
    """

    def overlap(right: str, found: str) -> float:
        one, other = (Counter(normal(text).split()) for text in (right, found))
        return _overlap(one, other) if one and other else float(one == other)

    return _by_answers(gold, predicted, unit_of, overlap)


def squad_exact_match(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Share of rows whose answer equals one of the right ones once both are `normal`, by SQuAD's official script.

    Raises:
        InputError: gold rows without their text.
    """
    return _by_answers(gold, predicted, unit_of, lambda right, found: float(normal(right) == normal(found)))


def normal(answer: str) -> str:
    """Lower case without punctuation (of ASCII), articles and superfluous blanks."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _by_answers(
    gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints, compare: Callable[[str, str], float]
) -> Measure:
    values, unanswerable = [], []
    for row, (right, found) in enumerate(zip(gold, predicted, strict=True), 1):
        texts = right.answers or (_said(right, right),)
        if not (right.answers or right.text) or not (found.answers or right.text):
            raise InputError(f"gold row {row}: no text", expected="the text that holds the answer, or answers")
        texts = tuple(text for text in texts if normal(text)) or ("",)
        values.append(max(compare(text, _said(found, right)) for text in texts))
        unanswerable.append(texts == ("",))
    measure = _mean(values, unit_of)
    without = [value for value, missing in zip(values, unanswerable, strict=True) if missing]
    if not without:
        return measure
    answered = [value for value, missing in zip(values, unanswerable, strict=True) if not missing]
    with_answer = f"{sum(answered) / len(answered):.4f} for {len(answered):,} questions with an answer, " * bool(
        answered
    )
    note = f"{with_answer}{sum(without) / len(without):.4f} for {len(without):,} without"
    return replace(measure, notes=(note,))


def _said(answer: Answer, gold: Answer) -> str:
    """An answer's text; its own, or that of its span in the gold text."""
    if answer.answers or answer.span is None:
        return answer.answers[0] if answer.answers else ""
    return gold.text[slice(*answer.span)]


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / max(one.total() + other.total(), 1)


def _words(answer: str) -> Counter[str]:
    return Counter(answer[start:end].lower() for start, end in words(answer))


def _mean(values: Sequence[float], unit_of: Ints) -> Measure:
    """The mean of the rows' values, resampled by unit."""
    units = int(unit_of.max()) + 1 if len(unit_of) else 0
    sums = np.bincount(unit_of, weights=np.array(values, dtype=np.float64), minlength=units)
    rows = np.bincount(unit_of, minlength=units).astype(np.float64)

    def estimate(weights: Floats) -> Floats:
        return ratio(weights @ sums, weights @ rows)

    return Measure(estimate, None, None, len(values))
