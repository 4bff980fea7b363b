"""Teachers: their outputs, when these are used and that they are computed once, and which teachers are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import tiny
from biomtl.batch import collate
from biomtl.errors import InputError
from biomtl.heads.soft import soft_of
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.suite import Suite, TaskData, load_suite
from biomtl.tasks.registry import get_task
from biomtl.training import teaching as teaching_module
from biomtl.training.accelerator import make_accelerator
from biomtl.training.assemble import with_task_names
from biomtl.training.data import TrainingData
from biomtl.training.loop import optimise
from biomtl.training.methods import Course
from biomtl.training.methods.distill import Distillation
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train
from biomtl.training.state import TrainState
from biomtl.training.teaching import teach, teachers_of
from steps import Gradients, Still

NAMES = ("cls-text", "reg-pair", "multi-text", "tag-drug", "tag-illness")
CPU = torch.device("cpu")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two taggers over the same sentences, which the other tasks don't have."""
    return tiny.write_suite(tmp_path / "suite", NAMES)


@pytest.fixture
def teacher(bert: Path, tmp_path: Path) -> Path:
    torch.manual_seed(7)
    model = tiny.model(bert, NAMES, max_length=24)
    model.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def recipe_of(suite: Path, tmp_path: Path, teachers: Any, **keys: Any) -> Any:
    options = {"teachers": teachers, "folder": str(tmp_path / "kept")}
    options |= {key: keys.pop(key) for key in ("unlabelled", "pairs", "gold_from", "gold_to") if key in keys}
    return make_recipe({"suite": str(suite), "max_length": 24, "batch_size": 8, "distill": options, **keys})


def taught_data(recipe: Any, bert: Path) -> tuple[MultiTaskModel, TrainingData, Any]:
    suite = load_suite(recipe.suite)
    torch.manual_seed(1)
    model = tiny.model(bert, NAMES, max_length=24)
    teaching = teach(suite, recipe, CPU, lambda line: None)
    return model, TrainingData(model.processor, suite, recipe, teaching=teaching), teaching


def test_the_target_is_gold_and_teacher_mixed(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = recipe_of(suite, tmp_path, str(teacher), gold_from=0.25, gold_to=0.75)
    model, data, _ = taught_data(recipe, bert)
    method = Distillation(recipe.distill, model)
    method.begin(Course(recipe, data, 11), model)
    batch = collate(data.examples, model.processor)
    model.eval()
    answers = model(batch.inputs, batch.tasks)
    losses = {name: answer.loss for name, answer in answers.items()}
    other = MultiTaskModel.from_pretrained(teacher)
    with torch.no_grad():
        said = other(batch.inputs, batch.tasks)
    for step, share in ((0, 0.25), (5, 0.5), (10, 0.75)):
        method.before_step(step, model)
        changed = method.losses(losses, answers, batch, model)
        for name in NAMES:
            soft, rows, outputs = soft_of(model.tasks[name]), batch.tasks[name], answers[name].outputs
            assert soft is not None
            target = soft.probabilities(said[name].outputs)
            theirs = soft.mean(soft.loss(outputs, target, rows), rows)
            if name == "reg-pair":  # a mixed score is not a mixed loss
                mixed = share * soft.gold(outputs, rows) + (1 - share) * target
                expected = soft.mean(soft.loss(outputs, mixed, rows), rows)
            else:
                expected = share * losses[name] + (1 - share) * theirs
            torch.testing.assert_close(changed[name], expected, atol=2e-3, rtol=2e-3)  # kept with three digits


def test_gold_alone_is_the_plain_run(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    keys = {"max_steps": 4, "num_train_epochs": None, "eval_strategy": "no", "predict_test": False, "max_length": 24}
    keys["adam_epsilon"] = 1e-4  # so that a gradient of zero but for rounding stays one
    for name, options in (("plain", None), ("taught", {"teachers": str(teacher), "gold_from": 1.0})):
        keys["distill"] = options and {**options, "folder": str(tmp_path / "kept")}
        path = tiny.write_recipe(tmp_path / "r.yaml", bert, suite, **keys, output=str(tmp_path / name))
        train(path, console=Console(quiet=True))
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("plain", "taught"))
    for name in first:
        torch.testing.assert_close(second[name], first[name], atol=1e-5, rtol=1e-4)
    facts = json.loads((tmp_path / "taught" / "metrics.json").read_text())["provenance"]
    assert facts["teachers"] == {name: [str(teacher)] for name in NAMES}


def test_a_student_becomes_its_teacher(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    """With no gold at all it predicts what its teacher does."""
    keys = {"num_train_epochs": 30, "eval_strategy": "no", "predict_test": False, "max_length": 24, "dropout": 0.0}
    keys |= {"learning_rate": 3e-3, "lr_scheduler_type": "constant"}
    keys["distill"] = {"teachers": str(teacher), "gold_to": 0.0, "folder": str(tmp_path / "kept")}
    run = train(tiny.write_recipe(tmp_path / "r.yaml", bert, suite, **keys), console=Console(quiet=True))
    records = {name: load_suite(suite)[name].records("train") for name in ("cls-text", "tag-drug")}
    taught, theirs = (
        predict_records(run.model, records),
        predict_records(MultiTaskModel.from_pretrained(teacher), records),
    )
    torch.manual_seed(1)
    fresh = predict_records(tiny.model(bert, NAMES, max_length=24), records)

    def far(side: dict[str, Any]) -> float:
        pairs = zip(side["cls-text"], theirs["cls-text"], strict=True)
        return sum(abs(p["probabilities"]["drug"] - t["probabilities"]["drug"]) for p, t in pairs) / 12

    assert far(taught) < 0.3 * far(fresh)
    alike = [p["tags"] == t["tags"] for p, t in zip(taught["tag-drug"], theirs["tag-drug"], strict=True)]
    assert sum(alike) > 8


def test_texts_of_other_tasks(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    _, plain, _ = taught_data(recipe_of(suite, tmp_path, str(teacher)), bert)
    recipe = recipe_of(suite, tmp_path, str(teacher), unlabelled="*")
    model, data, teaching = taught_data(recipe, bert)
    assert len(data.examples) == len(plain.examples)  # no text more
    assert "reg-pair" not in teaching.unlabelled  # no other task has pairs
    filled = {name for name in NAMES if name != "reg-pair"}
    for example in data.examples:
        assert example.tasks == (filled if "reg-pair" not in example.tasks else {"reg-pair"})
        for own in example.task_examples:
            assert own.taught is not None
            assert own.target is not None
            outputs = 1 if own.word_positions is None else len(own.word_positions)
            assert own.taught.shape == (outputs, max(len(model.tasks[own.task].labels), 1))
    # The draws are those of gold alone, and so is what the plan says.
    assert [p.share for p in data.mixer.plan()] == pytest.approx([p.share for p in plain.mixer.plan()])
    assert (data.mixer.epoch(0) == plain.mixer.epoch(0)).all()
    assert sum(data.shares().values()) == pytest.approx(1)
    assert data.shares()["cls-text"] > plain.shares()["cls-text"]
    # Without gold the teacher alone is the target, whatever the share.
    method = Distillation(recipe.distill, model)
    method.gold = 1.0
    only = [example for example in data.examples if "cls-text" not in example.labelled_tasks]
    only = [example for example in only if "cls-text" in example.tasks]
    batch = collate(only, model.processor)
    answers = model.eval()(batch.inputs, batch.tasks)
    changed = method.losses({name: answer.loss for name, answer in answers.items()}, answers, batch, model)
    rows = batch.tasks["cls-text"]
    expected = -(rows.taught * answers["cls-text"].outputs.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(changed["cls-text"], expected)


def test_pairs_of_texts_of_other_tasks(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    _, plain, _ = taught_data(recipe_of(suite, tmp_path, str(teacher), unlabelled="*"), bert)
    recipe = recipe_of(suite, tmp_path, str(teacher), unlabelled="*", pairs=5)
    model, data, teaching = taught_data(recipe, bert)
    made = teaching.unlabelled["reg-pair"]
    assert len(made) == 5
    assert len({record[key] for record in made for key in ("text_a", "text_b")}) == 10
    assert len(data.examples) == len(plain.examples) + 5
    entries = {plan.task: plan.entries for plan in data.mixer.plan()}
    assert entries["reg-pair"] == {plan.task: plan.entries for plan in plain.mixer.plan()}["reg-pair"] + 5
    only = [e for e in data.examples if not any(own.labelled for own in e.task_examples)]
    assert [example.tasks for example in only] == [{"reg-pair"}] * 5
    method = Distillation(recipe.distill, model)
    method.gold = 1.0  # without gold the teacher alone is the target
    batch = collate(only, model.processor)
    answers = model.eval()(batch.inputs, batch.tasks)
    changed = method.losses({"reg-pair": answers["reg-pair"].loss}, answers, batch, model)
    low, high = model.tasks["reg-pair"].score_range
    errors = (answers["reg-pair"].outputs - batch.tasks["reg-pair"].taught) / (high - low)
    torch.testing.assert_close(changed["reg-pair"], errors.square().mean())


def test_pairs_without_gold_stay_beside_a_rebalanced_task(
    bert: Path, suite: Path, teacher: Path, tmp_path: Path
) -> None:
    tasks = {name: {"rebalance": "undersample"} if name == "cls-text" else {} for name in NAMES}
    recipe = recipe_of(suite, tmp_path, str(teacher), unlabelled="*", pairs=5, tasks=tasks)
    _, data, _ = taught_data(recipe, bert)
    assert sum(not any(own.labelled for own in e.task_examples) for e in data.examples) == 5


def test_a_text_that_cannot_be_rebuilt_from_its_words(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    """A tagger reads words, so it can't read a thin space: such a text is used for its own task only."""
    rows = tiny.records("cls-text", 4)
    rows[2]["text"] = rows[2]["text"].replace(" ", "\u2009", 1)
    tiny.write_rows(suite / "cls-text" / "train.jsonl", rows)
    _, data, _ = taught_data(recipe_of(suite, tmp_path, str(teacher), unlabelled="*"), bert)
    assert all(example.labelled_tasks for example in data.examples)
    [thin] = [
        e for e in data.examples if any(t.task == "cls-text" and t.index == 2 and t.labelled for t in e.task_examples)
    ]
    assert thin.tasks == {"cls-text", "multi-text"}


@pytest.mark.parametrize("view", ["spans", "mask", "markers"])
def test_texts_of_relations_are_those_that_the_view_shows(bert: Path, tmp_path: Path, view: str) -> None:
    names = (f"rel-{view}", "cls-text")
    folder = tiny.write_suite(tmp_path / "suite", names)
    tiny.model(bert, names, max_length=40).save_pretrained(tmp_path / "teacher")
    recipe = recipe_of(folder, tmp_path, str(tmp_path / "teacher"), unlabelled="*")
    loaded = load_suite(folder)
    teaching = teach(loaded, recipe, CPU, lambda line: None)
    model = tiny.model(bert, names, max_length=40)
    data = TrainingData(model.processor, loaded, recipe, teaching=teaching)
    assert set(teaching.unlabelled) == {"cls-text"}  # a text alone has no pair of mentions
    assert all(example.labelled_tasks for example in data.examples)
    assert any(example.tasks == set(names) for example in data.examples)


def test_texts_of_others_are_cut_as_the_taggers_own(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    """A tagger reads its words' first pieces, so that of words cut in another way it would learn what it never tags."""
    rows = tiny.records("tag-drug", 40)
    for row in rows:  # a corpus that leaves hyphens inside words, and a full stop at the end of one
        row["tokens"] = [f"pre-{token}" if token != "." else token for token in row["tokens"]][:-1]
        row["tags"], row["offsets"], at = row["tags"][:-1], [], 0
        for token in row["tokens"]:
            row["offsets"].append([at, at + len(token)])
            at += len(token) + 1
    tiny.write_rows(suite / "tag-drug" / "train.jsonl", rows)
    other = tiny.records("cls-text", 4)
    other[1]["text"] = "milo pre-rimu dasu-vono"
    tiny.write_rows(suite / "cls-text" / "train.jsonl", other)
    _, _, teaching = taught_data(recipe_of(suite, tmp_path, str(teacher), unlabelled="*"), bert)
    words = {" ".join(record["tokens"]) for record in teaching.unlabelled["tag-drug"]}
    assert "milo pre-rimu dasu-vono" in words
    assert "milo pre - rimu dasu - vono" in {" ".join(r["tokens"]) for r in teaching.unlabelled["tag-illness"]}


def test_the_tasks_that_exchange_texts(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = recipe_of(suite, tmp_path, str(teacher), unlabelled=["cls-text", "tag-drug"])
    _, data, teaching = taught_data(recipe, bert)
    assert set(teaching.unlabelled) == {"cls-text", "tag-drug"}
    assert not any("multi-text" in e.tasks and "multi-text" not in e.labelled_tasks for e in data.examples)


def test_outputs_are_computed_once(
    bert: Path, suite: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    recipe = recipe_of(suite, tmp_path, str(teacher))

    def again(**keys: Any) -> Any:
        return teach(load_suite(suite), recipe.model_copy(update=keys), CPU, said.append)

    first = again()
    assert len(said) == 1
    with monkeypatch.context() as patched:
        patched.setattr(teaching_module, "example_outputs", None)
        second = again()
    for name in NAMES:
        assert all((a == b).all() for a, b in zip(first.outputs[name], second.outputs[name], strict=True))
    assert len(said) == 1
    torch.manual_seed(8)
    tiny.model(bert, NAMES, max_length=24).save_pretrained(teacher, overwrite=True)
    other = again()
    assert len(said) == 2
    assert not np.allclose(first.outputs["cls-text"][0], other.outputs["cls-text"][0])
    for path in (tmp_path / "kept").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-3])
    again()
    assert len(said) == 3


def test_several_teachers_are_averaged(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    tiny.model(bert, NAMES, max_length=24).save_pretrained(tmp_path / "second")
    both = [str(teacher), str(tmp_path / "second")]
    loaded = load_suite(suite)
    sides = [
        teach(loaded, recipe_of(suite, tmp_path, {"tag-drug": wanted}), CPU, lambda line: None)
        for wanted in (both[0], both[1], both)
    ]
    outputs = [side.outputs["tag-drug"] for side in sides if side is not None]
    for first, second, mean in zip(*outputs, strict=True):
        np.testing.assert_allclose(mean, (first.astype(np.float32) + second) / 2, atol=1e-3)


def test_invalid_teachers(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    tasks = load_suite(suite).tasks

    def refused(teachers: Any, message: str, **keys: Any) -> None:
        with pytest.raises(InputError, match=message):
            teachers_of(recipe_of(suite, tmp_path, teachers, **keys).distill, tasks)

    refused({"cls-tex": str(teacher)}, r"distill\.teachers: the run has no task 'cls-tex', did you mean 'cls-text'")
    refused(str(tmp_path), "not a biomtl model")
    refused(str(teacher), r"distill\.unlabelled: the run has no task 'hoc'", unlabelled="hoc")
    changed = {"cls-text": tasks["cls-text"].model_copy(update={"labels": ("drug", "none")})}
    with pytest.raises(InputError, match=r"the teacher's labels of cls-text: none, drug, expected drug, none"):
        teachers_of(recipe_of(suite, tmp_path, {"cls-text": str(teacher)}).distill, changed)
    tiny.model(bert, ["cls-pair"], max_length=24).save_pretrained(tmp_path / "other")
    refused(str(tmp_path / "other"), "the teacher has no task of the run, expected one of: cls-pair")
    refused({"cls-text": str(tmp_path / "other")}, "the teacher has no task 'cls-text'")
    heads = {"tag-drug": tiny.head("tag-drug", crf=True)}
    crf = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug")], heads=heads, max_length=24)
    with pytest.raises(InputError, match=r"distill: tag-drug can't be distilled \(a crf"):
        Distillation(recipe_of(suite, tmp_path, str(teacher)).distill, crf)
    crf.add_task(tiny.task("cls-text"))
    tiny.model(bert, ["cls-text"], max_length=24).save_pretrained(tmp_path / "one")  # which doesn't teach the tagger
    assert list(Distillation(recipe_of(suite, tmp_path, [str(tmp_path / "one")]).distill, crf).kinds) == ["cls-text"]
    with pytest.raises(InputError, match=r"distill and r_drop are given, choose one"):
        recipe_of(suite, tmp_path, str(teacher), r_drop=1)
    with pytest.raises(InputError, match=r"distill\.unlabelled labels a text for several tasks, but mixing is batch"):
        recipe_of(suite, tmp_path, str(teacher), unlabelled="*", mixing="batch")


def test_tasks_may_be_named_by_aliases() -> None:
    task = get_task("ddi2013")
    suite = Suite([TaskData(task, {})])
    for tasks in ([], ["ddi"]):
        recipe = make_recipe({"tasks": tasks, "distill": {"teachers": {"ddi": "run"}, "unlabelled": ["DDI", "*"]}})
        named = with_task_names(recipe, suite).distill
        assert named is not None
        assert named.teachers == {"ddi2013": ("run",)}
        assert named.unlabelled == ("ddi2013", "*")


def test_a_refused_teacher_leaves_nothing(bert: Path, suite: Path, tmp_path: Path) -> None:
    path = tiny.write_recipe(tmp_path / "r.yaml", bert, suite, distill={"teachers": str(tmp_path / "none")})
    with pytest.raises(InputError, match="not a biomtl model"):
        train(path, console=Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_accumulation_equals_one_batch(bert: Path, suite: Path, teacher: Path, tmp_path: Path) -> None:
    """Also with texts for which some tasks have no gold."""
    recipe = recipe_of(suite, tmp_path, str(teacher), unlabelled="*", gold_from=0.5, dropout=0.0, max_grad_norm=0)
    model, data, _ = taught_data(recipe, bert)
    configure(model, recipe)
    found = []
    for parts in ([data.examples], [data.examples[:7], data.examples[7:9], data.examples[9:]]):
        gradients = Gradients(model)
        methods = {"distill": Distillation(recipe.distill, model)}
        state = TrainState(model, gradients, Still(), methods=methods)
        optimise(state, model, parts, recipe, make_accelerator(recipe))
        found.append(gradients.found)
    for name in found[0]:
        torch.testing.assert_close(found[1][name], found[0][name], atol=1e-6, rtol=1e-3)
