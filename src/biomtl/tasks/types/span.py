"""The stretch of a text that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError
from biomtl.tasks.check import check_record
from biomtl.tasks.kinds import Cell
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, TaskRows, TaskType, check_head, encoded_apart
from biomtl.text.base import Span as Offsets
from biomtl.text.base import TextInput
from biomtl.text.words import words

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biomtl.encoders.base import Encoded, Encoder

LONGEST = 50  # words of a predicted answer
START, END = 1, 2  # bits of a word's target


class Span(TaskType):
    """The first and the last word of the answer, each by a softmax over the text's words (Devlin et al. 2019, 4.2).

    Records: ``text`` alone, or ``text_a`` with the answer in it and ``text_b``, the question; ``start`` and ``end``,
    the answer's characters in the first (0-based, end exclusive). Every record has one answer.
    """

    name: ClassVar[str] = "span"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "start"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"start": "integer", "end": "integer"}
    metric: ClassVar[str] = "span_token_f1"

    def check(self, record: Record, task: Task) -> str | None:
        """What is wrong with a record, in a few words, or ``None``."""
        if problem := check_record(task, record):
            return problem
        text, start, end = record[_key(task)], record.get("start"), record.get("end")
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            return f"start {start!r:.20}, end {end!r:.20}, expected a span of the text's {len(text)} characters"
        if not any(a < end and start < b for a, b in words(text)):
            return f"the span [{start}, {end}] holds no word"
        return None

    def words(self, record: Record, task: Task) -> Sequence[Offsets]:
        """The words of the text that holds the answer."""
        return list(words(record[_key(task)]))

    def text(self, record: Record, task: Task) -> TextInput:
        """The text, and the question after it."""
        given = super().text(record, task)
        return TextInput(given.texts, words=tuple(self.words(record, task)))

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[words]``: 1 at the answer's first word, 2 at its last, 3 where both are one, else 0."""
        touched = [i for i, (a, b) in enumerate(self.words(record, task)) if a < record["end"] and record["start"] < b]
        target = np.zeros(len(self.words(record, task)), dtype=np.int64)
        target[touched[0]] += START
        target[touched[-1]] += END
        return target

    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """The family's own token head with two outputs a word, start and end.

        Raises:
            InputError: a question with an encoder that joins no texts, which so couldn't see it.
        """
        check_head(task)
        if encoded_apart(task, encoder):
            fix = "use pairs: together and a transformer, or texts without questions"
            raise InputError(f"task {task.name}: the question would be encoded apart from its text", fix=fix)
        return encoder.token_head(2)

    def outputs(self, head: nn.Module, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[words, 2]``: log-probability of each word to begin and to end its text's answer."""
        import torch

        assert rows.word_positions is not None
        row, position = rows.word_positions.unbind(1)
        logits = head(encoded)[row.clamp(min=0), position.clamp(min=0)].float()
        logits = logits.masked_fill((row < 0).unsqueeze(-1), torch.finfo(torch.float32).min)
        return torch.cat([part.log_softmax(0) for part in logits.split(rows.output_counts.tolist())])

    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """Mean over starts and ends of their negative log-probability; a word without any piece doesn't count."""
        import torch

        bits = torch.stack([_holds(targets, bit) for bit in (START, END)], dim=1)
        return -(outputs * bits).sum() / bits.sum().clamp(min=1)

    def loss_denominator(self, targets: Tensor) -> int:
        """The starts and ends at words that have a piece."""
        return sum(int(_holds(targets, bit).sum()) for bit in (START, END))

    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """``words``: the likeliest first and last word (of at most 50), and the span's ``probability``."""
        if not len(outputs):
            return {"words": [0, 0], "probability": 0.0}
        starts, ends = outputs.astype(np.float64).T
        best = (-np.inf, 0, 0)
        for further in range(min(LONGEST, len(outputs))):
            together = starts[: len(starts) - further] + ends[further:]
            first = int(together.argmax())
            best = max(best, (float(together[first]), first, first + further))
        return {"words": [best[1], best[2]], "probability": round(float(np.exp(best[0])), 6)}

    def predict(self, outputs: NDArray[np.float32], record: Record, task: Task) -> Record:
        """``start`` and ``end`` (characters of the text), the ``answer`` between them, and its ``probability``."""
        found = self.decode(outputs, task)
        spans = self.words(record, task) or [(0, 0)]
        start, end = spans[found["words"][0]][0], spans[found["words"][1]][1]
        answer = record[_key(task)][start:end]
        return {"start": start, "end": end, "answer": answer, "probability": found["probability"]}


def _holds(targets: Tensor, bit: int) -> Tensor:
    """Which words are an answer's start, or its end; -100 stands for a word without any piece."""
    return (targets == bit) | (targets == START + END)


def _key(task: Task) -> str:
    """The text that holds the answer."""
    return "text" if task.inputs == "text" else "text_a"
