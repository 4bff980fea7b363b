"""The contract of all heads: outputs for a task's rows, and their loss. The model uses nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.errors import InputError
from biomtl.heads.rows import TaskRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from biomtl.heads.lora import TaskLora

Loss = Callable[[Tensor, TaskRows], Tensor]
"""Maps outputs and rows with targets to the mean loss over ``rows.loss_denominator`` outputs, a scalar."""

Reading = Literal["texts", "words", "spans", "arguments", "pairs", "mentions"]
"""How a graph's logits become a task's outputs (see `heads.readings`).

Texts (``pairs``) are compared in the graph, and pairs of ``mentions`` are read there.
"""

RENAMED = {"view": "layer_mix", "reducer": "seq2vec", "sequence": "seq2seq", "near": "contrastive"}
"""Modules of saved heads (format 1) that have been renamed."""


@dataclass(frozen=True)
class HeadOutput:
    """A head's result for a task's rows in a batch.

    Attributes:
        outputs: ``[outputs, labels]``, which the task's type decodes.
        loss: the mean loss, a scalar; ``None`` if the rows have no targets.
        count: the number of outputs over which the loss is a mean.
    """

    outputs: Tensor
    loss: Tensor | None
    count: int


class Head(nn.Module, ABC):
    """A task's own layers on top of the shared encoder.

    Args:
        objective: its loss.
    """

    reading: ClassVar[Reading | None] = None
    """How an exported graph's logits are read; ``None`` if such a head can't be in a graph."""
    by_row: ClassVar[bool] = False
    """Whether it is a ``RowHead``; others get all rows of a text at once."""
    joint: ClassVar[bool] = False
    """Whether a text's outputs are decided together, as a CRF's path, so that none can be changed alone."""
    network: RowNetwork | None

    def __init__(self, objective: Loss) -> None:
        super().__init__()
        self.objective = objective
        self.lora: TaskLora | None = None
        """Adapters of the task's own in the encoder."""
        self.divergence: str | None = None  # by which training methods compare two passes; see `heads.named`
        self.register_load_state_dict_pre_hook(_take_old_names)

    @abstractmethod
    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """The task's outputs.

        Args:
            encoded: all rows of the batch.
            rows: the rows that the task reads.

        Returns:
            ``[outputs, labels]``, one example after another, each with ``rows.output_counts`` outputs.
        """

    def loss(self, outputs: Tensor, rows: TaskRows) -> tuple[Tensor, int]:
        """The mean loss of these outputs against ``rows.targets``, and the number of outputs in the mean."""
        return self.objective(outputs, rows), rows.loss_denominator

    def scores(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The values to decode: the outputs themselves, except for a head that chooses them jointly (a CRF)."""
        return outputs

    def answer(self, encoded: Encoded, rows: TaskRows) -> HeadOutput:
        """Outputs, and the loss if there are targets."""
        return self.judge(self(encoded, rows), rows)

    def judge(self, outputs: Tensor, rows: TaskRows) -> HeadOutput:
        """The answer that these outputs are."""
        loss, count = (None, 0) if rows.targets is None else self.loss(outputs, rows)
        return HeadOutput(outputs if self.training else self.scores(outputs, rows), loss, count)

    @property
    def traceable(self) -> bool:
        """Whether the head fits in one static graph, for rows of any shape."""
        return self.reading is not None and self.network is not None and self.network.traceable

    def trace(self, encoded: Encoded, given: Mapping[str, Tensor]) -> Tensor:
        """The computation of an exported graph: the network's logits for rows, or the comparison of pairs.

        Args:
            encoded: the rows.
            given: the graph's further inputs. ``first`` and ``second``, ``[pairs, rows]``, are each row's share in the
                texts of a pair. ``mentions`` ``[m, 4, 2]``, ``features`` ``[m, n]`` and ``slots`` ``[m]`` are those of
                `TaskRows`, and ``table`` ``[rows, outputs_per_row]`` has the index of the output of each slot.
        """
        assert self.network is not None
        return self.network(encoded)

    def stock_model(self) -> PreTrainedModel | None:
        """The stock class that has this head; ``None`` if there is none."""
        return None if self.network is None else self.network.stock_model()

    def row_network(self, task: str) -> RowNetwork:
        """The network whose logits for single rows are the task's.

        Raises:
            InputError: single rows have no logits, as when two texts are encoded separately and compared.
        """
        if self.network is None:
            problem = f"task {task} compares two texts that are encoded separately"
            raise InputError(problem, expected="a task whose rows stand alone", fix="call the model with a batch")
        return self.network


class RowHead(Head):
    """A head that reads each row by itself before it joins the rows: a long text's can be encoded a few at a time."""

    by_row: ClassVar[bool] = True

    @abstractmethod
    def each_row(self, encoded: Encoded) -> Tensor:
        """``[rows, …]``: what the head keeps of every row."""

    @abstractmethod
    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """The task's outputs ``[outputs, labels]`` of what was kept of its rows."""

    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """See ``Head``."""
        return self.join(self.each_row(rows.select(encoded)), rows)


class NetworkHead(RowHead):
    """A head that keeps its network's logits of every row."""

    network: RowNetwork

    def each_row(self, encoded: Encoded) -> Tensor:
        """The network's logits."""
        return self.network(encoded)


def _take_old_names(head: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Translate parameter names of format 1: renamed modules, and networks that were the head itself."""
    known = {prefix + name for name in head.state_dict()}
    for old in [name for name in state if name.startswith(prefix) and name not in known]:
        renamed = ".".join(RENAMED.get(module, module) for module in old.removeprefix(prefix).split("."))
        for name in (prefix + renamed, f"{prefix}network.{renamed}"):
            if name in known:
                state[name] = state.pop(old)
                break
