"""Predictions for records: the one path that evaluation, prediction and annotation share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.tasks.types.base import Record, type_of

BATCH_TOKENS = 2048  # positions of a batch: keeps a CPU busy while its activations stay near its cache
Advance = Callable[[int], None]


def predict_records(
    model: MultiTaskModel,
    records: Mapping[str, Sequence[Record]],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool = False,
    advance: Advance | None = None,
) -> dict[str, list[Record]]:
    """Predict every record of every task, each distinct text in one encoder pass for all tasks that ask about it.

    Args:
        model: the model; it is put into evaluation mode and left so.
        records: each task's records; gold values are not looked at.
        batch_tokens: positions of a batch, padding included.
        bf16: compute in bfloat16.
        advance: called with the number of texts done, for a progress bar.

    Returns:
        Each task's predictions in the order of its records: ``id`` and the fields of the task's type. Every record
        has one, every word of a tagging record a tag.

    Raises:
        InputError: outputs that are no numbers.
    """
    tasks = {name: model.tasks[name] for name in records}
    examples = encode_examples(model.processor, tasks, records, targets=False)
    results: dict[str, list[Record | None]] = {name: [None] * len(rows) for name, rows in records.items()}
    for name, index, values in _outputs(model, examples, batch_tokens, bf16, advance):
        record = records[name][index]
        results[name][index] = {"id": record.get("id"), **type_of(tasks[name]).predict(values, record, tasks[name])}
    complete = {}
    for name, predictions in results.items():
        complete[name] = [prediction for prediction in predictions if prediction is not None]
        assert len(complete[name]) == len(records[name]), "a record was left without a prediction"
    return complete


def _outputs(
    model: MultiTaskModel, examples: Sequence[EncodedExample], batch_tokens: int, bf16: bool, advance: Advance | None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """``(task, record index, outputs)`` of every example, longest texts first."""
    model.eval()
    device = next(model.parameters()).device
    for chosen in length_batches(examples, batch_tokens):
        batch = collate([examples[i] for i in chosen], model.processor).to(device)
        # Both contexts end before the yield: leaving inference mode between two batches would end autocast too.
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            outputs = {name: values.float().cpu() for name, values in model(batch.inputs, batch.tasks).items()}
        for name, values in outputs.items():
            if values.isnan().any():
                found = f"the model's outputs for task {name} are no numbers"
                raise InputError(found, fix="it diverged in training: train with a lower learning_rate")
            parts = values.split(batch.tasks[name].output_counts.tolist())
            for example, part in zip(batch.examples[name], parts, strict=True):
                yield name, example.index, part.numpy()
        if advance is not None:
            advance(len(chosen))


def length_batches(examples: Sequence[EncodedExample], batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of examples in batches of like length, longest first, so that memory runs out at once or never."""
    order = sorted(range(len(examples)), key=lambda i: -examples[i].longest)
    batch: list[int] = []
    rows = 0
    for i in order:
        if batch and (rows + len(examples[i].rows)) * examples[batch[0]].longest > batch_tokens:
            yield batch
            batch, rows = [], 0
        batch.append(i)
        rows += len(examples[i].rows)
    if batch:
        yield batch
