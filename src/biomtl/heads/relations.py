"""Heads for pairs of mentions that are read from the positions of an encoder's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.heads.base import Head, Loss, NetworkHead, Reading
from biomtl.heads.losses import word_cross_entropy
from biomtl.heads.readings import read_arguments
from biomtl.heads.rows import TaskRows

WIDEST = 64  # pairs of a row that attend to it at once, in prediction
ORDERS = 3  # the first argument before the second, after it, or overlapping it


class MarkersHead(NetworkHead):
    """One linear layer over the states of both opening markers (Baldini Soares et al. 2019, arXiv 1906.03158).

    It is the family's token head with an output per label for each marker; a pair's logits are the sum of both. So the
    head can be saved as a stock token classifier.

    Args:
        network: ``Encoded -> [rows, positions, 2 labels]``.
    """

    reading: ClassVar[Reading | None] = "arguments"

    def __init__(self, network: RowNetwork, objective: Loss = word_cross_entropy) -> None:
        super().__init__(objective)
        self.network = network

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[pairs, labels]``."""
        return read_arguments(values, rows)


class SpansHead(Head):
    """Pairs of mentions in a text that was encoded once for all of them.

    A pair's vector is made of the first and last states of both mentions, their types and their order. With it the
    pair attends over the states of its row, which adds what stands between and around the mentions: the pair-specific
    context that markers give to the whole encoder, here in one layer (cf. localized context pooling, Zhou et al. 2021,
    arXiv 2010.11304).

    Args:
        dim: width of the encoder's states.
        types: number of types that a mention may have.
        labels: number of labels.
        layer_mix: the task's own mix of the encoder's layers, if the encoder has one.
        attention_heads: of the attention over the row.
        dropout: of the pair's vector and of the attention's output.
    """

    reading: ClassVar[Reading | None] = "mentions"

    def __init__(
        self,
        dim: int,
        types: int,
        labels: int,
        layer_mix: nn.Module | None = None,
        *,
        attention_heads: int = 8,
        dropout: float = 0.1,
        objective: Loss = word_cross_entropy,
    ) -> None:
        super().__init__(objective)
        self.network = None
        self.layer_mix = layer_mix
        self.attention_heads = attention_heads if dim % attention_heads == 0 else 1
        self.mentions = nn.Linear(4 * dim, dim)
        self.types = nn.Embedding(2 * (types + 1), dim)
        self.order = nn.Embedding(ORDERS, dim)
        self.pair_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.hidden = nn.Linear(2 * dim, dim)
        self.classifier = nn.Linear(dim, labels)
        self.dropout = nn.Dropout(dropout)
        for embedding in (self.types, self.order):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[pairs, labels]``."""
        own = rows.select(encoded)
        mixed = own if self.layer_mix is None else self.layer_mix(own)
        pair = self.pair_vectors(rows.gather_own(mixed.hidden), rows.features)
        assert rows.slots is not None
        if self.training or rows.outputs_per_row <= WIDEST:
            return self.classified(pair, self.context(pair, mixed, rows.slots, rows.outputs_per_row))
        # A table as wide as the row with the most pairs would be nearly empty for all others.
        context = torch.empty_like(pair)
        place = rows.slots % rows.outputs_per_row
        for start in range(0, rows.outputs_per_row, WIDEST):
            part = ((place >= start) & (place < start + WIDEST)).nonzero().squeeze(1)
            slots = rows.slots[part] // rows.outputs_per_row * WIDEST + place[part] - start
            context[part] = self.context(pair[part], mixed, slots, WIDEST).to(context.dtype)
        return self.classified(pair, context)

    @property
    def traceable(self) -> bool:
        """Pairs are read in the graph."""
        return self.layer_mix is None

    def trace(self, encoded: Encoded, given: Mapping[str, Tensor]) -> Tensor:
        """``[pairs, labels]``; the same as `forward`."""
        row, position = given["mentions"].clamp(min=0).unbind(-1)
        missing = (given["mentions"][..., :1] < 0).to(encoded.hidden.dtype)
        pair = self.pair_vectors(encoded.hidden[row, position] * (1 - missing), given["features"])
        return self.classified(pair, self.attended(self.query(pair)[given["table"]], encoded, given["slots"]))

    def classified(self, pair: Tensor, context: Tensor) -> Tensor:
        """``[pairs, labels]`` of the pairs' vectors and what they read of their rows."""
        joined = torch.cat([pair, context], dim=-1)
        return self.classifier(self.dropout(functional.gelu(self.hidden(self.dropout(joined)))))

    def pair_vectors(self, states: Tensor, features: Tensor | None) -> Tensor:
        """``[pairs, 4, dim]`` states and ``[pairs, 3]`` types and order to ``[pairs, dim]``."""
        assert features is not None
        first, second, order = features.unbind(-1)
        types = self.types(first) + self.types(second + self.types.num_embeddings // 2)
        return self.pair_norm(functional.gelu(self.mentions(states.flatten(1)) + types + self.order(order)))

    def context(self, pair: Tensor, encoded: Encoded, slots: Tensor, width: int) -> Tensor:
        """``[pairs, dim]``: what each pair reads of its row, in a table with a line of ``width`` slots for each row."""
        count, dim = len(encoded.hidden), pair.shape[-1]
        queries = pair.new_zeros(count * width, dim).index_copy(0, slots, self.query(pair).to(pair.dtype))
        return self.attended(queries.view(count, width, dim), encoded, slots)

    def attended(self, queries: Tensor, encoded: Encoded, slots: Tensor) -> Tensor:
        """``[pairs, dim]``: scaled dot-product attention of ``[rows, width, dim]`` over their rows, at the slots."""
        read = functional.scaled_dot_product_attention(
            self._divided(queries),
            self._divided(self.key(encoded.hidden)),
            self._divided(self.value(encoded.hidden)),
            attn_mask=encoded.mask.bool()[:, None, None, :],
        )
        return read.transpose(1, 2).flatten(2).flatten(0, 1)[slots]

    def _divided(self, states: Tensor) -> Tensor:
        """``[rows, n, dim]`` to ``[rows, heads, n, dim / heads]``."""
        return states.unflatten(-1, (self.attention_heads, -1)).transpose(1, 2)


class LevitatedHead(Head):
    """Pairs of mentions read from markers of their own beside the text, which have read the text at every layer.

    A pair's vector is made of the states of its markers, the first and last states of both mentions, their types and
    their order (Zhong and Chen 2021, arXiv 2010.12812, have the markers' alone).

    Args:
        dim: width of the encoder's states.
        types: number of types that a mention may have.
        labels: number of labels.
        states: number of states that a pair is read from.
        dropout: of these states and of the pair's vector.
    """

    def __init__(
        self,
        dim: int,
        types: int,
        labels: int,
        states: int,
        *,
        dropout: float = 0.1,
        objective: Loss = word_cross_entropy,
    ) -> None:
        super().__init__(objective)
        self.network = None
        self.hidden = nn.Linear(states * dim, dim)
        self.types = nn.Embedding(2 * (types + 1), dim)
        self.order = nn.Embedding(ORDERS, dim)
        self.classifier = nn.Linear(dim, labels)
        self.dropout = nn.Dropout(dropout)
        for embedding in (self.types, self.order):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[pairs, labels]``."""
        assert rows.features is not None
        first, second, order = rows.features.unbind(-1)
        types = self.types(first) + self.types(second + self.types.num_embeddings // 2)
        states = self.dropout(rows.gather(encoded.hidden).flatten(1))
        return self.classifier(self.dropout(functional.gelu(self.hidden(states) + types + self.order(order))))
