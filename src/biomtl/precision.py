"""Whether a device computes bfloat16 by instructions of its own."""

from __future__ import annotations

import torch


def slow_bf16(device: str | torch.device = "cpu") -> str | None:
    """A line of warning where bfloat16 is far slower than float32, ``None`` where it isn't.

    A CPU without instructions for it widens every number, multiplies and rounds again: measured on one with AVX2
    alone, matrix products took a hundred times as long.
    """
    kind = torch.device(device).type
    if kind != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return "warning: this CPU has no instructions for bfloat16, so bf16 is far slower here than float32"
