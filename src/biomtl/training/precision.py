"""Whether a device has instructions for bfloat16."""

from __future__ import annotations

import torch


def slow_bf16(device: str | torch.device = "cpu") -> str | None:
    """A warning if bfloat16 is far slower than float32, otherwise ``None``.

    A CPU without instructions for it widens every number, multiplies and rounds again: on a CPU with only AVX2, matrix
    products took a hundred times as long.
    """
    device_type = torch.device(device).type
    if device_type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return "warning: this CPU has no instructions for bfloat16, so bf16 is far slower here than float32"
