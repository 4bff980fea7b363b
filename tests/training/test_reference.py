"""One step of training against the reference's formulas: MT-BlueBERT's losses, clipping, optimiser and schedule."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.suite import Suite, load_suite
from biomtl.training.loop import weight_of
from biomtl.training.optimiser import build_optimiser, build_schedule
from biomtl.training.optimisers import OPTIMISERS
from biomtl.training.plateau import Plateau
from biomtl.training.recipe_io import make_recipe
from biomtl.training.recipe_tasks import TaskOptions
from biomtl.training.run import train

RATE, EPSILON, DECAY = 1e-3, 1e-6, 0.01
ROWS = 4
SETTINGS: dict[str, Any] = {
    "mixing": "batch", "batch_size": ROWS, "learning_rate": RATE, "optim": "bert_adam", "adam_epsilon": EPSILON,
    "weight_decay": DECAY, "max_grad_norm": 1.0, "dropout": 0.0, "warmup_steps": 0, "max_steps": 1, "num_threads": 1,
    "eval_strategy": "no", "save_strategy": "no", "predict_test": False, "max_length": 24,
}  # fmt: skip


def reference_losses(model: MultiTaskModel, suite: Suite) -> dict[str, Tensor]:
    """The mean squared error of scores, the mean cross-entropy of classes, over the rows of one batch."""
    losses = {}
    for name, task in suite.tasks.items():
        examples = encode_examples(
            model.processor, suite.tasks, {name: suite[name].records("train")}, targets=True, choices=model.choices
        )
        batch = collate(examples, model.processor)
        outputs = model.head(name)(model.encoder(batch.inputs), batch.tasks[name])
        targets = batch.tasks[name].targets
        assert targets is not None
        if task.type == "regression":
            losses[name] = functional.mse_loss(outputs.squeeze(), targets)
        else:
            losses[name] = functional.cross_entropy(outputs, targets)
    return losses


def bert_adam(parameters: dict[str, Tensor], gradients: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
    """The first step of BertAdam after clipping the global norm at 1."""
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    scale = min(1.0, 1.0 / (norm.item() + 1e-6))
    moved = {}
    for name, value in parameters.items():
        if name not in gradients:
            moved[name] = value
            continue
        gradient = gradients[name] * scale
        mean, square = 0.1 * gradient, 0.001 * gradient**2
        update = mean / (square.sqrt() + EPSILON)
        if value.ndim > 1:  # neither biases nor LayerNorm
            update = update + DECAY * value
        moved[name] = value - rate * update
    return moved


@pytest.mark.parametrize("name", ["reg-pair", "cls-pair", "cls-text"])
def test_one_step(name: str, bert: Path, tmp_path: Path) -> None:
    suite = load_suite(tiny.write_suite(tmp_path / "data", (name,)))
    tasks = {name: {"max_rows": ROWS, **({"loss_scale": "score"} if name == "reg-pair" else {})}}
    model = MultiTaskModel.from_encoder(bert, suite.tasks, max_length=24)
    before = copy.deepcopy(model).eval()
    whole = suite[name]
    rows = whole.records("train")[:ROWS]
    few = whole.without("train", range(ROWS, len(whole.records("train"))))
    assert few.records("train") == rows
    loss = reference_losses(before, Suite([few]))[name]
    loss.backward()
    parameters = {key: value.detach().clone() for key, value in before.named_parameters()}
    gradients = {key: value.grad for key, value in before.named_parameters() if value.grad is not None}
    expected = bert_adam(parameters, gradients, RATE)
    run = train(
        {**SETTINGS, "tasks": tasks, "output": str(tmp_path / "run")}, model=model, suite=Suite([few]),
        console=Console(quiet=True),
    )  # fmt: skip
    found = dict(run.model.named_parameters())
    for key, value in expected.items():
        torch.testing.assert_close(found[key].detach(), value, rtol=0, atol=2e-6, msg=key)
    assert any((found[key].detach() - parameters[key]).abs().max() > 1e-4 for key in expected)


def test_the_joint_loss_of_an_epoch(bert: Path, tmp_path: Path) -> None:
    """Each batch counts its task's mean loss once, and a task has as many batches as rows give: nothing is rescaled."""
    suite = load_suite(tiny.write_suite(tmp_path / "data", ("reg-pair", "cls-text")))
    tasks = {"reg-pair": {"loss_scale": "score"}, "cls-text": {}}
    settings = {**SETTINGS, "learning_rate": 1e-12, "max_steps": None, "num_train_epochs": 1, "tasks": tasks}
    model = MultiTaskModel.from_encoder(bert, suite.tasks, max_length=24)
    train({**settings, "output": str(tmp_path / "run")}, model=model, suite=suite, console=Console(quiet=True))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "losses" in line]
    assert {len(line["losses"]) for line in steps} == {1}
    for name, expected in reference_losses(model.eval(), suite).items():
        mine = [line for line in steps if name in line["losses"]]
        rows = len(suite[name].records("train"))
        assert len(mine) == -(-rows // ROWS)
        total = sum(line["loss"] * line["examples"] for line in mine) / rows
        assert total == pytest.approx(expected.item(), rel=1e-3)


def test_the_balance_of_scores_is_reported_and_chosen() -> None:
    task = tiny.task("reg-pair")
    assert task.score_range == (0, 4)
    assert weight_of(task, {}) == 1
    assert weight_of(task, {"reg-pair": TaskOptions(loss_scale="score", weight=0.5)}) == 8


def test_the_balance_is_in_the_plan(bert: Path, tmp_path: Path, small_suite: Path, command: Any) -> None:
    words = [f"encoder={bert}", f"suite={small_suite}", "max_steps=1", "num_train_epochs=null", "max_length=24"]
    words += ["eval_strategy=no", "predict_test=false"]
    (tmp_path / "r.yaml").write_text("tasks: [reg-pair, cls-text]\n")
    ended = command("train", tmp_path / "r.yaml", *words, f"output={tmp_path / 'a'}")
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "reg-pair: its squared error is in units of the range 0 to 4, 16 times smaller" in said
    ended = command("train", tmp_path / "r.yaml", *words, f"output={tmp_path / 'b'}", "tasks.reg-pair.loss_scale=range")
    assert "times smaller" not in ended.out
    wrong = "tasks.cls-text.loss_scale=score"
    ended = command("train", tmp_path / "r.yaml", *words, f"output={tmp_path / 'c'}", wrong)
    assert ended.code == 2
    assert "task cls-text: loss_scale score for type classification" in ended.err


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns_and_resumes(name: str, bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**SETTINGS, "optim": name, "encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"]}
    keys |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 5}
    whole = train({**keys, "output": str(tmp_path / "whole")}, console=Console(quiet=True)).model
    start = MultiTaskModel.from_encoder(bert, whole.tasks, max_length=24)
    assert any(
        not torch.equal(a, b) for a, b in zip(start.encoder.parameters(), whole.encoder.parameters(), strict=True)
    )
    half = {**keys, "output": str(tmp_path / "half")}
    train(half, console=Console(quiet=True))
    for path in (tmp_path / "half" / "checkpoints").glob("step-000004*"):
        shutil.rmtree(path)
    (tmp_path / "half" / "metrics.json").unlink()
    shutil.rmtree(tmp_path / "half" / "model")
    again = train(half, resume=True, console=Console(quiet=True)).model
    pairs = zip(whole.parameters(), again.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-7) for a, b in pairs)


def test_adamax_decays_apart_from_its_step() -> None:
    value = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    recipe = make_recipe({"optim": "adamax", "learning_rate": 0.1})
    optimiser = OPTIMISERS["adamax"]([{"params": [value], "weight_decay": 0.5}], recipe)
    value.grad = torch.tensor([[0.3, 0.1]])
    optimiser.step()
    # Decay, then the first step of Adamax: the rate times the gradient's sign.
    torch.testing.assert_close(value.detach(), torch.tensor([[1.0, -2.0]]) * 0.95 - 0.1, rtol=0, atol=1e-5)
    assert optimiser.param_groups[0]["weight_decay"] == 0.5


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"lr_scheduler_type": "exponential", "lr_gamma": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"lr_scheduler_type": "multi_step", "lr_milestones": [2]}, [1, 1, 1, 1, 0.1, 0.1]),
        ({"lr_scheduler_type": "polynomial", "lr_power": 2.0}, [(1 - n / 6) ** 2 for n in range(6)]),
        ({"lr_scheduler_type": "multi_step", "lr_milestones": [1], "warmup_steps": 1}, [0, 1, 0.1, 0.1, 0.1, 0.1]),
    ],
)
def test_schedules(bert: Path, keys: dict[str, Any], expected: list[float]) -> None:
    recipe = make_recipe({"num_train_epochs": 3, "warmup_steps": 0, "learning_rate": 1.0, **keys})
    model = MultiTaskModel.from_encoder(bert, (), max_length=24)
    optimiser = build_optimiser(model, recipe)
    schedule = build_schedule(optimiser, recipe, 6)
    rates = []
    for _ in range(6):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lr_scheduler_type": "multi_step"}, "lr_milestones go together"),
        ({"lr_milestones": [2]}, "lr_milestones go together"),
        ({"lr_gamma": 0.5}, "lr_gamma for lr_scheduler_type: linear"),
        ({"lr_scheduler_type": "exponential", "max_steps": 9}, "needs num_train_epochs"),
        ({"lr_scheduler_type": "plateau", "eval_strategy": "no"}, "plateau needs scores of dev"),
        ({"momentum": 0.9}, "momentum for optim: adamw"),
        ({"optim": "adamw2"}, "optim"),
        ({"fp16": True, "bf16": True}, "both fp16 and bf16 are given"),
        ({"fp16": True, "smart": {}}, "both fp16 and smart are given"),
    ],
)
def test_contradictory_settings(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_recipe(keys)


def test_train_and_dev_by_epochs() -> None:
    recipe = make_recipe({"train_on": "train+dev", "num_train_epochs": 4})
    assert (recipe.num_train_epochs, recipe.max_steps, recipe.eval_strategy) == (4, None, "no")


def test_float16_scales_the_loss_and_resumes(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**SETTINGS, "fp16": True, "encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"]}
    keys |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 5, "optim": "adamw"}
    whole = train({**keys, "output": str(tmp_path / "whole")}, console=Console(quiet=True)).model
    plain = train({**keys, "fp16": False, "output": str(tmp_path / "plain")}, console=Console(quiet=True)).model
    far = max((a - b).abs().max().item() for a, b in zip(whole.parameters(), plain.parameters(), strict=True))
    assert 0 < far < 0.02
    saved = json.loads((tmp_path / "whole" / "checkpoints" / "step-000002" / "progress.json").read_text())
    assert saved["scaler"]["scale"] > 1
    half = {**keys, "output": str(tmp_path / "half")}
    train(half, console=Console(quiet=True))
    for name in ("checkpoints/step-000004", "model"):
        shutil.rmtree(tmp_path / "half" / name)
    (tmp_path / "half" / "metrics.json").unlink()
    again = train(half, resume=True, console=Console(quiet=True)).model
    pairs = zip(whole.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_overflowing_gradient_skips_the_step(
    bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = torch.amp.GradScaler.__init__

    def huge(self: Any, device: str) -> None:
        scale(self, device, init_scale=2.0**120)

    monkeypatch.setattr(torch.amp.GradScaler, "__init__", huge)
    keys = {**SETTINGS, "fp16": True, "encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"]}
    run = train({**keys, "output": str(tmp_path / "run")}, console=Console(quiet=True))
    start = MultiTaskModel.from_encoder(bert, (), max_length=24)
    assert all(
        torch.equal(a, b) for a, b in zip(start.encoder.parameters(), run.model.encoder.parameters(), strict=True)
    )


def test_a_plateau_lowers_the_rate() -> None:
    rate = Plateau(warmup=2, gamma=0.5, patience=1)
    assert [rate(step) for step in (0, 1, 2, 9)] == [0, 0.5, 1, 1]
    factors = []
    for score in (0.1, 0.3, 0.3, 0.2, 0.4, 0.4, 0.4):
        rate.see(score)
        factors.append(rate(9))
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_a_plateau_in_a_run_survives_resumption(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**SETTINGS, "encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"], "learning_rate": 1e-9}
    keys |= {"lr_scheduler_type": "plateau", "lr_patience": 0, "eval_strategy": "steps", "eval_steps": 1}
    keys |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 5}

    def rates(folder: Path) -> list[float]:
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        return [line["lr"] for line in lines if "lr" in line]

    train({**keys, "output": str(tmp_path / "a")}, console=Console(quiet=True))
    found = rates(tmp_path / "a")
    assert found == pytest.approx([1e-9, 1e-9, 5e-10, 2.5e-10])  # no step changes the score
    shutil.rmtree(tmp_path / "a" / "checkpoints" / "step-000004")
    for name in ("metrics.json", "model/README.md"):  # as if the run had been killed before its end
        (tmp_path / "a" / name).unlink()
    train({**keys, "output": str(tmp_path / "a")}, resume=True, console=Console(quiet=True))
    assert rates(tmp_path / "a") == found
