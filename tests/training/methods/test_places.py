"""A method needs an entry in the registry and a recipe key; loop, checkpoint and run know nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training import methods
from biomtl.training.accelerator import make_accelerator
from biomtl.training.checkpoint import latest_checkpoint
from biomtl.training.data import TrainingData
from biomtl.training.loop import Hooks, Step, fit
from biomtl.training.methods import Course, Method, MethodState
from biomtl.training.optimiser import configure
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe import Recipe

WEIGHT = "heads.cls-text.network.stock.classifier.weight"
CALLS: list[str] = []
STEPS: list[int] = []


class LongerRecipe(Recipe):
    """The recipe with one key more."""

    tug: float | None = None


class Tug(Method):
    """Acts at every hook: changes one weight, more each time."""

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        self.value, self.tugs = value, torch.zeros(1)

    def rate(self, name: str) -> float:
        return 0.0 if name.startswith("encoder.") else 1.0

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        assert course.total == 6

    def before_step(self, step: int, model: MultiTaskModel) -> None:
        STEPS.append(step)

    def losses(self, losses: dict[str, torch.Tensor], answers: Any, batch: Any, model: MultiTaskModel) -> Any:
        CALLS.append("losses")
        assert answers.keys() == losses.keys()
        return {name: 2 * loss for name, loss in losses.items()}

    def gradients(self, model: MultiTaskModel) -> None:
        CALLS.append("gradients")

    def after_step(self, model: MultiTaskModel, losses: Any) -> None:
        assert losses
        CALLS.append("after_step")
        self.tugs += self.value
        with torch.no_grad():
            model.get_parameter(WEIGHT).add_(self.tugs)

    def factor(self, task: str) -> float:
        return 0.5

    def after_evaluation(self, scores: Any, step: int, model: MultiTaskModel) -> None:
        CALLS.append(f"evaluation of {len(scores)} after {step}")

    @contextlib.contextmanager
    def evaluation_weights(self, model: MultiTaskModel) -> Iterator[None]:
        weight = model.get_parameter(WEIGHT)
        kept = weight.detach().clone()
        weight.data.zero_()
        yield
        weight.data.copy_(kept)

    def state(self) -> MethodState:
        return MethodState({"tugs": self.tugs}, {"value": self.value})

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        assert state.values == {"value": self.value}
        self.tugs = state.tensors["tugs"].clone()


class StoppedError(Exception):
    """The run ends here."""


class Watcher:
    """Records the loop's calls and the weights seen by evaluation and saving."""

    def __init__(self, model: MultiTaskModel, stop: int | None) -> None:
        self.model, self.stop = model, stop
        self.steps: list[Step] = []
        self.seen: list[torch.Tensor] = []

    def on_step(self, step: Step) -> None:
        self.steps.append(step)
        if step.step == self.stop:
            raise StoppedError

    def see(self, progress: Progress | None = None) -> DevScores:
        self.seen.append(self.model.get_parameter(WEIGHT).detach().clone())
        return DevScores(float(len(self.seen)), {"cls-text": 0.5})

    def hooks(self) -> Hooks:
        return Hooks(lambda progress, total: None, self.on_step, self.see, lambda: self.see() and None)


@pytest.fixture
def run(bert: Path, small_suite: Path, tmp_path: Path) -> Callable[..., tuple[MultiTaskModel, Watcher]]:
    def start(folder: str, tug: float | None, stop: int | None = None, resume: bool = False) -> Any:
        keys = {"max_steps": 6, "save_steps": 2, "eval_steps": 3, "gradient_accumulation_steps": 2, "batch_size": 8}
        recipe = LongerRecipe.model_validate({**keys, "max_length": 24, "learning_rate": 1e-2, "tug": tug})
        suite = load_suite(small_suite)
        torch.manual_seed(0)
        model = MultiTaskModel.from_encoder(bert, suite.tasks, max_length=24)
        configure(model, recipe)
        watcher = Watcher(model, stop)
        data = TrainingData(model.processor, suite, recipe)
        with contextlib.suppress(StoppedError):
            fit(
                model,
                data,
                recipe,
                make_accelerator(recipe),
                watcher.hooks(),
                tmp_path / folder,
                resume=resume,
            )
        return model, watcher

    return start


def test_a_new_method_acts_at_every_hook(
    run: Callable[..., Any], bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "tug": Tug})
    CALLS.clear()
    plain, without = run("plain", None)
    assert CALLS == []
    model, watcher = run("tugged", 0.5)
    # Two batches make a step; an epoch of 36 texts has five, so its third step has but one.
    epoch = (["losses"] * 2 + ["gradients", "after_step"]) * 2 + ["losses", "gradients", "after_step"]
    assert [*epoch, "evaluation of 1 after 3", *epoch, "evaluation of 1 after 6"] == CALLS
    assert list(range(6)) == STEPS
    # Twice by its losses, half by its factor.
    assert watcher.steps[0].loss == pytest.approx(without.steps[0].loss, rel=1e-4)
    assert watcher.steps[0].losses == pytest.approx({n: 2 * v for n, v in without.steps[0].losses.items()}, rel=1e-4)
    fresh = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], max_length=24)
    before = fresh.encoder.state_dict()
    assert all(torch.equal(model.encoder.state_dict()[name], value) for name, value in before.items())
    assert not all(torch.equal(plain.encoder.state_dict()[name], value) for name, value in before.items())
    assert watcher.seen
    assert all(not seen.any() for seen in watcher.seen)  # dev was scored, and the best saved, with other weights
    assert float(model.get_parameter(WEIGHT).detach().mean()) > 5  # 0.5 + 1.0 + … + 3.0, and what was learnt
    assert without.seen[0].any()


def test_its_state_is_in_the_checkpoint(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "tug": Tug})
    whole, _ = run("whole", 0.5)
    run("broken", 0.5, stop=5)
    assert latest_checkpoint(tmp_path / "broken").name == "step-000004"
    resumed, watcher = run("broken", 0.5, resume=True)
    assert [step.step for step in watcher.steps] == [5, 6]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_every_method_has_a_recipe_key_that_is_off(bert: Path) -> None:
    assert {key: getattr(Recipe(), key) for key in methods.METHODS} == dict.fromkeys(methods.METHODS)
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], max_length=24)
    assert methods.make_methods(Recipe(), model) == {}
    for method in methods.METHODS.values():
        assert "arXiv" in (method.__doc__ or "")
