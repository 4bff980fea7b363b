"""``biomtl finetune``: from a multi-task model to one task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import tiny
from biomtl.model import MultiTaskModel
from biomtl.training.recipe_io import load_recipe

Command = Callable[..., Any]


@pytest.fixture
def arguments(small_model: Path, small_suite: Path, tmp_path: Path) -> list[object]:
    settings = ["batch_size=12", "num_train_epochs=1", "num_threads=1"]
    return ["finetune", small_model, "--data", small_suite, "--out", tmp_path / "run", *settings]


def heads_alike(first: MultiTaskModel, second: MultiTaskModel, name: str) -> bool:
    pairs = zip(first.head(name).state_dict().values(), second.head(name).state_dict().values(), strict=True)
    return all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_the_head_is_kept(command: Command, arguments: list[object], small_model: Path, tmp_path: Path) -> None:
    ended = command(*arguments, "--task", "tag-drug", "learning_rate=1e-7")
    assert ended.code == 0, ended.err
    start, tuned = MultiTaskModel.from_pretrained(small_model), MultiTaskModel.from_pretrained(tmp_path / "run")
    assert list(tuned.tasks) == ["tag-drug"]
    assert heads_alike(start, tuned, "tag-drug")
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert recipe.encoder == str(small_model)
    assert list(recipe.tasks) == ["tag-drug"]
    assert recipe.max_length == 24  # as the model was trained
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics["tasks"]) == ["tag-drug"]
    assert sorted(path.name for path in (tmp_path / "run" / "predictions").iterdir()) == ["tag-drug"]


def test_a_fresh_head(command: Command, arguments: list[object], small_model: Path, tmp_path: Path) -> None:
    ended = command(*arguments, "--task", "tag-drug", "--fresh-head", "learning_rate=1e-7", "max_length=32")
    assert ended.code == 0, ended.err
    start, tuned = MultiTaskModel.from_pretrained(small_model), MultiTaskModel.from_pretrained(tmp_path / "run")
    assert not heads_alike(start, tuned, "tag-drug")
    assert tuned.processor.max_length == 32
    assert tuned.processor.stride == 8  # type: ignore[attr-defined]


def test_a_new_task(command: Command, small_model: Path, tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "more", ("cls-pair",))
    ended = command(
        "finetune", small_model, "--task", "cls-pair", "--data", suite, "--out", tmp_path / "run", "max_steps=1"
    )
    assert ended.code == 0, ended.err
    assert list(MultiTaskModel.from_pretrained(tmp_path / "run").tasks) == ["cls-pair"]


def test_the_trained_way_to_read_pairs_is_kept(command: Command, small_model: Path, tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "more", ("reg-apart",))
    task = {**tiny.TASKS["reg-apart"], "name": "reg-apart", "pairs": "together"}
    (suite / "reg-apart" / "task.yaml").write_text(yaml.safe_dump(task))
    base = ["finetune", small_model, "--task", "reg-apart", "--data", suite, "--out", tmp_path / "run", "max_steps=1"]
    assert command(*base).code == 0
    assert MultiTaskModel.from_pretrained(tmp_path / "run").choices["reg-apart"].pairs == "apart"
    assert command(*base, "--fresh-head", "--overwrite").code == 0
    assert MultiTaskModel.from_pretrained(tmp_path / "run").choices["reg-apart"].pairs == "together"


def test_mistakes(
    command: Command, arguments: list[object], small_model: Path, small_suite: Path, tmp_path: Path
) -> None:
    def refused(*given: object) -> str:
        ended = command(*given)
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1
        assert not (tmp_path / "run").exists()
        return str(ended.err)

    assert "no task 'tag-drugs', did you mean 'tag-drug'?" in refused(*arguments, "--task", "tag-drugs")
    said = refused(*arguments, "--task", "tag-drug", "encoder=x")
    assert "override 'encoder=x', use the command's own option instead" in said
    said = refused(*arguments, "--task", "tag-drug", "max_length=65")
    assert "max_length 65, expected at most the encoder's 64 positions" in said
    rest = ["--task", "tag-drug", "--data", small_suite, "--out", tmp_path / "run"]
    assert "not a biomtl model, expected manifest.json" in refused("finetune", tmp_path, *rest)
    said = refused("finetune", small_model, *rest, "--recipe", tmp_path / "none.yaml")
    assert "none.yaml: no such file" in said


def test_other_labels(command: Command, arguments: list[object], tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "other", ("cls-text",))
    task = {**tiny.TASKS["cls-text"], "name": "cls-text", "labels": ["none", "drug", "more"]}
    (suite / "cls-text" / "task.yaml").write_text(yaml.safe_dump(task))
    arguments[arguments.index("--data") + 1] = suite
    ended = command(*arguments, "--task", "cls-text")
    assert ended.code == 2
    assert "the model's head for cls-text was trained on other labels (the head lacks more), expected" in ended.err
    assert "add --fresh-head" in ended.err
    assert command(*arguments, "--task", "cls-text", "--fresh-head").code == 0
    assert MultiTaskModel.from_pretrained(tmp_path / "run").tasks["cls-text"].labels == ("none", "drug", "more")


def test_the_same_labels_in_another_order(
    command: Command, arguments: list[object], small_model: Path, tmp_path: Path
) -> None:
    suite = tiny.write_suite(tmp_path / "other", ("cls-text",))
    own = list(MultiTaskModel.from_pretrained(small_model).tasks["cls-text"].labels)
    task = {**tiny.TASKS["cls-text"], "name": "cls-text", "labels": own[::-1]}
    (suite / "cls-text" / "task.yaml").write_text(yaml.safe_dump(task))
    arguments[arguments.index("--data") + 1] = suite
    ended = command(*arguments, "--task", "cls-text", "learning_rate=1e-7")
    assert ended.code == 0, ended.err
    assert f"labels in the trained head's order, {', '.join(own)}" in " ".join(ended.out.split())
    start, tuned = MultiTaskModel.from_pretrained(small_model), MultiTaskModel.from_pretrained(tmp_path / "run")
    assert list(tuned.tasks["cls-text"].labels) == own
    assert heads_alike(start, tuned, "cls-text")


def test_from_an_encoder_alone(command: Command, arguments: list[object], bert: Path, tmp_path: Path) -> None:
    arguments[1] = bert
    ended = command(*arguments, "--task", "cls-text", "max_length=24")
    assert ended.code == 0, ended.err
    assert "is an encoder without heads: cls-text gets a new one" in ended.out
    assert list(MultiTaskModel.from_pretrained(tmp_path / "run").tasks) == ["cls-text"]


def test_a_recipe_for_the_other_settings(command: Command, arguments: list[object], tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "stages: [adapt, joint, each]\nadapt: {mask_share: 0.2}\nlearning_rate: 0.5\nfreeze_encoder: true\n"
        "policy: fixed\nloss_balance: equal\nmetric_for_best_model: [tag-drug, hoc]\n"
        "tasks: {tag-drug: {max_rows: 5, mixing_weight: 3}, hoc: {weight: 2, mixing_weight: 1}}\n"
    )
    assert command(*arguments, "--task", "tag-drug", "--recipe", recipe, "learning_rate=0.25").code == 0
    resolved = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert (resolved.learning_rate, resolved.freeze_encoder, resolved.max_length) == (0.25, True, 24)
    assert (resolved.policy, resolved.metric_for_best_model) == ("proportional", "mean")
    assert (resolved.tasks["tag-drug"].max_rows, resolved.tasks["tag-drug"].mixing_weight) == (5, None)
    assert list(resolved.tasks) == ["tag-drug"]


def test_without_dev_the_error_says_what_to_do(command: Command, arguments: list[object], tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "no-dev", ("cls-text",))
    (suite / "cls-text" / "dev.jsonl").unlink()
    arguments[arguments.index("--data") + 1] = suite
    ended = command(*arguments, "--task", "cls-text")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no dev split for model selection (cls-text), add a dev file, or set eval_strategy=no" in ended.err
    assert command(*arguments, "--task", "cls-text", "eval_strategy=no").code == 0


def test_the_run_can_be_repeated_from_its_recipe(command: Command, arguments: list[object], tmp_path: Path) -> None:
    assert command(*arguments, "--task", "tag-drug").code == 0
    again = ["train", tmp_path / "run" / "recipe.yaml", f"output={tmp_path / 'again'}"]
    assert command(*again).code == 0
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]


def test_own_data_keep_the_models_labels(command: Command, small_model: Path, tmp_path: Path) -> None:
    """Only one label, and the trained order of the labels is not the alphabet's."""
    rows = [row for row in tiny.records("cls-text", 40) if row["label"] == "none"]
    for split in ("train", "dev"):
        tiny.write_rows(tmp_path / f"{split}.jsonl", rows)
    files = "{train: train.jsonl, dev: dev.jsonl}"
    own = tmp_path / "own.yaml"
    own.write_text(f"tasks:\n  cls-text: {{type: classification, files: {files}}}\n")
    base = ["finetune", small_model, "--task", "cls-text", "--data", own, "--out", tmp_path / "run", "max_steps=1"]
    ended = command(*base)
    assert ended.code == 0, ended.err
    assert MultiTaskModel.from_pretrained(tmp_path / "run").tasks["cls-text"].labels == ("none", "drug")
    ended = command(*base, "--fresh-head", "--overwrite")
    assert ended.code == 2
    assert "1 label (none), expected two or more" in ended.err
