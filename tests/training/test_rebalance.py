"""Classes in proportions other than those of the training data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

import tiny
from biomtl.errors import InputError
from biomtl.report.tables import plan_table
from biomtl.suite import Suite, load_suite
from biomtl.text.transformer import TransformerProcessor
from biomtl.training.data import TrainingData
from biomtl.training.mixer import Mixer
from biomtl.training.rebalance import check_rebalance, sampling_rates
from biomtl.training.recipe_io import make_recipe

LABELS = ["none"] * 30 + ["treats"] * 6 + ["worsens"] * 2


def rows(name: str, count: int, **keys: Any) -> list[dict[str, Any]]:
    return [
        {**record, **{key: values[i] for key, values in keys.items()}}
        for i, record in enumerate(tiny.records(name, count))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Relations of which most are ``none``, and two taggers of the same sentences."""
    folder = tiny.write_suite(
        tmp_path_factory.mktemp("rebalance"), ("rel-spans", "tag-drug", "tag-illness", "reg-text")
    )
    tiny.write_rows(folder / "rel-spans" / "train.jsonl", rows("rel-spans", 38, label=LABELS))
    return folder


def data_of(bert: Path, folder: Path, tasks: dict[str, Any], **keys: Any) -> TrainingData:
    recipe = make_recipe({"batch_size": 5, "suite": str(folder), "tasks": tasks, **keys})
    suite = load_suite(folder, list(tasks)).with_options(recipe.tasks)
    return TrainingData(TransformerProcessor.load(bert, 64), suite, recipe)


def drawn(batches: list[list[Any]], task: str) -> Counter[int]:
    return Counter(
        asked.index for batch in batches for text in batch for asked in text.task_examples if asked.task == task
    )


def by_label(indices: Counter[int]) -> Counter[str]:
    return Counter({label: sum(n for i, n in indices.items() if LABELS[i] == label) for label in set(LABELS)})


def test_the_most_frequent_class_is_reduced_to_the_mean_of_the_others() -> None:
    rates = sampling_rates(tiny.task("rel-mask"), rows("rel-mask", 38, label=LABELS), "undersample")
    assert rates is not None
    assert dict(rates.counts) == {"none": 30, "treats": 6, "worsens": 2}
    assert dict(rates.rates) == {"none": pytest.approx(4 / 30), "treats": 1.0, "worsens": 1.0}
    assert rates.note("rel", "undersample") == "rel: undersample, rows per epoch: none 30 -> 4, treats 6, worsens 2"
    one = sampling_rates(tiny.task("rel-mask"), rows("rel-mask", 9, label=["none"] * 9), "undersample")
    assert one is not None
    assert dict(one.rates) == {"none": 1.0}
    assert sampling_rates(tiny.task("rel-mask"), [], None) is None
    assert sampling_rates(tiny.task("rel-mask"), [], "class_weights") is None


def test_oversampling_raises_all_to_the_most_frequent() -> None:
    rates = sampling_rates(tiny.task("rel-mask"), rows("rel-mask", 38, label=LABELS), "oversample")
    assert rates is not None
    assert dict(rates.rates) == {"none": 1.0, "treats": 5.0, "worsens": 15.0}


def test_rows_of_several_labels_and_of_tags() -> None:
    labels: list[list[str]] = [[]] * 20 + [["drug"]] * 6 + [["drug", "illness"]] * 2
    several = sampling_rates(tiny.task("multi-text"), rows("multi-text", 28, labels=labels), "undersample")
    assert several is not None
    assert dict(several.counts) == {None: 20, "drug": 6, "illness": 2}  # the rarest of a row's labels
    assert dict(several.rates) == {None: pytest.approx(4 / 20), "drug": 1.0, "illness": 1.0}
    frequent = sampling_rates(
        tiny.task("multi-text"), rows("multi-text", 9, labels=[["drug"]] * 8 + [[]]), "undersample"
    )
    assert frequent is not None
    assert set(frequent.rates.values()) == {1.0}  # no row with a label is left out
    tagged = tiny.records("tag-drug", 12)
    plain = [{**record, "tags": ["O"] * len(record["tags"])} for record in tagged]
    mentions = sum(any(tag != "O" for tag in record["tags"]) for record in tagged)
    tags = sampling_rates(tiny.task("tag-drug"), [*tagged, *plain], "undersample")
    assert tags is not None
    assert dict(tags.rates) == {None: pytest.approx(mentions / (24 - mentions)), "mentions": 1.0}


def test_an_epoch_holds_the_new_counts_and_other_rows_each_time(bert: Path, folder: Path) -> None:
    data = data_of(bert, folder, {"rel-spans": {"rebalance": "undersample"}}, num_train_epochs=8)
    seen: Counter[int] = Counter()
    for epoch in range(8):
        indices = drawn(data.epoch(epoch), "rel-spans")
        assert by_label(indices)["treats"] == 6
        assert by_label(indices)["worsens"] == 2
        seen.update(indices)
    frequent = [seen[i] for i in range(30)]
    assert by_label(seen)["none"] == pytest.approx(8 * 4, abs=4)  # a text's pairs of one class come together
    assert max(frequent) - min(frequent) <= 1
    assert {seen[i] for i in range(30, 38)} == {8}


def test_epochs_are_the_same_after_a_restart_and_in_several_processes(bert: Path, folder: Path) -> None:
    tasks = {"rel-spans": {"rebalance": "oversample"}}
    first, again, other = (data_of(bert, folder, tasks, seed=seed) for seed in (1, 1, 2))
    first.epoch(0)
    assert drawn(first.epoch(3), "rel-spans") == drawn(again.epoch(3), "rel-spans")
    assert by_label(drawn(again.epoch(3), "rel-spans")) == {"none": 30, "treats": 30, "worsens": 30}
    whole = [[id(text) for text in batch] for batch in again.epoch(3)]
    assert [[id(text) for text in batch] for batch in again.epoch(4)] != whole
    parts = [batch for rank in range(3) for batch in again.epoch(3, rank, 3)]
    assert drawn(parts, "rel-spans") == drawn(again.epoch(3), "rel-spans")
    assert [drawn([batch], "rel-spans") for batch in other.epoch(3)] != [
        drawn([batch], "rel-spans") for batch in again.epoch(3)
    ]


def test_other_tasks_keep_their_rows_and_scored_splits_theirs(bert: Path, folder: Path) -> None:
    tasks: dict[str, Any] = {"tag-drug": {"rebalance": "undersample"}, "tag-illness": {}, "rel-spans": {}}
    data = data_of(bert, folder, tasks)
    for epoch in range(3):
        assert drawn(data.epoch(epoch), "tag-illness") == dict.fromkeys(range(12), 1)
        assert drawn(data.epoch(epoch), "rel-spans") == dict.fromkeys(range(38), 1)
    suite = load_suite(folder)
    assert len(suite["tag-drug"].records("dev")) == 6


def test_a_batch_of_one_task_holds_all_its_classes(bert: Path, folder: Path) -> None:
    tasks: dict[str, Any] = {"rel-spans": {"rebalance": "oversample"}, "tag-drug": {}}
    data = data_of(bert, folder, tasks, mixing="batch", batch_size=30)
    batches = data.epoch(0)
    assert {frozenset(task for text in batch for task in text.tasks) for batch in batches} == {
        frozenset(["rel-spans"]),
        frozenset(["tag-drug"]),
    }
    of_relations = [batch for batch in batches if "rel-spans" in batch[0].tasks]
    assert all(len(by_label(drawn([batch], "rel-spans")) - Counter()) > 1 for batch in of_relations[:-1])


def test_the_plan_says_the_counts(bert: Path, folder: Path) -> None:
    tasks = {"rel-spans": {"rebalance": "undersample"}, "tag-drug": {"rebalance": "class_weights"}}
    data = data_of(bert, folder, tasks)
    console = Console(width=300, record=True)
    console.print(plan_table(data.plan(), data.tasks, data.recipe))
    shown = " ".join(console.export_text().split())
    assert "rel-spans: undersample, rows per epoch: none 30 -> 4, treats 6, worsens 2" in shown
    tags = Counter(tag for record in tiny.records("tag-drug", 12) for tag in record["tags"])
    assert f"tag-drug: class_weights, gold labels and the factor of their loss: O {tags['O']} x " in shown
    (plan,) = [row for row in data.mixer.plan() if row.task == "rel-spans"]
    assert plan.passes < 1


def test_what_has_no_classes_is_refused(folder: Path) -> None:
    suite = load_suite(folder, ["reg-text"])
    recipe = make_recipe({"tasks": {"reg-text": {"rebalance": "oversample"}}})
    with pytest.raises(
        InputError, match="task reg-text: rebalance oversample for type regression, which has no classes"
    ):
        check_rebalance(suite, recipe)
    check_rebalance(Suite([]), recipe)


@pytest.mark.parametrize(
    ("rule", "keys", "message"),
    [
        ("class_weights", {"r_drop": 1.0}, "r_drop and tasks.a.rebalance: class_weights are given, choose one"),
        ("class_weights", {"objective": {"label_smoothing": 0.1}}, "objective and tasks.a.rebalance"),
        ("undersample", {"objective": {"class_weights": "sqrt"}}, "objective.class_weights and tasks.a.rebalance"),
    ],
)
def test_contradictions(rule: str, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_recipe({"tasks": {"a": {"rebalance": rule}}, **keys})
    make_recipe({"tasks": {"a": {"rebalance": "undersample"}}, "objective": {"label_smoothing": 0.1}})
    with pytest.raises((InputError, ValidationError), match="rebalance"):
        make_recipe({"tasks": {"a": {"rebalance": "undersampled"}}})


def test_rates_belong_to_entries_of_the_mixer() -> None:
    items = [frozenset(["a"])] * 100 + [frozenset(["b"])] * 50
    mixer = Mixer(items, rates=[0.25] * 80 + [1.0] * 20 + [1.0] * 50, policy="uniform")
    counts = Counter("ab"[entry >= 100] for epoch in range(4) for entry in mixer.epoch(epoch).tolist())
    assert counts == {"a": 180, "b": 180}  # 40 and 50 rows, uniform
    assert {row.task: row.entries for row in mixer.plan()} == {"a": 100, "b": 50}
    assert len(set(mixer.group_of[:100])) == 1
