"""A layer of a task's own on top of the shared encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from biomtl.encoders.base import Encoded, Encoder, RowNetwork
from biomtl.errors import InputError
from biomtl.heads.base import Head

ATTENTION_HEADS = 12


class ProjectedAttention(nn.Module):
    """Attention in a narrow space: ``h + V (attention (U h))``.

    A projected attention layer of Stickland and Murray (2019, arXiv 1902.02671), in their variant on top of the
    encoder: a batch of several tasks still costs one encoder pass, which layers of the tasks' own inside of it would
    not allow. V starts as zero, so that at first the encoder's states pass unchanged.

    Args:
        dim: width of the encoder's states.
        size: width of the narrow space; the paper's is 204.
    """

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        heads = max(count for count in range(1, ATTENTION_HEADS + 1) if size % count == 0)
        self.down = nn.Linear(dim, size, bias=False)
        self.attention = nn.MultiheadAttention(size, heads, batch_first=True)
        self.up = nn.Linear(size, dim, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """``[rows, positions, dim]`` to the same; padding isn't attended to."""
        narrow = self.down(hidden)
        attended, _ = self.attention(narrow, narrow, narrow, key_padding_mask=mask == 0, need_weights=False)
        return hidden + self.up(attended)


class AdaptedNetwork(RowNetwork):
    """A head's network over states that an adapter has changed.

    Args:
        adapter: the adapter.
        network: the network.
        pool: what makes a pooled vector of states, if the encoder's family has that: the encoder's own.
    """

    traceable: ClassVar[bool] = False

    def __init__(
        self, adapter: ProjectedAttention, network: RowNetwork, pool: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.adapter, self.network = adapter, network
        self._pool = (pool,)  # in a tuple: its weights are the encoder's, and saved with it

    def forward(self, encoded: Encoded) -> Tensor:
        """What the network makes of the changed states."""
        hidden = self.adapter(encoded.hidden, encoded.mask)
        [pool] = self._pool
        pooled = pool(hidden) if encoded.pooled is not None and pool is not None else encoded.pooled
        return self.network(replace(encoded, hidden=hidden, pooled=pooled))


def adapt_head(head: Head, encoder: Encoder, size: int, task: str) -> None:
    """Give a head an adapter.

    Raises:
        InputError: the head doesn't read states through one network, or the encoder has several layers to mix.
    """
    if head.network is None or encoder.layer_mix() is not None:
        problem = f"task {task}: an adapter under this head or over this encoder"
        raise InputError(
            problem, expected="a head over whole rows or words, and a transformer", fix="leave adapter out"
        )
    pool = getattr(getattr(encoder, "network", None), "pooler", None)
    with torch.no_grad():
        head.network = AdaptedNetwork(ProjectedAttention(encoder.dim, size), head.network, pool)
