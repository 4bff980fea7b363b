"""What an epoch holds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.report.tables import plan_table
from biomtl.suite import load_suite
from biomtl.text.transformer import TransformerProcessor
from biomtl.training.data import TrainingData, training_records
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe

BOTH = ("tag-drug", "tag-illness", "cls-text", "reg-pair")


@pytest.fixture(scope="module")
def suite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.write_suite(tmp_path_factory.mktemp("data") / "suite", BOTH)
    long = {"id": "long", "doc_id": "long", "text": " ".join(tiny.sentence(random.Random(0), 60)), "label": "drug"}
    tiny.write_rows(folder / "cls-text" / "train.jsonl", [*tiny.records("cls-text", 12), long])
    return folder


def data_of(bert: Path, folder: Path, **keys: Any) -> tuple[TrainingData, Recipe]:
    recipe = make_recipe({"batch_size": 5, "suite": str(folder), **keys})
    suite = load_suite(folder)
    return TrainingData(TransformerProcessor.load(bert, 24), suite, recipe), recipe


def seen(batches: list[list[Any]]) -> Counter[tuple[str, int]]:
    return Counter(
        (example.task, example.index) for batch in batches for text in batch for example in text.task_examples
    )


def test_every_row_once_an_epoch_and_every_epoch_anew(bert: Path, suite_folder: Path) -> None:
    data, _ = data_of(bert, suite_folder)
    every = {(name, i): 1 for name in BOTH for i in range(13 if name == "cls-text" else 12)}
    for epoch in range(3):
        assert seen(data.epoch(epoch)) == every
        assert data.epoch(epoch) == data.epoch(epoch)
    first, second = ([[id(example) for example in batch] for batch in data.epoch(epoch)] for epoch in (0, 1))
    assert first != second
    # Both tagging tasks label the same 12 sentences: 12 + 13 + 12 texts.
    assert len(data.examples) == 37


def test_another_process_gets_the_rest(bert: Path, suite_folder: Path) -> None:
    data, _ = data_of(bert, suite_folder)
    parts = [data.epoch(0, rank, 3) for rank in range(3)]
    assert len({len(part) for part in parts}) == 1
    assert seen([batch for part in parts for batch in part]) == seen(data.epoch(0))


def test_one_task_a_batch(bert: Path, suite_folder: Path) -> None:
    data, _ = data_of(bert, suite_folder, mixing="batch")
    batches = data.epoch(0)
    assert all(len({task for example in batch for task in example.tasks}) == 1 for batch in batches)
    assert sum(seen(batches).values()) == 49


def test_chosen_rows(bert: Path, suite_folder: Path) -> None:
    suite = load_suite(suite_folder)

    def rows(seed: int) -> list[str]:
        recipe = make_recipe({"seed": seed, "tasks": {"tag-drug": {"max_rows": 5}}})
        return [record["id"] for record in training_records(suite, "tag-drug", recipe)]

    assert rows(1) == rows(1)
    assert len(set(rows(1))) == 5
    assert rows(1) != rows(2)
    every = [record["id"] for record in suite["tag-drug"].records("train")]
    assert rows(1) == [name for name in every if name in set(rows(1))]
    assert len(training_records(suite, "cls-text", make_recipe({"tasks": {"cls-text": {"max_rows": 99}}}))) == 13


def test_train_and_dev(suite_folder: Path) -> None:
    recipe = make_recipe({"train_on": "train+dev", "max_steps": 1})
    assert len(training_records(load_suite(suite_folder), "tag-drug", recipe)) == 18


def test_the_plan_says_what_is_long(bert: Path, suite_folder: Path) -> None:
    from rich.console import Console

    data, recipe = data_of(bert, suite_folder, max_length=24)
    plan = data.plan()
    assert plan.texts == 37
    assert plan.windowed >= 1
    assert plan.rows == plan.texts - plan.windowed + plan.windows
    assert plan.real_tokens == sum(len(row) for example in data.examples for row in example.rows)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(plan_table(plan, load_suite(suite_folder).tasks, recipe))
    said = f"{plan.windowed} texts are longer than max_length 24: {plan.windows} overlapping windows cover them"
    assert said in " ".join(capture.get().split())


@pytest.mark.parametrize("accumulation", [1, 2])
def test_annealing_takes_as_long_as_the_steps(bert: Path, suite_folder: Path, accumulation: int) -> None:
    """37 texts in batches of at most 5 are 8 batches."""
    keys = {"policy": "annealed", "max_steps": 24, "gradient_accumulation_steps": accumulation}
    data, _ = data_of(bert, suite_folder, **keys)
    assert data.mixer.epochs == 3 * accumulation
    whole, _ = data_of(bert, suite_folder, policy="annealed", num_train_epochs=3 * accumulation)
    assert [seen(data.epoch(epoch)) for epoch in range(3)] == [seen(whole.epoch(epoch)) for epoch in range(3)]
