"""The right one of several candidates for a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Cell, Record, TaskType
from biomtl.tasks.types.classification import softmax
from biomtl.text.base import TextInput


class Ranking(TaskType):
    """A score for each candidate; softmax over a text's candidates, as in listwise ranking (Cao et al. 2007, ListNet).

    Records have ``text``, ``candidates`` (two or more) and ``label``, the index of the right one, from 0. With two
    candidates it is a pairwise task. ``pairs: together`` reads the text together with each candidate; ``apart`` (and
    any encoder that can't join texts) compares their vectors, which is cheaper.
    """

    name: ClassVar[str] = "ranking"
    inputs: ClassVar[tuple[str, ...]] = ("candidates",)
    gold_key: ClassVar[str] = "label"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"label": "integer"}
    metric: ClassVar[str] = "mean_reciprocal_rank"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses fewer than two candidates, a candidate that isn't a text, or a label that isn't an index."""
        candidates, label = record["candidates"], record["label"]
        if not isinstance(candidates, list | tuple) or len(candidates) < 2:
            return f"candidates {candidates!r:.60}, expected a list of two or more"
        if any(not isinstance(text, str) or not text.strip() for text in candidates):
            return "a candidate that is empty or not a text"
        if type(label) is not int or not 0 <= label < len(candidates):
            return f"label {label!r:.40}, expected the index of the right candidate, 0 to {len(candidates) - 1}"
        return None

    def text(self, record: Record, task: Task, head: HeadChoice = DEFAULT_HEAD) -> TextInput:
        """The text and its candidates."""
        return TextInput((record["text"], *record["candidates"]))

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the index of the right candidate."""
        return np.array([record["label"]], dtype=np.int64)

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``label``: the index of the best candidate; ``probabilities`` in the order of the candidates."""
        scores = outputs[0][np.isfinite(outputs[0])]
        return {"label": int(scores.argmax()), "probabilities": [round(float(p), 6) for p in softmax(scores)]}
