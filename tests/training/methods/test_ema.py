"""The average of the weights: what it is, when it is taken, and that training never sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import tiny
from biomtl.model import MultiTaskModel
from biomtl.training.methods.ema import WeightAverage


def model_of(bert: Path, freeze: bool = False) -> MultiTaskModel:
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], max_length=24)
    model.encoder.requires_grad_(not freeze)
    return model


def move(model: MultiTaskModel) -> dict[str, torch.Tensor]:
    """Change every trained weight, as a step does."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    with torch.no_grad():
        for weight in trained.values():
            weight += torch.randn_like(weight)
    return {name: weight.detach().clone() for name, weight in trained.items()}


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_weighted_mean_of_the_steps(bert: Path, decay: float) -> None:
    model = model_of(bert)
    method = WeightAverage(decay, model)
    steps = []
    for _ in range(5):
        steps.append(move(model))
        method.after_step(model, {})
    shares = [decay ** (len(steps) - 1 - i) for i in range(len(steps))]
    with method.evaluation_weights(model):
        for name, weight in model.named_parameters():
            expected = sum(share * step[name] for share, step in zip(shares, steps, strict=True)) / sum(shares)
            torch.testing.assert_close(weight.detach(), expected, atol=1e-5, rtol=1e-4)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, steps[-1][name])


def test_the_trained_weights_come_back_after_an_error(bert: Path) -> None:
    model = model_of(bert)
    method = WeightAverage(0.9, model)
    for _ in range(2):
        last = move(model)
        method.after_step(model, {})
    averaged = {name: value.clone() for name, value in method.average.items()}
    with pytest.raises(RuntimeError), method.evaluation_weights(model):
        raise RuntimeError
    for name, weight in model.named_parameters():
        assert torch.equal(weight, last[name])
        assert torch.equal(method.average[name], averaged[name])


def test_frozen_weights_are_left_out(bert: Path) -> None:
    model = model_of(bert, freeze=True)
    method = WeightAverage(0.9, model)
    move(model)
    method.after_step(model, {})
    assert method.state().tensors
    assert all(name.startswith("heads.") for name in method.state().tensors)


def test_the_saved_state_is_restored(bert: Path) -> None:
    model = model_of(bert)
    method, other = WeightAverage(0.9, model), WeightAverage(0.9, model)
    move(model)
    method.after_step(model, {})
    kept = method.state()
    other.restore(
        type(kept)({n: v.clone() for n, v in kept.tensors.items()}, json.loads(json.dumps(kept.values))), model
    )
    move(model)
    for one in (method, other):
        one.after_step(model, {})
    assert all(torch.equal(method.average[name], other.average[name]) for name in method.average)
    kept.tensors.pop(next(iter(kept.tensors)))
    with pytest.raises(ValueError, match="the average of other weights"):
        other.restore(kept, model)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_saves_and_scores_the_average(bert: Path, small_suite: Path, tmp_path: Path, accumulation: int) -> None:
    """The average of the weights that the checkpoints of the same run without it hold, one for each step."""
    from biomtl.training.run import train

    keys = {"max_steps": 4, "num_train_epochs": None, "save_steps": 1, "save_total_limit": 9, "eval_strategy": "no"}
    keys |= {"gradient_accumulation_steps": accumulation, "predict_test": False, "max_length": 24}
    for name, decay in (("plain", None), ("averaged", 0.6)):
        path = tiny.write_recipe(
            tmp_path / "r.yaml", bert, small_suite, **keys, ema_decay=decay, output=str(tmp_path / name)
        )
        train(path, console=Console(quiet=True))
    steps = [load_file(tmp_path / f"plain/checkpoints/step-{n:06d}/model.safetensors") for n in range(1, 5)]
    averaged = load_file(tmp_path / "averaged/checkpoints/step-000004/model.safetensors")
    assert all(torch.equal(averaged[name], value) for name, value in steps[-1].items())  # training goes on as without
    shares = [0.6**3, 0.6**2, 0.6, 1.0]
    saved = MultiTaskModel.from_pretrained(tmp_path / "averaged").state_dict()
    for name, value in saved.items():
        expected = sum(s * step[name] for s, step in zip(shares, steps, strict=True)) / sum(shares)
        torch.testing.assert_close(value, expected.to(value.dtype), atol=1e-6, rtol=1e-5)
    assert not torch.equal(
        saved["encoder.network.embeddings.word_embeddings.weight"],
        steps[-1]["encoder.network.embeddings.word_embeddings.weight"],
    )
