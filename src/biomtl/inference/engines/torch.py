"""A model computed by torch, on its own device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from biomtl.batch import Batch
from biomtl.model import MultiTaskModel


class TorchEngine:
    """A model, switched to evaluation mode.

    Args:
        model: the model.
        bf16: compute in bfloat16.
    """

    def __init__(self, model: MultiTaskModel, *, bf16: bool = False) -> None:
        self.model = model.eval()
        self.tasks, self.choices, self.processor = model.tasks, model.choices, model.processor
        self.bf16 = bf16
        self.device = next(model.parameters()).device

    def outputs(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """One encoder pass (several for a text beyond a batch), then every head."""
        on_device = batch.to(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            answers = self.model(on_device.inputs, on_device.tasks, on_device.rows_at_once)
        return {name: answer.outputs.float().cpu().numpy() for name, answer in answers.items()}
