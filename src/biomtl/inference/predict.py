"""Predictions for records, shared by evaluation, prediction and annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.errors import InputError
from biomtl.inference.engines.base import Engine, Model, as_engine
from biomtl.tasks.types.base import Record, type_of

BATCH_TOKENS = 2048  # positions of a batch: keeps a CPU busy while its activations stay near its cache
Advance = Callable[[int], None]


def predict_records(
    model: Model,
    records: Mapping[str, Sequence[Record]],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool = False,
    advance: Advance | None = None,
) -> dict[str, list[Record]]:
    """Predict every record of every task; each distinct text is encoded once for all its tasks.

    Args:
        model: an engine, or a model, which is switched to evaluation mode.
        records: each task's records; gold values are ignored.
        batch_tokens: positions of a batch, including padding; a longer text is encoded in passes of this size.
        bf16: let a model compute in bfloat16.
        advance: called with the number of texts done, for a progress bar.

    Returns:
        Each task's predictions in the order of its records: ``id`` and the fields of the task's type. Every record
        has one, every word of a tagging record a tag.

    Raises:
        InputError: outputs that are not numbers.
    """
    engine = as_engine(model, bf16=bf16)
    tasks = {name: engine.tasks[name] for name in records}
    examples = encode_examples(engine.processor, tasks, records, targets=False, choices=engine.choices)
    results: dict[str, list[Record | None]] = {name: [None] * len(rows) for name, rows in records.items()}
    for name, index, values in example_outputs(engine, examples, batch_tokens, advance):
        record, task = records[name][index], tasks[name]
        prediction = type_of(task).predict(values, record, task, engine.choices[name])
        results[name][index] = {"id": record.get("id"), **prediction}
    complete = {}
    for name, predictions in results.items():
        complete[name] = [prediction for prediction in predictions if prediction is not None]
        assert len(complete[name]) == len(records[name]), "a record was left without a prediction"
    return complete


def example_outputs(
    engine: Engine, examples: Sequence[EncodedExample], batch_tokens: int = BATCH_TOKENS, advance: Advance | None = None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """``(task, record index, outputs)`` of every example, longest texts first."""
    for chosen in length_batches(examples, batch_tokens):
        batch = collate([examples[i] for i in chosen], engine.processor)
        batch.rows_at_once = max(1, batch_tokens // examples[chosen[0]].longest)
        for name, values in engine.outputs(batch).items():
            if np.isnan(values).any():
                problem = f"the model's outputs for task {name} are no numbers"
                raise InputError(problem, fix="it diverged in training: train with a lower learning_rate")
            ends = np.cumsum(batch.tasks[name].output_counts)[:-1]
            for example, own in zip(batch.examples[name], np.split(values, ends), strict=True):
                yield name, example.index, own
        if advance is not None:
            advance(len(chosen))


def length_batches(examples: Sequence[EncodedExample], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of examples in batches of similar length, longest first, so that memory runs out at once or never."""
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
