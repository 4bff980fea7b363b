"""Texts shared by tasks, and batches whose outputs are mapped back to their records."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.inference.predict import length_batches
from biomtl.tasks.head import HeadChoice
from biomtl.text.transformer import TransformerProcessor

TASKS = {name: tiny.task(name) for name in tiny.TASKS}
CHOICES = {name: HeadChoice(pairs="apart") for name in tiny.TASKS if name.endswith("apart")}


@pytest.fixture(scope="module")
def processor(bert: Path) -> TransformerProcessor:
    return TransformerProcessor.load(bert, 16)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), names=st.sets(st.sampled_from(list(TASKS)), min_size=1))
def test_every_record_is_in_one_example(processor: TransformerProcessor, seed: int, names: set[str]) -> None:
    records = {name: tiny.records(name, 1 + seed % 5, seed) for name in sorted(names)}
    for rows in records.values():
        rows.append(rows[0])  # the same text twice in one task
    examples = encode_examples(processor, TASKS, records, targets=True, choices=CHOICES)
    found = [(example.task, example.index) for text in examples for example in text.task_examples]
    assert sorted(found) == [(name, index) for name in sorted(names) for index in range(len(records[name]))]
    keys = [
        tuple((row.segment_id, *row.inputs["input_ids"], *row.offsets.flat) for row in example.rows)
        for example in examples
    ]
    assert len(set(keys)) == len(keys)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_batches_map_every_output_back_to_its_rows(processor: TransformerProcessor, seed: int) -> None:
    rng = random.Random(seed)
    records = {name: tiny.records(name, 3, seed) for name in rng.sample(list(TASKS), 6)}
    examples = encode_examples(processor, TASKS, records, targets=True, choices=CHOICES)
    rng.shuffle(examples)
    batch = collate(examples, processor)
    rows = [row for example in examples for row in example.rows]
    ids = batch.inputs["input_ids"].numpy()
    assert batch.real_tokens == sum(len(row) for row in rows) == int(batch.inputs["attention_mask"].sum())
    assert batch.padded_tokens == ids.size
    for name, asked in batch.tasks.items():
        assert asked.targets is not None
        assert len(asked.targets) == sum(asked.output_counts)
        assert asked.count == len(batch.examples[name])
        for owner, example in enumerate(batch.examples[name]):
            record = records[name][example.index]
            own = asked.rows[asked.example_ids == owner].tolist()
            (expected,) = encode_examples(processor, TASKS, {name: [record]}, targets=True, choices=CHOICES)
            assert [ids[i][: len(row)].tolist() for i, row in zip(own, expected.rows, strict=True)] == [
                row.inputs["input_ids"].tolist() for row in expected.rows
            ]
            assert asked.segment_ids[asked.example_ids == owner].tolist() == [row.segment_id for row in expected.rows]
        if asked.word_positions is not None:
            pieces = [
                ids[asked.rows[row]][position] if row >= 0 else None
                for row, position in asked.word_positions[:, 0].tolist()
            ]
            words = [word for example in batch.examples[name] for word in records[name][example.index]["tokens"]]
            assert pieces == [processor.tokenizer(word)["input_ids"][1] for word in words]


def test_a_word_without_pieces_is_not_a_target(processor: TransformerProcessor) -> None:
    record = {"tokens": ["pola", "\u200b", "rimu"], "offsets": [[0, 4], [5, 6], [7, 11]], "tags": ["O", "B-Drug", "O"]}
    (example,) = encode_examples(processor, TASKS, {"tag-drug": [record]}, targets=True, choices=CHOICES)
    targets = collate([example], processor).tasks["tag-drug"].targets
    assert targets is not None
    assert targets.tolist() == [0, -100, 0]


def test_split_by_task_shares_the_rows(processor: TransformerProcessor) -> None:
    records = {name: tiny.records(name, 2) for name in ("tag-drug", "tag-illness")}
    example = encode_examples(processor, TASKS, records, targets=True, choices=CHOICES)[0]
    parts = list(example.split())
    assert [part.tasks for part in parts] == [{"tag-drug"}, {"tag-illness"}]
    assert all(part.rows is example.rows for part in parts)


def test_windows_are_counted(processor: TransformerProcessor) -> None:
    long = " ".join(tiny.sentence(random.Random(0), 60))
    records = {"cls-text": [{"text": "pola ."}, {"text": long}], "cls-apart": [{"text_a": "pola .", "text_b": long}]}
    short, windowed, apart = encode_examples(processor, TASKS, records, targets=False, choices=CHOICES)
    assert short.windows == 0
    assert windowed.windows == len(windowed.rows) > 3
    assert apart.windows == len(apart.rows) - 1


@given(
    lengths=st.lists(st.tuples(st.integers(2, 64), st.integers(1, 4)), min_size=1, max_size=60),
    budget=st.integers(1, 500),
)
def test_length_batches(lengths: list[tuple[int, int]], budget: int) -> None:
    class Row:
        def __init__(self, length: int) -> None:
            self.length = length

        def __len__(self) -> int:
            return self.length

    examples = [EncodedExample([Row(length)] * count) for length, count in lengths]  # type: ignore[list-item]
    batches = list(length_batches(examples, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(examples)))
    for batch in batches:
        cost = sum(lengths[i][1] for i in batch) * max(lengths[i][0] for i in batch)
        assert cost <= budget or len(batch) == 1
    longest = [max(lengths[i][0] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
