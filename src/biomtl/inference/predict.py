"""Predictions for records, shared by evaluation, prediction and annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from biomtl.batch import Batch, EncodedExample, TaskExample, ask, collate, divided_pairs, encode_examples, task_parts
from biomtl.errors import InputError
from biomtl.inference.engines import Engine, Model, as_engine
from biomtl.tasks.types.base import Record, type_of

if TYPE_CHECKING:
    from biomtl.heads.rows import TaskRows

BATCH_TOKENS = 2048  # positions of a batch: keeps a CPU busy while its activations stay near its cache
FOLLOWED = 4096  # records of a text that are read from its rows together; a list of drugs may make very many pairs
Advance = Callable[[int], None]


@dataclass(frozen=True)
class FollowUp:
    """A record that follows from a batch's predictions, to be read from the same rows.

    Attributes:
        task: its task.
        record: the record.
        take: called with its prediction; not called if none of the batch's texts is the record's.
    """

    task: str
    record: Record
    take: Callable[[Record], None]


Follow = Callable[[Mapping[str, Mapping[int, Record]]], Iterable[FollowUp]]
"""From a batch's predictions, by task and index of the record, to what is asked of its rows next."""


def predict_records(
    model: Model,
    records: Mapping[str, Sequence[Record]],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool = False,
    advance: Advance | None = None,
    follow: Follow | None = None,
    divided: dict[str, int] | None = None,
) -> dict[str, list[Record]]:
    """Predict every record of every task; each distinct text is encoded once for all its tasks.

    A text with more than 4,096 records of a task is encoded once for as many.

    Args:
        model: an engine, or a model, which is switched to evaluation mode.
        records: each task's records; gold values are ignored.
        batch_tokens: positions of a batch, including padding; a longer text is encoded in passes of this size.
        bf16: let a model compute in bfloat16.
        advance: called with the number of texts done, for a progress bar.
        follow: called after each batch; what it asks for is read from the same encoder pass.
        divided: the number of pairs whose mentions are read from two windows, by task, is added to it.

    Returns:
        Each task's predictions in the order of its records: ``id`` and the fields of the task's type. Every record
        has one, every word of a tagging record a tag.

    Raises:
        InputError: outputs that are not numbers.
    """
    engine = as_engine(model, bf16=bf16)
    tasks = {name: engine.tasks[name] for name in records}
    examples = encode_examples(engine.processor, tasks, records, targets=False, choices=engine.choices)
    divided = {} if divided is None else divided
    _add(divided, divided_pairs(examples))
    examples = [portion for example in examples for portion in example.portions(FOLLOWED)]
    results: dict[str, list[Record | None]] = {name: [None] * len(rows) for name, rows in records.items()}
    for chosen, batch, encoded in encoded_batches(engine, examples, batch_tokens):
        done: dict[str, dict[int, Record]] = {name: {} for name in batch.tasks}
        for name, index, values in batch_outputs(engine, encoded, batch.tasks, batch.examples):
            record = records[name][index]
            done[name][index] = results[name][index] = predicted(engine, name, record, values)
        if follow is not None:
            _follow_up(engine, [examples[i] for i in chosen], batch, encoded, follow(done), divided)
        if advance is not None:
            advance(len(chosen))
    complete = {}
    for name, predictions in results.items():
        complete[name] = [prediction for prediction in predictions if prediction is not None]
        assert len(complete[name]) == len(records[name]), "a record was left without a prediction"
    return complete


def example_outputs(
    engine: Engine, examples: Sequence[EncodedExample], batch_tokens: int = BATCH_TOKENS, advance: Advance | None = None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """``(task, record index, outputs)`` of every example, longest texts first."""
    for chosen, batch, encoded in encoded_batches(engine, examples, batch_tokens):
        yield from batch_outputs(engine, encoded, batch.tasks, batch.examples)
        if advance is not None:
            advance(len(chosen))


def encoded_batches(
    engine: Engine, examples: Sequence[EncodedExample], batch_tokens: int
) -> Iterator[tuple[list[int], Batch, Any]]:
    """Batches of examples, longest texts first: the examples' indices, the batch, and what the engine made of it."""
    for chosen in length_batches(examples, batch_tokens):
        batch = collate([examples[i] for i in chosen], engine.processor)
        batch.rows_at_once = max(1, batch_tokens // examples[chosen[0]].longest)
        yield chosen, batch, engine.encode(batch)


def batch_outputs(
    engine: Engine, encoded: Any, tasks: Mapping[str, TaskRows], examples: Mapping[str, Sequence[TaskExample]]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """``(task, record index, outputs)`` of tasks' examples in an encoded batch.

    Raises:
        InputError: outputs that are not numbers.
    """
    for name, values in engine.outputs(encoded, tasks).items():
        if np.isnan(values).any():
            problem = f"the model's outputs for task {name} are not finite numbers"
            raise InputError(problem, fix="it diverged in training: train with a lower learning_rate")
        ends = np.cumsum(tasks[name].output_counts)[:-1]
        for example, own in zip(examples[name], np.split(values, ends), strict=True):
            yield name, example.index, own


def predicted(engine: Engine, name: str, record: Record, values: np.ndarray) -> Record:
    """The prediction of a record from its outputs."""
    task = engine.tasks[name]
    return {"id": record.get("id"), **type_of(task).predict(values, record, task, engine.choices[name])}


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    counts.update((name, counts.get(name, 0) + count) for name, count in more.items())


def _follow_up(
    engine: Engine,
    examples: Sequence[EncodedExample],
    batch: Batch,
    encoded: Any,
    asked: Iterable[FollowUp],
    divided: dict[str, int],
) -> None:
    """Answer records from the rows of an encoded batch, some at a time: a text may have very many."""
    places = {example.identity: number for number, example in enumerate(examples)}
    waiting = iter(asked)
    while some := list(islice(waiting, FOLLOWED)):
        parts = [EncodedExample(example.rows) for example in examples]
        for number, asking in enumerate(some):
            task, head = engine.tasks[asking.task], engine.choices[asking.task]
            text = type_of(task).text(asking.record, task, head)
            if (place := places.get(engine.processor.identity(text))) is not None:
                part = parts[place]
                part.task_examples.append(ask(task, head, number, asking.record, part.rows))
        _add(divided, divided_pairs(parts))
        tasks, by_task = task_parts(parts, batch.inputs["attention_mask"])
        for name, number, values in batch_outputs(engine, encoded, tasks, by_task):
            some[number].take(predicted(engine, name, some[number].record, values))


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
