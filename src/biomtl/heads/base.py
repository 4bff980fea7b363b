"""The contract of all heads: outputs for a task's rows, and their loss. The model asks nothing else of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.errors import InputError
from biomtl.heads.rows import TaskRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Loss = Callable[[Tensor, TaskRows], Tensor]
"""Outputs and rows with targets to the mean loss over ``rows.loss_denominator`` outputs, a scalar."""

Reading = Literal["texts", "words", "spans", "pairs"]
"""How a graph's logits become a task's outputs: see `heads.readings`; ``pairs`` are compared in the graph."""

RENAMED = {"view": "layer_mix", "reducer": "seq2vec", "sequence": "seq2seq", "near": "contrastive"}
"""Modules of saved heads (format 1) that have another name today."""


@dataclass(frozen=True)
class HeadOutput:
    """What a head says of a task's rows in a batch.

    Attributes:
        outputs: ``[outputs, labels]``, which the task's type decodes.
        loss: the mean loss, a scalar; ``None`` where the rows have no targets.
        count: how many outputs the loss is the mean of.
    """

    outputs: Tensor
    loss: Tensor | None
    count: int


class Head(nn.Module, ABC):
    """A task's own layers over the shared encoder.

    Args:
        objective: its loss.
    """

    reading: ClassVar[Reading | None] = None
    """How an exported graph's logits are read; ``None`` where no graph holds such a head."""
    network: RowNetwork | None

    def __init__(self, objective: Loss) -> None:
        super().__init__()
        self.objective = objective
        self.register_load_state_dict_pre_hook(_take_old_names)

    @abstractmethod
    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """The task's outputs.

        Args:
            encoded: all rows of the batch.
            rows: which of them the task reads.

        Returns:
            ``[outputs, labels]``, examples one after another, each with ``rows.output_counts`` outputs.
        """

    def loss(self, outputs: Tensor, rows: TaskRows) -> tuple[Tensor, int]:
        """The mean loss of these outputs against ``rows.targets``, and how many outputs it is over."""
        return self.objective(outputs, rows), rows.loss_denominator

    def scores(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """What is decoded of the outputs: they themselves, but for a head that chooses them together (a CRF)."""
        return outputs

    def answer(self, encoded: Encoded, rows: TaskRows) -> HeadOutput:
        """Outputs, and the loss if there are targets."""
        outputs = self(encoded, rows)
        loss, count = (None, 0) if rows.targets is None else self.loss(outputs, rows)
        return HeadOutput(outputs if self.training else self.scores(outputs, rows), loss, count)

    @property
    def traceable(self) -> bool:
        """Whether one static graph holds the head, for rows of any shape."""
        return self.reading is not None and self.network is not None and self.network.traceable

    def trace(self, encoded: Encoded, first: Tensor, second: Tensor) -> Tensor:
        """What an exported graph computes: the network's logits of rows, or for pairs their comparison.

        Args:
            encoded: the rows.
            first: ``[pairs, rows]`` how much of a row stands in a pair's first text.
            second: the same for the second text.
        """
        assert self.network is not None
        return self.network(encoded)

    def stock_model(self) -> PreTrainedModel | None:
        """The stock class whose head this is; ``None`` where no class has it."""
        return None if self.network is None else self.network.stock_model()

    def row_network(self, task: str) -> RowNetwork:
        """The network whose logits of single rows are the task's, before they are read.

        Raises:
            InputError: a row alone has no logits, as where two texts are encoded apart and compared.
        """
        if self.network is None:
            found = f"task {task} compares two texts that are encoded apart"
            raise InputError(found, expected="a task whose rows stand alone", fix="call the model with a batch")
        return self.network


def _take_old_names(head: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Parameters as format 1 named them: modules of other names, and networks that were the head itself."""
    known = {prefix + name for name in head.state_dict()}
    for old in [name for name in state if name.startswith(prefix) and name not in known]:
        renamed = ".".join(RENAMED.get(module, module) for module in old.removeprefix(prefix).split("."))
        for name in (prefix + renamed, f"{prefix}network.{renamed}"):
            if name in known:
                state[name] = state.pop(old)
                break
