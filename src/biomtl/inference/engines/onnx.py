"""An exported graph under onnxruntime, with the same outputs as its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from biomtl.batch import Batch
from biomtl.checkpoints.onnx_session import FACTS, FILE, open_session, output_names
from biomtl.encoders import load_processor
from biomtl.errors import InputError
from biomtl.heads.readings import READINGS
from biomtl.heads.rows import TaskRows
from biomtl.inference.engines.base import Outputs, Passes
from biomtl.model import read_head
from biomtl.storage.structured import read_json
from biomtl.tasks.types.base import type_of

MAX_POSITIONS = 1 << 16  # of a pair whose texts are encoded apart, padding included; 2 GB with a small encoder
OLD_READINGS = {"tagging": "words", "span": "spans"}  # of types in format 1, which didn't say; others read texts


class OnnxEngine:
    """A model exported by ``biomtl export --to onnx``.

    Args:
        folder: the folder written by ``export_onnx``.

    Raises:
        InputError: no such folder, or the extra isn't installed.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        facts = read_json(folder / FACTS, "a folder of `biomtl export --to onnx`")
        heads = {name: read_head(record, folder / FACTS) for name, record in facts["tasks"].items()}
        self.tasks = {name: task for name, (task, _) in heads.items()}
        self.choices = {name: choice for name, (_, choice) in heads.items()}
        self.readings = facts.get("readings") or self._old_readings(facts["apart"])
        self.processor = load_processor(folder, None, None)
        self.inputs: list[str] = facts["inputs"]
        self.session = open_session(folder / FILE)
        self.passes = Passes()
        self.keeps_states = False

    def drop_calibration(self) -> None:
        """Take outputs as they are, without temperatures and thresholds."""
        self.choices = {name: choice.model_copy(update={"calibration": None}) for name, choice in self.choices.items()}

    def encode(self, batch: Batch) -> Batch:
        """The batch: the graph encodes and answers in one go."""
        return batch

    def outputs(self, encoded: Batch, tasks: Mapping[str, TaskRows]) -> Outputs:
        """One pass for all tasks over single rows, and one for each task that compares texts or mentions.

        The graph compares texts itself, so all windows of a pair are in one pass; pairs of mentions likewise.

        Raises:
            InputError: a pair of more than 65,536 positions.
        """
        count = len(encoded.inputs["attention_mask"])
        alone = [name for name in tasks if self.readings[name] not in ("pairs", "mentions")]
        if alone:
            self.passes.add(encoded)
        logits = self._by_chunks(encoded, count, alone)
        for name, rows in tasks.items():
            if name not in logits:
                _refuse_long(name, encoded, count)
                self.passes.add(encoded)
                given = _shares(rows, count) if self.readings[name] == "pairs" else _mentions(rows, count)
                logits |= self._run(encoded.inputs, given, [name])
        return {name: self._read(name, logits[name], rows).numpy() for name, rows in tasks.items()}

    def _read(self, task: str, logits: Tensor, rows: TaskRows) -> Tensor:
        reading = self.readings[task]
        own = logits if reading in ("pairs", "mentions") or rows.every_row else logits[rows.rows]
        return READINGS[reading](own, rows, self.tasks[task].o_index)

    def _by_chunks(self, batch: Batch, count: int, tasks: Sequence[str]) -> dict[str, Tensor]:
        """The logits of rows that stand alone, as many at a time as the batch allows."""
        size = batch.rows_at_once or count
        chunks = []
        for start in range(0, count, size):
            inputs = {name: values[start : start + size] for name, values in batch.inputs.items()}
            chunks.append(self._run(inputs, {}, tasks))
        return {name: torch.cat([chunk[name] for chunk in chunks]) for name in tasks}

    def _run(
        self, inputs: Mapping[str, Tensor], further: Mapping[str, Tensor], tasks: Sequence[str]
    ) -> dict[str, Tensor]:
        if not tasks:
            return {}
        # A graph needs all its inputs even if they are not used: an empty pair of texts, and one of mentions.
        given = {**inputs, **_nothing(len(inputs["attention_mask"])), **further}
        outputs = output_names(tasks, self.inputs)
        values = self.session.run(outputs, {name: given[name].numpy() for name in self.inputs})
        return {name: torch.from_numpy(value) for name, value in zip(tasks, values, strict=True)}

    def _old_readings(self, apart: Sequence[str]) -> dict[str, Any]:
        readings = {}
        for name, task in self.tasks.items():
            known = [OLD_READINGS[parent] for parent in type_of(task).family if parent in OLD_READINGS]
            readings[name] = "pairs" if name in apart else (known or ["texts"])[0]
        return readings


def _refuse_long(task: str, batch: Batch, count: int) -> None:
    size = count * next(iter(batch.inputs.values())).shape[1]
    if size > MAX_POSITIONS and count > (batch.rows_at_once or count):
        problem = f"task {task}: a pair of {size:,} positions in {count:,} windows"
        fix = "predict with the model itself, or split the texts"
        raise InputError(problem, expected=f"at most {MAX_POSITIONS:,} for an ONNX graph that compares texts", fix=fix)


def _nothing(count: int) -> dict[str, Tensor]:
    """Further inputs of a graph over ``count`` rows that mean nothing."""
    number = torch.zeros(1, dtype=torch.long)
    shares = torch.zeros(1, count)
    mentions = {"mentions": number.expand(1, 4, 2), "features": number.expand(1, 3)}
    return {"first": shares, "second": shares, **mentions, "table": number.expand(count, 1), "slots": number}


def _mentions(rows: TaskRows, count: int) -> dict[str, Tensor]:
    """The pairs of mentions that a task reads of a batch with ``count`` rows."""
    assert rows.word_positions is not None
    assert rows.features is not None
    assert rows.slots is not None
    row, position = rows.word_positions.unbind(-1)
    own_row, place = rows.slots // rows.outputs_per_row, rows.slots % rows.outputs_per_row
    slots = rows.rows[own_row] * rows.outputs_per_row + place
    table = torch.zeros(count * rows.outputs_per_row, dtype=torch.long)
    table[slots] = torch.arange(len(slots))
    mentions = torch.stack([rows.rows[row.clamp(min=0)].where(row >= 0, -1), position], -1)
    return {"mentions": mentions, "features": rows.features, "table": table.view(count, -1), "slots": slots}


def _shares(rows: TaskRows, count: int) -> dict[str, Tensor]:
    """``[pairs, rows]`` twice: each batch row's share in a pair's first and second text."""
    shares = torch.zeros(2 * rows.count, count)
    shares[rows.example_ids * 2 + rows.segment_ids, rows.rows] = 1
    shares /= shares.sum(1, keepdim=True).clamp(min=1)
    return {"first": shares[0::2], "second": shares[1::2]}
