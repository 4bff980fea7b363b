"""The span of a text that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Cell, Record, TaskType
from biomtl.text.base import EncodedRow, TextInput
from biomtl.text.base import Span as Offsets
from biomtl.text.words import words

LONGEST = 50  # words of a predicted answer
START, END = 1, 2  # bits of a word's target


class Span(TaskType):
    """The first and the last word of the answer, each by a softmax over the text's words (Devlin et al. 2019, 4.2).

    Records have ``text``, or ``text_a`` with the answer and ``text_b`` with the question; ``start`` and ``end`` are the
    answer's characters in the first text (0-based, end exclusive). Where a task's questions may be ``unanswerable``,
    both are ``None`` for one without an answer. That is learnt as in BERT for SQuAD 2.0 (Devlin et al. 2019, 4.3): such
    an answer begins and ends at a special position, here the first one. ``answers`` may hold the texts of several right
    answers, for scores.
    """

    name: ClassVar[str] = "span"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "start"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"start": "place", "end": "place"}
    further_cells: ClassVar[Mapping[str, Cell]] = {"answers": "texts"}
    metric: ClassVar[str] = "span_token_f1"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses a span outside the text, or without words, and a missing one where all questions have an answer."""
        text, start, end = record[_key(task)], record["start"], record["end"]
        answers = record.get("answers", [])
        if not isinstance(answers, list | tuple) or not all(isinstance(answer, str) for answer in answers):
            return f"answers {answers!r:.40}, expected a list of texts"
        if start is None and end is None:
            return None if task.unanswerable else "no start and no end, expected an answer (or `unanswerable: true`)"
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            return f"start {start!r:.20}, end {end!r:.20}, expected a span of the text's {len(text)} characters"
        if not any(a < end and start < b for a, b in words(text)):
            return f"the span [{start}, {end}] holds no word"
        return None

    def words(self, record: Record, task: Task) -> Sequence[Offsets]:
        """The words of the text that holds the answer."""
        return list(words(record[_key(task)]))

    def text(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> TextInput:
        """The text, and the question after it."""
        given = super().text(record, task, head)
        return TextInput(given.texts, words=tuple(self.words(record, task)))

    def positions(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32] | None:
        """The words' first pieces and, if questions may be unanswerable, the first row's first special position."""
        places = super().positions(record, task, rows, head)
        if not task.unanswerable or places is None:
            return places
        special = np.flatnonzero(rows[0].sides < 0)
        nowhere = [0, special[0]] if len(special) else [-1, -1]
        return np.concatenate([places, np.array([[nowhere]], dtype=places.dtype)])

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[words]``: 1 at the answer's first word, 2 at its last, 3 if they are the same word, otherwise 0.

        If questions may be unanswerable, one more, which is 3 for those without an answer.
        """
        target = np.zeros(len(self.words(record, task)) + task.unanswerable, dtype=np.int64)
        if record["start"] is None:
            target[-1] = START + END
            return target
        touched = [i for i, (a, b) in enumerate(self.words(record, task)) if a < record["end"] and record["start"] < b]
        target[touched[0]] += START
        target[touched[-1]] += END
        return target

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """The starts and ends at words that have a piece."""
        return sum(int(((target == bit) | (target == START + END)).sum()) for bit in (START, END))

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``words``: the most probable first and last word (at most 50 words), and the span's ``probability``.

        If questions may be unanswerable, ``words`` is ``None`` where no answer is more probable than this one, and
        ``no_answer`` the probability of that, of the two.
        """
        if task.unanswerable:
            span = self.decode(outputs[:-1], task.model_copy(update={"unanswerable": False}))
            lead = self.null_lead(outputs)
            missing = lead + head.calibrated.negative_bias > 0 or len(outputs) == 1
            no_answer = 1 / (1 + np.exp(-np.clip(lead, -50, 50)))
            return {**span, "words": None if missing else span["words"], "no_answer": round(float(no_answer), 6)}
        if not len(outputs):
            return {"words": [0, 0], "probability": 0.0}
        score, first, last = _best(outputs)
        return {"words": [first, last], "probability": round(float(np.exp(score)), 6)}

    def null_lead(self, outputs: NDArray[np.float32]) -> float:
        """By how much, in logarithms, no answer is more probable than the best one; ``outputs`` as for `decode`."""
        best = _best(outputs[:-1])[0] if len(outputs) > 1 else -np.inf
        return float(outputs[-1].astype(np.float64).sum() - best)

    def predict(
        self, outputs: NDArray[np.float32], record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD
    ) -> Record:
        """``start`` and ``end`` (characters of the text), the ``answer`` between them, and its ``probability``.

        Without an answer ``start`` and ``end`` are ``None`` and ``answer`` is empty.
        """
        decoded = self.decode(outputs, task, head)
        further: Record = {key: decoded[key] for key in ("probability", "no_answer") if key in decoded}
        if decoded["words"] is None:
            return {"start": None, "end": None, "answer": "", **further}
        spans = self.words(record, task) or [(0, 0)]
        start, end = spans[decoded["words"][0]][0], spans[decoded["words"][1]][1]
        answer = record[_key(task)][start:end]
        return {"start": start, "end": end, "answer": answer, **further}


def _best(outputs: NDArray[np.float32]) -> tuple[float, int, int]:
    """The logarithm of the most probable span's probability, its first and its last word."""
    starts, ends = outputs.astype(np.float64).T
    best = (-np.inf, 0, 0)
    for further in range(min(LONGEST, len(outputs))):
        together = starts[: len(starts) - further] + ends[further:]
        first = int(together.argmax())
        best = max(best, (float(together[first]), first, first + further))
    return best


def _key(task: Task) -> str:
    """The text that holds the answer."""
    return "text" if task.inputs == "text" else "text_a"
