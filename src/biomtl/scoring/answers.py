"""Metrics of answers: the rank of the right candidate and the overlap of answer spans, as means over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from biomtl.errors import InputError
from biomtl.scoring.measure import Floats, Ints, Measure, ratio
from biomtl.scoring.table import Table
from biomtl.tasks.task import Task
from biomtl.text.words import words

Choice = tuple[int, list[float] | None]  # index of the chosen candidate, and the candidates' scores in order
Answer = tuple[int, int, str]  # start, end, and the text if the row has it


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
        choices.append((label, scores))
    return choices


def read_answers(table: Table, task: Task) -> list[Answer]:
    """Each row's ``start``, ``end`` and text.

    Raises:
        InputError: an invalid span.
    """
    answers: list[Answer] = []
    for row, record in enumerate(table.records):
        start, end = record.get("start"), record.get("end")
        if type(start) is not int or type(end) is not int or not 0 <= start <= end:
            raise table.error(row, f"start {start!r:.20}, end {end!r:.20}", expected="two character offsets")
        answers.append((start, end, str(record.get("text", record.get("text_a", "")))))
    return answers


def accuracy_at_1(gold: Sequence[Choice], predicted: Sequence[Choice], unit_of: Ints) -> Measure:
    """Share of rows whose first candidate is the right one."""
    return _mean([float(g[0] == p[0]) for g, p in zip(gold, predicted, strict=True)], unit_of)


def reciprocal_rank(gold: Sequence[Choice], predicted: Sequence[Choice], unit_of: Ints) -> Measure:
    """Mean of 1 / rank of the right candidate (Voorhees 1999, TREC-8); among equal scores the right one ranks last.

    Raises:
        InputError: a prediction without probabilities, or without one for the right candidate.
    """
    values = []
    for row, ((right, _), (_, scores)) in enumerate(zip(gold, predicted, strict=True), 1):
        if scores is None or right >= len(scores):
            problem = f"row {row}: {0 if scores is None else len(scores)} probabilities, the right candidate is {right}"
            raise InputError(problem, expected="one for every candidate", fix="or choose the metric accuracy_at_1")
        values.append(1.0 / sum(score >= scores[right] for score in scores))
    return _mean(values, unit_of)


def exact_match(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Share of rows with the same first and last character."""
    return _mean([float(g[:2] == p[:2]) for g, p in zip(gold, predicted, strict=True)], unit_of)


def token_f1(gold: Sequence[Answer], predicted: Sequence[Answer], unit_of: Ints) -> Measure:
    """Mean over rows of the F1 between the answers' words, as SQuAD (Rajpurkar et al. 2016, section 6.1).

    Words are lower-cased and counted with multiplicity; punctuation and articles are kept. Both answers are taken from
    the gold text.

    Raises:
        InputError: gold rows without their text.
    """
    values = []
    for row, ((start, end, text), (begin, stop, _)) in enumerate(zip(gold, predicted, strict=True), 1):
        if not text:
            raise InputError(f"gold row {row}: no text", expected="the text that holds the answer")
        gold_words, predicted_words = (_words(text[slice(*span)]) for span in ((start, end), (begin, stop)))
        shared = (gold_words & predicted_words).total()
        values.append(2 * shared / max(gold_words.total() + predicted_words.total(), 1))
    return _mean(values, unit_of)


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
