"""What an epoch holds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.errors import InputError
from biomtl.report.tables import plan_table
from biomtl.suite import load_suite
from biomtl.text.transformer import TransformerProcessor
from biomtl.training.data import TrainingData, training_records
from biomtl.training.mixer import Mixer
from biomtl.training.progress import Progress
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


def test_every_row_once_per_epoch_in_a_new_order(bert: Path, suite_folder: Path) -> None:
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


def test_one_task_per_batch(bert: Path, suite_folder: Path) -> None:
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


def test_the_plan_distinguishes_rows_and_texts(bert: Path, tmp_path: Path) -> None:
    """Three texts in seven rows, one of them with both labels, one with one label twice."""
    from rich.console import Console

    folder = tiny.write_suite(tmp_path / "suite", ("cls-text", "tag-drug"))
    rows = [
        ("a b", "drug"),
        ("a b", "none"),
        ("a b", "drug"),
        ("c", "none"),
        ("c", "none"),
        ("d", "drug"),
        ("d", "drug"),
    ]
    tiny.write_rows(
        folder / "cls-text" / "train.jsonl",
        [{"id": f"r{i}", "doc_id": "d", "text": text, "label": label} for i, (text, label) in enumerate(rows)],
    )
    data, recipe = data_of(bert, folder)
    plan = data.plan()
    assert plan.records == {"cls-text": 7, "tag-drug": 12}
    assert plan.unlike == {"cls-text": 1}
    assert (plan.texts, plan.tasks[0].entries) == (15, 3)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(plan_table(plan, load_suite(folder).tasks, recipe))
    said = " ".join(capture.get().split())
    assert "19 rows with 15 distinct texts" in said
    assert "cls-text │ classification │ 7 │ 3 │ 20.0% │ 1.00 │ 1" in said
    assert "cls-text: texts that occur in several rows with different answers: 1" in said


def epochs_steps(data: TrainingData, epochs: int, world: int) -> int:
    """Steps until the end of the last of ``epochs``, counted one by one."""
    for number, step in enumerate(data.steps(Progress(), world - 1, world), 1):
        if step.epoch == epochs - 1 and step.ends_epoch:
            return number
    raise AssertionError


@pytest.mark.parametrize("keys", [{"num_train_epochs": 1}, {"max_steps": 1}])
def test_more_processes_than_texts_are_refused_at_once(bert: Path, suite_folder: Path, keys: dict[str, Any]) -> None:
    """Before the run's folder is created."""
    recipe = make_recipe({"suite": str(suite_folder), **keys})
    with pytest.raises(InputError, match=r"training texts for 500 processes, .* use fewer processes"):
        TrainingData(TransformerProcessor.load(bert, 24), load_suite(suite_folder), recipe, 500)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"gradient_accumulation_steps": 3},
        {"gradient_accumulation_steps": 10**9},
        {"batch_size": None, "batch_tokens": 64},
        {"mixing": "batch", "policy": "annealed"},
    ],
)
def test_the_length_of_a_run_is_that_of_its_epochs(
    bert: Path, suite_folder: Path, keys: dict[str, Any], world: int
) -> None:
    data, _ = data_of(bert, suite_folder, **keys, num_train_epochs=4)
    assert data.run_length(world) == epochs_steps(data, 4, world)
    assert data_of(bert, suite_folder, **keys, max_steps=9)[0].run_length(world) == 9


def test_steps_continue_where_a_run_stopped(bert: Path, suite_folder: Path) -> None:
    data, _ = data_of(bert, suite_folder, gradient_accumulation_steps=3)  # eight batches make steps of 3, 3 and 2
    every = [next(steps) for steps in [data.steps(Progress(), 0, 1)] for _ in range(7)]
    assert [(step.epoch, step.done, step.ends_epoch) for step in every[:4]] == [
        (0, 3, False),
        (0, 6, False),
        (0, 8, True),
        (1, 3, False),
    ]
    assert [step.position for step in every[:3]] == [0.375, 0.75, 1.0]
    for number, step in enumerate(every[:-1]):
        epoch, batch = step.after
        assert next(data.steps(Progress(epoch=epoch, batch=batch), 0, 1)) == every[number + 1]


def test_a_very_long_run_is_not_planned_to_its_end(
    bert: Path, suite_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[int] = []
    original = Mixer.epoch
    monkeypatch.setattr(Mixer, "epoch", lambda self, epoch: planned.append(epoch) or original(self, epoch))
    monkeypatch.setattr("biomtl.training.data.COUNTED", 37 * 20)
    keys = {"batch_size": None, "batch_tokens": 64}
    exact = data_of(bert, suite_folder, **keys, num_train_epochs=20)[0].run_length(1)
    long = data_of(bert, suite_folder, **keys, num_train_epochs=10**6)[0].run_length(1)
    assert long == exact * 10**6 / 20
    assert max(planned) == 19
    planned.clear()
    for keys in ({"max_steps": 10**12}, {"max_steps": 10**9, "gradient_accumulation_steps": 10**12}):
        data, _ = data_of(bert, suite_folder, **keys, policy="annealed")
        assert data.run_length(1) == keys["max_steps"]
        examples = {row.task: row.examples for row in data.plan().tasks}
        assert sum(examples.values()) == pytest.approx(49, abs=1)
    assert set(planned) == {0}


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_annealing_takes_as_long_as_the_steps(bert: Path, suite_folder: Path, accumulation: int) -> None:
    """37 texts in batches of at most 5 are 8 batches."""
    keys = {"policy": "annealed", "max_steps": 24, "gradient_accumulation_steps": accumulation}
    data, _ = data_of(bert, suite_folder, **keys)
    epochs = {1: 3, 2: 6, 3: 8}[accumulation]  # steps of three batches each leave a step of two at the end
    assert data.mixer.epochs == epochs
    whole, _ = data_of(bert, suite_folder, policy="annealed", num_train_epochs=epochs)
    assert [seen(data.epoch(epoch)) for epoch in range(3)] == [seen(whole.epoch(epoch)) for epoch in range(3)]
