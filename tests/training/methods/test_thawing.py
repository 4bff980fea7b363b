"""Frozen layers, gradual thawing, and sampling by need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training.data import TrainingData
from biomtl.training.methods import Course
from biomtl.training.methods.need_sampling import NeedSampling
from biomtl.training.methods.task_stopping import TaskStopping
from biomtl.training.optimiser import configure
from biomtl.training.progress import Progress
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train


def weights_after(bert: Path, suite: Path, folder: Path, step: int | None = None, **keys: Any) -> dict[str, Any]:
    base = {"max_steps": 6, "num_train_epochs": None, "save_steps": 1, "save_total_limit": 9, "eval_strategy": "no"}
    path = tiny.write_recipe(folder / "r.yaml", bert, suite, **base | keys, predict_test=False, max_length=24)
    train(path, console=Console(quiet=True), overwrite=True)
    if step is None:
        return MultiTaskModel.from_pretrained(folder / "run").state_dict()
    place = folder / "run" / "checkpoints" / f"step-{step:06d}"
    frozen = load_file(place / "frozen.safetensors") if (place / "frozen.safetensors").is_file() else {}
    return frozen | load_file(place / "model.safetensors")


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> bool:
    names = [name for name in before if part in name]
    assert names
    return any(not torch.equal(before[name], after[name]) for name in names)


def test_frozen_layers_stay(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    before = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")]).state_dict()
    after = weights_after(bert, small_suite, tmp_path, frozen_layers=1)
    before = {name: value for name, value in before.items() if name.startswith("encoder.")}
    assert not moved(before, after, ".embeddings.")
    assert not moved(before, after, ".layer.0.")
    assert moved(before, after, ".layer.1.")
    assert moved(before, after, ".pooler.")


def test_layers_thaw_from_the_last_to_the_first(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """Three parts (two layers, the embeddings) begin after two steps each."""
    before = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")]).state_dict()
    before = {name: value for name, value in before.items() if name.startswith("encoder.")}
    keys: dict[str, Any] = {"gradual_thawing": 1.0, "max_steps": 8, "warmup_steps": 0, "ema_decay": 0.5}
    weights_after(bert, small_suite, tmp_path, **keys)
    begins = {".layer.1.": 4, ".layer.0.": 7, ".embeddings.": 99, ".pooler.": 1}
    for step in range(1, 9):
        place = tmp_path / "run" / "checkpoints" / f"step-{step:06d}"
        after = load_file(place / "frozen.safetensors") | load_file(place / "model.safetensors")
        for part, first in begins.items():
            assert moved(before, after, part) == (step >= first), (step, part)


def test_more_layers_than_there_are(bert: Path) -> None:
    model = tiny.model(bert, ["cls-text"], max_length=24)
    with pytest.raises(InputError, match="frozen_layers is 3, the encoder has 2 layers"):
        configure(model, make_recipe({"frozen_layers": 3}))
    configure(model, make_recipe({"freeze_encoder": True}))
    with pytest.raises(InputError, match="gradual_thawing with a frozen encoder"):
        configure(model, make_recipe({"gradual_thawing": 0.5}))


def test_sampling_follows_need(bert: Path, tmp_path: Path) -> None:
    suite = load_suite(tiny.write_suite(tmp_path / "suite", ("cls-text", "reg-pair"), train=40))
    recipe = make_recipe(
        {
            "max_length": 24,
            "batch_size": 8,
            "max_steps": 40,
            "need_sampling": 0.5,
            "tasks": {"cls-text": {"target_score": 0.8}, "reg-pair": {}},
        }
    )
    model = tiny.model(bert, suite.tasks, max_length=24)
    data = TrainingData(model.processor, suite, recipe)
    method = NeedSampling(0.5, model)
    method.begin(Course(recipe, data, 40), model)
    steps = data.steps(Progress(), 0, 1)

    def drawn(epoch: int) -> dict[str, int]:
        found = [t for batch in data.epoch(epoch) for e in batch for t in e.tasks]
        return {name: found.count(name) for name in suite.tasks}

    next(steps)
    first, third = drawn(0), drawn(2)
    assert first == {"cls-text": 40, "reg-pair": 40}
    data.mixer.epoch(0)
    method.after_evaluation({"cls-text": 0.8, "reg-pair": 0.3}, 1, model)
    assert drawn(0) == first
    data.mixer.epoch(0)
    assert drawn(1) == {"cls-text": 20, "reg-pair": 60}  # one has reached its goal
    kept = method.state()
    again = TrainingData(model.processor, suite, recipe)
    other = NeedSampling(0.5, model)
    other.begin(Course(recipe, again, 40), model)
    assert third == dict.fromkeys(suite.tasks, 40)
    other.restore(kept, model)
    for epoch in (0, 1, 2):
        assert (again.mixer.epoch(epoch) == data.mixer.epoch(epoch)).all()


def test_without_need_the_policy_decides_and_errors_are_better_when_lower(bert: Path, tmp_path: Path) -> None:
    suite = load_suite(tiny.write_suite(tmp_path / "suite", ("cls-text", "reg-pair", "reg-apart"), train=40))
    given: dict[str, Any] = {"cls-text": {"target_score": 0.8}, "reg-pair": {"target_score": 0.5}, "reg-apart": {}}
    recipe = make_recipe({"max_length": 24, "max_steps": 40, "need_sampling": 1.0, "tasks": given})
    model = tiny.model(bert, suite.tasks, max_length=24)
    for name in ("reg-pair", "reg-apart"):
        model.tasks[name] = model.tasks[name].model_copy(update={"metric": "mse"})
    data = TrainingData(model.processor, suite, recipe)
    method = NeedSampling(1.0, model)
    method.begin(Course(recipe, data, 40), model)

    def shares(epoch: int) -> dict[str, float]:
        drawn = data.mixer._draws(epoch) @ data.mixer._labels
        return dict(zip(data.mixer.tasks, (drawn / drawn.sum()).tolist(), strict=True))

    data.mixer.epoch(0)
    # A quarter below its target; an error of half as much again as its target; an error without a target.
    method.after_evaluation({"cls-text": 0.6, "reg-pair": -0.75, "reg-apart": -3.0}, 1, model)
    assert shares(1) == pytest.approx({"cls-text": 1 / 3, "reg-pair": 2 / 3, "reg-apart": 0})
    data.mixer.epoch(1)
    method.after_evaluation({"cls-text": 0.9, "reg-pair": -0.4, "reg-apart": -3.0}, 2, model)
    assert shares(2) == pytest.approx(dict.fromkeys(suite.tasks, 1 / 3))
    assert shares(1)["reg-pair"] == pytest.approx(2 / 3)


def test_a_task_that_was_stopped_needs_nothing(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be sampled the most, as it never reaches its target, and not be trained; from the evaluation on that
    stops it."""
    seen = []
    monkeypatch.setattr(NeedSampling, "after_evaluation", lambda own, scores, step, model: seen.append(set(scores)))
    keys = {"need_sampling": 0.5, "max_steps": 3, "eval_steps": 1, "learning_rate": 1e-9, "num_train_epochs": None}
    given = {"output": str(tmp_path / "run"), "predict_test": False, "max_length": 24, "tasks": ["cls-text"]}
    stopping = {"task_stopping": {"patience": 1}}
    train(tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys, **given, **stopping))
    assert seen == [{"cls-text"}, set()]
    monkeypatch.setattr(TaskStopping, "factor", lambda own, task: 0.0 if task == "cls-text" and own.stopped else 1.0)
    given |= {"output": str(tmp_path / "two"), "tasks": ["cls-text", "reg-pair"]}
    train(tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, **keys, **given, **stopping))
    assert seen[2:] == [{"cls-text", "reg-pair"}, {"reg-pair"}, {"reg-pair"}]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"need_sampling": 0.5}, "need_sampling changes the length of epochs, so give max_steps"),
        ({"need_sampling": 0.5, "max_steps": 9, "eval_strategy": "no"}, "need_sampling needs scores on dev"),
        ({"objective": {}}, "objective has no effect"),
        ({"smart": {"weight": 0}}, "smart has no effect with weight 0"),
        ({"distill": {"teachers": "run", "pairs": 9}}, "distill.pairs without distill.unlabelled"),
        ({"objective": {"label_smoothing": 0.1}, "r_drop": 1}, "objective and r_drop are given, choose one"),
        ({"frozen_layers": 2, "freeze_encoder": True}, "frozen_layers and freeze_encoder are given"),
        (
            {"objective": {"label_smothing": 0.1}},
            "unknown key 'objective.label_smothing', did you mean 'label_smoothing'",
        ),
        ({"distill": {"teachers": []}}, "distill.teachers.*: .*, expected at least 1 item"),
        ({"lora": 8}, "lora: 8, expected a mapping with rank, alpha, dropout, attention_only"),
        ({"smart": {"steps": 0}}, "smart.steps: 0, expected greater than 0"),
    ],
)
def test_contradictions(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        make_recipe(keys)
