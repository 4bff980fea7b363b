"""The span of a text that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Cell, Record, TaskType
from biomtl.text.base import Span as Offsets
from biomtl.text.base import TextInput
from biomtl.text.words import words

LONGEST = 50  # words of a predicted answer
START, END = 1, 2  # bits of a word's target


class Span(TaskType):
    """The first and the last word of the answer, each by a softmax over the text's words (Devlin et al. 2019, 4.2).

    Records have ``text``, or ``text_a`` with the answer and ``text_b`` with the question; ``start`` and ``end`` are the
    answer's characters in the first text (0-based, end exclusive). Every record has one answer.
    """

    name: ClassVar[str] = "span"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "start"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"start": "integer", "end": "integer"}
    metric: ClassVar[str] = "span_token_f1"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses a span outside the text, or without words."""
        text, start, end = record[_key(task)], record["start"], record["end"]
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

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[words]``: 1 at the answer's first word, 2 at its last, 3 if they are the same word, otherwise 0."""
        touched = [i for i, (a, b) in enumerate(self.words(record, task)) if a < record["end"] and record["start"] < b]
        target = np.zeros(len(self.words(record, task)), dtype=np.int64)
        target[touched[0]] += START
        target[touched[-1]] += END
        return target

    def loss_denominator(self, target: NDArray[Any]) -> int:
        """The starts and ends at words that have a piece."""
        return sum(int(((target == bit) | (target == START + END)).sum()) for bit in (START, END))

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``words``: the most probable first and last word (at most 50 words), and the span's ``probability``."""
        if not len(outputs):
            return {"words": [0, 0], "probability": 0.0}
        starts, ends = outputs.astype(np.float64).T
        best = (-np.inf, 0, 0)
        for further in range(min(LONGEST, len(outputs))):
            together = starts[: len(starts) - further] + ends[further:]
            first = int(together.argmax())
            best = max(best, (float(together[first]), first, first + further))
        return {"words": [best[1], best[2]], "probability": round(float(np.exp(best[0])), 6)}

    def predict(
        self, outputs: NDArray[np.float32], record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD
    ) -> Record:
        """``start`` and ``end`` (characters of the text), the ``answer`` between them, and its ``probability``."""
        decoded = self.decode(outputs, task, head)
        spans = self.words(record, task) or [(0, 0)]
        start, end = spans[decoded["words"][0]][0], spans[decoded["words"][1]][1]
        answer = record[_key(task)][start:end]
        return {"start": start, "end": end, "answer": answer, "probability": decoded["probability"]}


def _key(task: Task) -> str:
    """The text that holds the answer."""
    return "text" if task.inputs == "text" else "text_a"
