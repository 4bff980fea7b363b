"""Methods that change the losses: by their formulas, and independent of how a step's rows are split into batches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from rich.console import Console
from torch.nn import functional

import tiny
from biomtl.batch import EncodedExample, collate, encode_examples
from biomtl.errors import InputError
from biomtl.heads.soft import soft_of
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training.accelerator import make_accelerator
from biomtl.training.data import TrainingData
from biomtl.training.loop import optimise
from biomtl.training.methods import Course, make_methods
from biomtl.training.methods.loss_balance import RULES, LossBalance
from biomtl.training.methods.task_stopping import TaskStopping
from biomtl.training.optimiser import configure
from biomtl.training.options import TaskStoppingOptions
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train
from biomtl.training.state import TrainState
from steps import Gradients, Still

NAMES = tiny.FOUR


@pytest.fixture
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    return tiny.model(bert, NAMES, max_length=24)


def examples_of(model: MultiTaskModel, count: int = 6) -> list[EncodedExample]:
    records = {name: tiny.records(name, count) for name in model.tasks}
    return encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)


def one_step(
    model: MultiTaskModel, part: list[list[EncodedExample]], suite: Path, seed: int = 0, **keys: Any
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    recipe = make_recipe({"dropout": 0.0, "max_grad_norm": 0, "suite": str(suite), "max_length": 24, **keys})
    configure(model, recipe)
    methods = make_methods(recipe, model)
    data = TrainingData(model.processor, load_suite(suite), recipe)
    for method in methods.values():
        method.begin(Course(recipe, data, 10), model)
    torch.manual_seed(seed)
    gradients = Gradients(model)
    done = optimise(
        TrainState(model, gradients, Still(), methods=methods), model, part, recipe, make_accelerator(recipe)
    )
    return gradients.found, done


@pytest.mark.parametrize(
    "keys",
    [
        {"loss_balance": "equal"},
        {"objective": {"label_smoothing": 0.2, "class_weights": "balanced", "focal_gamma": 1.5}},
        {"r_drop": 2.0},
        {"smart": {"noise": 1e-9, "weight": 5.0}},
    ],
    ids=["balance", "objective", "r_drop", "smart"],
)
def test_accumulation_equals_one_batch(model: MultiTaskModel, small_suite: Path, keys: dict[str, Any]) -> None:
    examples = examples_of(model)
    whole, once = one_step(model, [examples], small_suite, **keys)
    parts, several = one_step(model, [examples[:5], examples[5:9], examples[9:]], small_suite, **keys)
    assert several["losses"] == pytest.approx(once["losses"], rel=1e-3, abs=1e-5)
    for name in whole:
        # The adversary's direction follows its noise, which differs between batches.
        tolerance = {"atol": 0.05, "rtol": 0.2} if "smart" in keys else {"atol": 1e-5, "rtol": 1e-3}
        torch.testing.assert_close(parts[name], whole[name], **tolerance)


def test_label_smoothing_is_torchs(model: MultiTaskModel, small_suite: Path) -> None:
    examples = examples_of(model)
    _, done = one_step(model, [examples], small_suite, objective={"label_smoothing": 0.1})
    _, plain = one_step(model, [examples], small_suite)
    batch = collate(examples, model.processor)
    with torch.no_grad():
        answers = model(batch.inputs, batch.tasks)
    expected = functional.cross_entropy(
        answers["cls-text"].outputs, batch.tasks["cls-text"].targets, label_smoothing=0.1
    )
    assert done["losses"]["cls-text"] == pytest.approx(float(expected), abs=1e-5)
    gold = batch.tasks["multi-text"].targets * 0.9 + 0.05
    expected = functional.binary_cross_entropy_with_logits(answers["multi-text"].outputs, gold)
    assert done["losses"]["multi-text"] == pytest.approx(float(expected), abs=1e-5)
    assert done["losses"]["reg-pair"] == plain["losses"]["reg-pair"]  # no labels


def test_focal_loss_and_class_weights(model: MultiTaskModel, small_suite: Path) -> None:
    examples = examples_of(model)
    keys = {"focal_gamma": 2.0, "class_weights": "balanced"}
    _, done = one_step(model, [examples], small_suite, objective=keys)
    batch = collate(examples, model.processor)
    with torch.no_grad():
        outputs = model(batch.inputs, batch.tasks)["cls-text"].outputs
    gold = batch.tasks["cls-text"].targets
    trained = [record["label"] for record in load_suite(small_suite)["cls-text"].records("train")]
    counts = torch.tensor([max(trained.count(label), 1) for label in ("none", "drug")], dtype=torch.float)
    weights = (1 / counts) * len(trained) / 2 if counts.min() > 1 else None
    assert weights is not None
    p = outputs.softmax(-1).gather(1, gold[:, None]).squeeze(1)
    expected = (weights[gold] * (1 - p) ** 2 * -p.log()).mean()
    assert done["losses"]["cls-text"] == pytest.approx(float(expected), rel=1e-4)


def test_class_weights_of_one_task(model: MultiTaskModel, small_suite: Path) -> None:
    """``rebalance: class_weights`` is ``objective`` with balanced weights for one task, and nothing for the others."""
    examples = examples_of(model)
    _, plain = one_step(model, [examples], small_suite)
    _, all_weighted = one_step(model, [examples], small_suite, objective={"class_weights": "balanced"})
    _, done = one_step(model, [examples], small_suite, tasks={"cls-text": {"rebalance": "class_weights"}})
    assert done["losses"]["cls-text"] == all_weighted["losses"]["cls-text"] != plain["losses"]["cls-text"]
    for name in ("multi-text", "tag-drug", "reg-pair"):
        assert done["losses"][name] == plain["losses"][name]


def test_two_passes_that_agree_cost_nothing_and_others_do(model: MultiTaskModel, small_suite: Path) -> None:
    examples = examples_of(model)
    plain, once = one_step(model, [examples], small_suite)
    same, twice = one_step(model, [examples], small_suite, r_drop=3.0)
    assert twice["losses"] == pytest.approx(once["losses"], abs=1e-5)
    for name in plain:
        torch.testing.assert_close(same[name], plain[name], atol=1e-5, rtol=1e-3)
    _, mild = one_step(model, [examples], small_suite, dropout=0.3, r_drop=1e-6)
    _, strong = one_step(model, [examples], small_suite, dropout=0.3, r_drop=3.0)
    assert all(strong["losses"][name] > mild["losses"][name] for name in NAMES)


def test_the_adversary_finds_more_than_noise_does(model: MultiTaskModel, small_suite: Path) -> None:
    examples = examples_of(model)
    losses = [
        one_step(model, [examples], small_suite, smart={"weight": 1.0, "step_size": size, "noise": 0.01})[1]["loss"]
        for size in (1e-9, 0.3)
    ]
    assert losses[1] > losses[0]
    gradients, _ = one_step(model, [examples], small_suite, smart={"step_size": 0.3})
    plain, _ = one_step(model, [examples], small_suite)
    assert any(not torch.allclose(gradients[name], plain[name]) for name in plain)


def test_equal_balance_makes_the_runs_total_weights_equal(model: MultiTaskModel, small_suite: Path) -> None:
    """Over an epoch, each task's examples times its factor are the same."""
    recipe = make_recipe({"loss_balance": "equal", "max_length": 24, "policy": "sqrt"})
    data = TrainingData(model.processor, load_suite(small_suite), recipe)
    method = LossBalance("equal", model)
    method.begin(Course(recipe, data, 10), model)
    totals = {plan.task: plan.share * method.factor(plan.task) for plan in data.mixer.plan()}
    assert set(totals) == set(NAMES)
    assert all(value == pytest.approx(0.25) for value in totals.values())


def test_a_text_with_many_pairs_is_one_text_as_in_the_step(bert: Path, tmp_path: Path) -> None:
    names = ("rel-spans", "cls-text")
    suite = load_suite(tiny.write_suite(tmp_path / "suite", names, train=30))
    model = tiny.model(bert, names, max_length=40)
    data = TrainingData(model.processor, suite, make_recipe({"max_length": 40}))
    texts = {name: sum(name in example.tasks for example in data.examples) for name in names}
    batch = collate(data.examples, model.processor)
    assert {name: batch.texts[name] for name in names} == texts
    assert data.shares() == pytest.approx({name: count / sum(texts.values()) for name, count in sorted(texts.items())})


def test_the_rules_follow_the_losses() -> None:
    rules = {name: kind() for name, kind in RULES.items()}
    for rule in rules.values():
        rule.start(["a", "b"], 40)
    for step in range(600):
        for rule in rules.values():
            rule.follow({"a": 4.0, **({"b": 0.5} if step % 3 else {})})
    assert rules["equal"].factors == {"a": 1.0, "b": 1.0}
    uncertain = rules["uncertainty"].factors
    assert uncertain["a"] == pytest.approx(1 / 8, rel=0.05)  # the minimum is at 1 / (2 L)
    assert uncertain["b"] == pytest.approx(1.0, rel=0.05)
    assert rules["scale"].factors == pytest.approx({"a": 2 / 9, "b": 16 / 9})
    assert rules["dwa"].factors == pytest.approx({"a": 1.0, "b": 1.0})
    falling = RULES["dwa"]()
    falling.start(["a", "b"], 40)
    for loss in (4.0, 4.0, 2.0, 2.0):  # windows of two steps
        falling.follow({"a": loss, "b": 1.0})
    powers = [math.exp(0.25), math.exp(0.5)]
    assert falling.factors == pytest.approx({n: 2 * p / sum(powers) for n, p in zip("ab", powers, strict=True)})


def test_a_task_that_has_peaked(model: MultiTaskModel) -> None:
    method = TaskStopping(TaskStoppingOptions(patience=2, then="freeze"), model)
    for score, stopped in ((0.5, False), (0.6, False), (0.6, False), (0.5, True), (0.9, True)):
        method.after_evaluation({"cls-text": score, "tag-drug": 0.1 + score}, 1, model)
        assert ("cls-text" in method.stopped) == stopped
    assert method.factor("cls-text") == 0.0
    assert method.factor("reg-pair") == 1.0
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    method.gradients(model)
    assert all(weight.grad is None for weight in model.head("cls-text").parameters())
    assert all(weight.grad is not None for weight in model.head("reg-pair").parameters())


def test_a_task_that_is_held_at_its_best(model: MultiTaskModel) -> None:
    method = TaskStopping(TaskStoppingOptions(patience=1, then="distill"), model)
    batch = collate(examples_of(model), model.processor)
    model.eval()
    with torch.no_grad():
        best = model(batch.inputs, batch.tasks)["cls-text"].outputs
    method.after_evaluation({"cls-text": 0.5, "tag-drug": 0.5}, 1, model)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    method.after_evaluation({"cls-text": 0.4, "tag-drug": 0.6}, 2, model)
    answers = model(batch.inputs, batch.tasks)
    losses = {name: answer.loss for name, answer in answers.items()}
    changed = method.losses(losses, answers, batch, model)
    expected = -(best.softmax(-1) * answers["cls-text"].outputs.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(changed["cls-text"], expected)
    assert changed["tag-drug"] is losses["tag-drug"]


def test_what_does_not_suit_the_model(bert: Path) -> None:
    heads = {"tag-drug": tiny.head("tag-drug", crf=True)}
    crf = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug")], heads=heads, max_length=24)
    with pytest.raises(InputError, match=r"objective: the head of tag-drug has its own loss"):
        configure(crf, make_recipe({"objective": {"label_smoothing": 0.1}}))
    with pytest.raises(InputError, match=r"task_stopping: tag-drug can't be distilled"):
        configure(crf, make_recipe({"task_stopping": {"then": "distill"}}))
    scores = tiny.model(bert, ["reg-text"], max_length=24)
    with pytest.raises(InputError, match="objective: no task has labels"):
        configure(scores, make_recipe({"objective": {"label_smoothing": 0.1}}))
    with pytest.raises(InputError, match="smart with a frozen encoder, expected one that is trained"):
        configure(scores, make_recipe({"smart": {}, "freeze_encoder": True}))
    assert soft_of(scores.tasks["reg-text"]) is not None


def test_the_proximal_term_of_a_crf_compares_emissions(bert: Path) -> None:
    """In prediction a CRF gives scores of paths, which are no outputs of training."""
    heads = {"tag-drug": tiny.head("tag-drug", crf=True, dropout=0.0)}
    crf = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug")], heads=heads, max_length=24)
    recipe = make_recipe({"dropout": 0.0, "smart": {"weight": 0, "proximal": 1.0}})
    configure(crf, recipe)
    method = make_methods(recipe, crf)["smart"]
    method.after_step(crf, {})  # from now on the average is the weights
    batch = collate(examples_of(crf), crf.processor)
    answers = crf.train()(batch.inputs, batch.tasks)
    losses = {name: answer.loss for name, answer in answers.items()}
    assert float(method.losses(losses, answers, batch, crf)["tag-drug"].detach()) == pytest.approx(
        float(losses["tag-drug"].detach()), abs=1e-4
    )
    assert crf.head("tag-drug").training


@pytest.mark.parametrize("family", ["t5", "xlnet"])
def test_the_adversary_finds_the_embeddings_of_other_families(tmp_path: Path, family: str) -> None:
    """T5's encoder looks words up in a table of its own with the same weights, XLNet one position after another."""
    words = tiny.tokenizer("bert")
    sizes = {"vocab_size": len(words), "d_model": 32, "pad_token_id": 3}
    if family == "t5":
        more = {"d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 3}
        network = transformers.T5EncoderModel(transformers.T5Config(**sizes, **more))
    else:
        network = transformers.XLNetModel(transformers.XLNetConfig(**sizes, n_layer=2, n_head=2, d_inner=48))
    network.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    model = MultiTaskModel.from_encoder(tmp_path, [tiny.task("cls-text")], max_length=24)
    recipe = make_recipe({"dropout": 0.0, "smart": {"step_size": 0.5, "noise": 0.1}})
    configure(model, recipe)
    method = make_methods(recipe, model)["smart"]
    batch = collate(examples_of(model), model.processor)
    answers = model.train()(batch.inputs, batch.tasks)
    losses = {"cls-text": answers["cls-text"].loss}
    assert method.losses(losses, answers, batch, model)["cls-text"] > losses["cls-text"]


def test_a_run_ends_when_no_task_is_left(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {"task_stopping": {"patience": 1}, "eval_steps": 1, "num_train_epochs": 5, "learning_rate": 1e-9}
    recipe = tiny.write_recipe(
        tmp_path / "r.yaml", bert, small_suite, **keys, output=str(tmp_path / "run"), predict_test=False, max_length=24
    )
    train(recipe, console=Console(quiet=True))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]  # at the second evaluation nothing has risen


def test_heads_that_are_not_of_the_run(model: MultiTaskModel, small_suite: Path, tmp_path: Path) -> None:
    """A model may be passed in with further ones: methods that count tasks failed, and never saw the last one stop."""
    suite = load_suite(small_suite, ["cls-text", "tag-drug"])
    keys: dict[str, Any] = {"loss_balance": "dwa", "objective": {"class_weights": "sqrt"}, "learning_rate": 1e-9}
    keys |= {"task_stopping": {"patience": 1}, "eval_steps": 1, "num_train_epochs": 5, "predict_test": False}
    run = train({**keys, "output": str(tmp_path / "run")}, model=model, suite=suite, console=Console(quiet=True))
    assert run.metrics is not None
    assert run.metrics.provenance["steps"] == 2
    assert set(run.model.tasks) == set(tiny.FOUR)
