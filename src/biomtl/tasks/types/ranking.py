"""The right one of several candidates for a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.check import check_record
from biomtl.tasks.kinds import Cell
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, TaskRows, TaskType, check_head
from biomtl.tasks.types.classification import softmax
from biomtl.text.base import TextInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biomtl.encoders.base import Encoded, Encoder


class Ranking(TaskType):
    """A score for each candidate; softmax over a text's candidates, as in listwise ranking (Cao et al. 2007, ListNet).

    Records: ``text``, ``candidates`` (two or more, any number) and ``label``, the right one's place from 0. Two
    candidates make it a pairwise task. ``pairs: together`` reads the text beside each candidate, ``apart`` (and any
    encoder that joins no texts) compares their vectors, which is cheaper.
    """

    name: ClassVar[str] = "ranking"
    inputs: ClassVar[tuple[str, ...]] = ("candidates",)
    gold_key: ClassVar[str] = "label"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"label": "integer"}
    metric: ClassVar[str] = "mean_reciprocal_rank"

    def check(self, record: Record, task: Task) -> str | None:
        """What is wrong with a record, in a few words, or ``None``."""
        if problem := check_record(task, record):
            return problem
        candidates, label = record["candidates"], record.get("label")
        if not isinstance(candidates, list | tuple) or len(candidates) < 2:
            return f"candidates {candidates!r:.60}, expected a list of two or more"
        if any(not isinstance(text, str) or not text.strip() for text in candidates):
            return "a candidate that is empty or no text"
        if type(label) is not int or not 0 <= label < len(candidates):
            return f"label {label!r:.40}, expected the right candidate's place, 0 to {len(candidates) - 1}"
        return None

    def text(self, record: Record, task: Task) -> TextInput:
        """The text and its candidates."""
        return TextInput((record["text"], *record["candidates"]), apart=task.pairs == "apart")

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the right candidate's place."""
        return np.array([record["label"]], dtype=np.int64)

    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """The family's own head with one output a row; for texts encoded apart, a comparison of two vectors."""
        from biomtl.heads.pairs import ApartHead, ComparisonHead

        check_head(task)
        if task.pairs == "apart" or not encoder.joins_pairs:
            return ApartHead(ComparisonHead(encoder.dim, 1), encoder.view())
        return encoder.sequence_head(1)

    def outputs(self, head: nn.Module, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[texts, most candidates]``: a score a candidate, ``-inf`` where a text has fewer."""
        import torch

        from biomtl.heads.pairs import ApartHead, mean_by_example

        width = int(rows.segment_ids.max()) + 1
        slots = rows.example_ids * width + rows.segment_ids
        filled = torch.zeros(rows.count * width, dtype=torch.bool, device=slots.device)
        filled[slots] = True
        filled = filled.view(rows.count, width)
        if not isinstance(head, ApartHead):
            scores = mean_by_example(head(encoded), slots, rows.count * width).view(rows.count, width)
            return scores.masked_fill(~filled, -torch.inf)
        seen = encoded if head.view is None else head.view(encoded)
        vectors = mean_by_example(seen.mean(), slots, rows.count * width).view(rows.count, width, -1)
        text = vectors[:, :1].expand(-1, width - 1, -1)
        return head.compare(text, vectors[:, 1:]).squeeze(-1).masked_fill(~filled[:, 1:], -torch.inf)

    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """Mean cross-entropy of the right candidate among its text's candidates."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.float(), targets)

    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """``label``: the best candidate's place; ``probabilities`` in the candidates' order."""
        scores = outputs[0][np.isfinite(outputs[0])]
        return {"label": int(scores.argmax()), "probabilities": [round(float(p), 6) for p in softmax(scores)]}
