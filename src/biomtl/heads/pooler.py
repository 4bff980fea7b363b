"""A task's own pooler, as in MT-DNN: a dense layer over the first position, then the output layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "none": nn.Identity}


class PoolerOptions(BaseModel):
    """The options under ``head_options`` in a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Literal["tanh", "relu", "gelu", "none"] = Field("tanh", description="after the dense layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the first position's hidden state")


class PoolerNetwork(RowNetwork):
    """``C a(W d(x) + b) + c`` with the first position's hidden state ``x``, dropout ``d`` and an activation ``a``.

    Args:
        dim: width of the hidden states.
        labels: number of outputs.
        options: the rest.
    """

    traceable: ClassVar[bool] = True

    def __init__(self, dim: int, labels: int, options: PoolerOptions | None = None) -> None:
        super().__init__()
        options = options or PoolerOptions()
        self.dropout = nn.Dropout(options.dropout)
        self.dense = nn.Linear(dim, dim)
        self.activation = ACTIVATIONS[options.activation]()
        self.classifier = nn.Linear(dim, labels)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]``."""
        return self.classifier(self.activation(self.dense(self.dropout(encoded.hidden[:, 0]))))
