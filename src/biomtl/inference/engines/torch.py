"""A model computed by torch, on its own device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from biomtl.batch import Batch
from biomtl.encoders.base import Encoded
from biomtl.heads.rows import TaskRows
from biomtl.inference.engines.base import Outputs, Passes
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
        self.keeps_states = model.one_pass
        self.device = next(model.parameters()).device
        self.passes = Passes()

    def drop_calibration(self) -> None:
        """Take outputs as they are, without temperatures and thresholds."""
        self.model.drop_calibration()

    def encode(self, batch: Batch) -> Encoded | Batch:
        """The encoder's states; the batch itself if its rows are encoded a few at a time, or for each task anew."""
        if batch.in_chunks or not self.model.one_pass:
            return batch
        self.passes.add(batch)
        with self._computing():
            return self.model.encoder({name: value.to(self.device) for name, value in batch.inputs.items()})

    def outputs(self, encoded: Encoded | Batch, tasks: Mapping[str, TaskRows]) -> Outputs:
        """Every head on its own rows; a batch in chunks is encoded by each call."""
        own = {name: rows.to(self.device) for name, rows in tasks.items()}
        with self._computing():
            if isinstance(encoded, Batch):
                self.passes.add(encoded)
                inputs = {name: value.to(self.device) for name, value in encoded.inputs.items()}
                answers = self.model(inputs, own, encoded.rows_at_once)
            else:
                answers = self.model.answers(encoded, own)
        return {name: answer.outputs.float().cpu().numpy() for name, answer in answers.items()}

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            yield
