"""What a recipe says is what is trained, and what is trained is what the recipe says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

import biomtl
import elmo_data
import tiny
from biomtl.custom import TaskDefinition
from biomtl.custom.config import Files
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.suite import Suite, TaskData, load_suite
from biomtl.tasks.head import HeadChoice
from biomtl.training.assemble import IN_PYTHON, assemble, keep_heads, with_task_names
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import load_recipe, make_recipe
from biomtl.training.run import train

SHORT = {"num_train_epochs": 1, "batch_size": 12, "num_threads": 1, "save_strategy": "no", "predict_test": False}


def same_weights(first: MultiTaskModel, second: MultiTaskModel) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(a == b and torch.equal(v, w) for (a, v), (b, w) in pairs)


def test_the_recipe_is_enough(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    path = tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, tasks=["tag-drug", "reg-pair"])
    run = biomtl.train(path, console=Console(quiet=True))
    assert list(run.model.tasks) == ["tag-drug", "reg-pair"]
    assert run.model.processor.max_length == 24
    assert same_weights(run.model, MultiTaskModel.from_pretrained(run.folder))
    assert load_recipe(run.folder / "recipe.yaml") == load_recipe(path)


def test_what_is_passed_in_is_what_is_recorded(encoders: dict[str, Path], small_suite: Path, tmp_path: Path) -> None:
    roberta = encoders["roberta"]
    suite = load_suite(small_suite, ["cls-text", "reg-pair"])
    heads = {"reg-pair": HeadChoice(pairs="apart"), "cls-text": HeadChoice(name="mlp", options={"hidden": 3})}
    model = MultiTaskModel.from_encoder(roberta, suite.tasks, heads=heads, max_length=24, stride=5)
    run = train({**SHORT, "output": str(tmp_path / "run")}, model=model, suite=suite, console=Console(quiet=True))
    recipe = load_recipe(run.folder / "recipe.yaml")
    assert (recipe.encoder, recipe.suite, recipe.heads) == (str(roberta), str(small_suite), "fresh")
    assert (recipe.max_length, recipe.stride) == (24, 5)
    assert {name: options.pairs for name, options in recipe.tasks.items()} == {"cls-text": None, "reg-pair": "apart"}
    assert json.loads((run.folder / "metrics.json").read_text())["provenance"]["encoder"] == str(roberta)
    card = (run.folder / "model" / "README.md").read_text()
    assert "24 word pieces" in card
    assert "MiniLM" not in card
    manifest = json.loads((run.folder / "model" / "manifest.json").read_text())
    assert manifest["provenance"]["encoder"] == str(roberta)
    # The record builds the same kind of model again.
    again = assemble(recipe).model
    assert again.tasks == run.model.tasks
    assert again.choices == run.model.choices
    # A model that was trained is another model: a second run says where it starts.
    second = train({**SHORT, "output": str(tmp_path / "b")}, model=model, suite=suite, console=Console(quiet=True))
    recipe = load_recipe(second.folder / "recipe.yaml")
    assert (recipe.encoder, recipe.heads) == (str(run.folder), "trained")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"max_length": 64}, "max_length is 64 in the recipe, 24 in what was passed in, leave the key out"),
        ({"stride": 2}, "stride is 2 in the recipe, 6 in what"),
        ({"encoder": "elsewhere"}, "encoder is 'elsewhere' in the recipe"),
        ({"heads": "trained"}, "heads is 'trained' in the recipe, 'fresh' in"),
        ({"suite": "sample"}, "suite is 'sample' in the recipe"),
        ({"tasks": ["cls-text"]}, "the suite's task 'reg-pair' is not among the recipe's tasks"),
        ({"tasks": ["cls-text", "reg-pair", "hoc"]}, "no data for task 'hoc', expected one of: cls-text, reg-pair"),
        ({"tasks": {"cls-text": {}, "reg-pair": {"pairs": "apart"}}}, "tasks.reg-pair.pairs is 'apart' in the recipe"),
        ({"tasks": {"cls-text": {}, "reg-pair": {"order": "ba"}}}, "tasks.reg-pair.order is 'ba' in the recipe, 'ab'"),
        (
            {"tasks": {"cls-text": {"head": {"turns": 2}}, "reg-pair": {}}},
            "head_options.turns is 2 in the",
        ),
    ],
)
def test_what_contradicts_is_refused(
    keys: dict[str, Any], said: str, bert: Path, small_suite: Path, tmp_path: Path
) -> None:
    suite = load_suite(small_suite, ["cls-text", "reg-pair"])
    model = MultiTaskModel.from_encoder(bert, suite.tasks, max_length=24)
    with pytest.raises(InputError) as refused:
        train({**SHORT, "output": str(tmp_path / "run"), **keys}, model=model, suite=suite)
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_another_path_to_the_same_folder_is_no_contradiction(
    bert: Path, small_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bert.parent)
    suite = load_suite(small_suite, ["cls-text"])
    model = MultiTaskModel.from_encoder(bert.name, suite.tasks, max_length=24)
    recipe = make_recipe({"encoder": str(bert), "suite": f"{small_suite}/", "max_length": 24})
    assert assemble(recipe, model, suite).recipe.encoder == str(bert)


def test_a_model_without_a_name(bert: Path, small_suite: Path) -> None:
    suite = load_suite(small_suite, ["cls-text"])
    built = MultiTaskModel.from_encoder(bert, suite.tasks, max_length=24)
    model = MultiTaskModel(built.encoder, built.processor, suite.tasks)
    data = Suite(suite.data.values())
    said = assemble(make_recipe({}), model, data).recipe
    assert (said.encoder, said.suite, said.max_length) == (IN_PYTHON, IN_PYTHON, 24)
    said = assemble(make_recipe({"encoder": "my own", "suite": "my own data"}), model, data).recipe
    assert (said.encoder, said.suite) == ("my own", "my own data")


def test_a_model_for_other_data(bert: Path, small_suite: Path) -> None:
    suite = load_suite(small_suite, ["cls-text", "tag-drug"])
    model = MultiTaskModel.from_encoder(bert, [suite.tasks["cls-text"]], max_length=24)
    with pytest.raises(InputError, match=r"no head for task 'tag-drug', model\.add_task\(suite\.tasks\[name\]\)"):
        assemble(make_recipe({}), model, suite)
    turned = suite.tasks["cls-text"].model_copy(update={"labels": ("drug", "none")})
    model = MultiTaskModel.from_encoder(bert, [turned], max_length=24)
    with pytest.raises(InputError, match=r"head for cls-text is for other labels \(in another order\)"):
        assemble(make_recipe({}), model, suite.only(["cls-text"]))


def test_a_model_alone_takes_its_tasks_from_the_recipes_suite(bert: Path, small_suite: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug"), tiny.task("reg-apart")], max_length=24)
    model.keep_tasks(["tag-drug"])
    built = assemble(make_recipe({"suite": str(small_suite)}), model)
    assert built.model is model
    assert list(built.suite.tasks) == list(built.recipe.tasks) == ["tag-drug"]


def test_own_tasks_are_recorded_as_they_are_defined(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for split, seed in (("train", 0), ("dev", 1)):
        tiny.write_rows(tmp_path / f"{split}.jsonl", tiny.records("cls-text", 12, seed))
    definition = TaskDefinition(type="classification", files=Files(train=("train.jsonl",), dev=("dev.jsonl",)))
    suite = load_suite("nowhere", ["mine"], {"mine": definition})
    recipe = {**SHORT, "encoder": str(bert), "max_length": 24, "output": "run"}
    folder = train(recipe, suite=suite, console=Console(quiet=True)).folder
    said = load_recipe(folder / "recipe.yaml").tasks["mine"]
    assert said.type == "classification"
    assert said.files == definition.files.below(tmp_path)  # type: ignore[union-attr]
    other = {"mine": {"type": "classification", "files": {"train": "train.jsonl"}}}
    with pytest.raises(InputError, match="definition of task mine differs from that of the suite"):
        train({**recipe, "output": "b", "tasks": other}, suite=suite)
    same = {"mine": {"type": "classification", "files": {"train": "train.jsonl", "dev": "dev.jsonl"}, "weight": 2}}
    built = assemble(make_recipe({**recipe, "tasks": same}), suite=suite)
    assert built.recipe.tasks["mine"].weight == 2


def test_the_old_call_is_refused_with_the_new_one(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")])
    with pytest.raises(TypeError, match=r"is now biomtl\.train\(recipe, model=model, suite=suite\)"):
        biomtl.train(model, Suite([]), {"output": "runs/mine"})  # type: ignore[arg-type]


def test_trained_heads_by_recipe(small_model: Path, small_suite: Path, bert: Path) -> None:
    start = MultiTaskModel.from_pretrained(small_model)
    keys = {"encoder": str(small_model), "suite": str(small_suite), "tasks": ["tag-drug", "cls-text"]}
    kept = assemble(make_recipe({**keys, "heads": "trained"}))
    assert sorted(kept.model.tasks) == ["cls-text", "tag-drug"]
    assert (kept.recipe.max_length, kept.recipe.stride) == (24, 6)  # as the model was built
    for name in kept.model.tasks:
        pairs = zip(kept.model.head(name).state_dict().values(), start.head(name).state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    fresh = assemble(make_recipe({**keys, "max_length": 24})).model
    weights = zip(fresh.head("cls-text").state_dict().values(), start.head("cls-text").state_dict().values())  # noqa: B905
    assert not all(torch.equal(a, b) for a, b in weights)
    assert all(torch.equal(a, b) for a, b in zip(fresh.encoder.parameters(), start.encoder.parameters(), strict=True))
    with pytest.raises(InputError, match=r"not a biomtl model, expected manifest\.json"):
        assemble(make_recipe({**keys, "encoder": str(bert), "heads": "trained"}))


def test_tasks_by_alias(tmp_path: Path) -> None:
    for name in ("ddi2013", "hoc"):
        place = tmp_path / name
        place.mkdir()
        fields = tiny.TASKS["rel-mask" if name == "ddi2013" else "cls-text"]
        (place / "task.yaml").write_text(yaml.safe_dump({"name": name, **fields}))
    recipe = make_recipe({"tasks": {"hoc": {}, "ddi": {"weight": 2}}, "metric_for_best_model": "ddi"})
    own = with_task_names(recipe, load_suite(tmp_path, list(recipe.tasks)))
    assert {name: options.weight for name, options in own.tasks.items()} == {"hoc": 1, "ddi2013": 2}
    assert own.metric_for_best_model == "ddi2013"
    twice = make_recipe({"tasks": ["ddi", "ddi2013"]})
    with pytest.raises(InputError, match="a task under two names"):
        with_task_names(twice, load_suite(tmp_path, list(twice.tasks)))


def test_heads_that_can_t_be_kept(bert: Path, small_suite: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [tiny.task(n) for n in ("cls-text", "reg-pair")], max_length=24)
    weights = {key: value.clone() for key, value in model.head("cls-text").state_dict().items()}
    suite = load_suite(small_suite, ["cls-text"])
    keep_heads(model, suite)
    assert list(model.tasks) == ["cls-text"]
    assert all(torch.equal(value, weights[key]) for key, value in model.head("cls-text").state_dict().items())

    def with_task(**update: Any) -> Suite:
        entry = suite["cls-text"]
        return Suite([TaskData(entry.task.model_copy(update=update), entry.files)])

    with pytest.raises(InputError, match=r"trained on other labels \(the head lacks more\), expected "):
        keep_heads(model, with_task(labels=("none", "drug", "more")))
    with pytest.raises(InputError, match="head option turns for cls-text, whose trained head was built differently"):
        keep_heads(model, Suite([suite["cls-text"].with_head(HeadChoice(options={"turns": 2}))]))
    with pytest.raises(InputError, match="head mlp for cls-text, whose trained head was built differently"):
        keep_heads(model, Suite([suite["cls-text"].with_head(HeadChoice(name="mlp"))]))
    keep_heads(model, load_suite(small_suite, ["tag-drug"]))  # a task that the model doesn't know yet
    assert list(model.tasks) == ["tag-drug"]


def test_the_order_of_pairs_is_the_recipes_then_the_models(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**SHORT, "encoder": str(bert), "suite": str(small_suite), "max_length": 24, "eval_strategy": "no"}
    told = {"tasks": {"reg-pair": {"order": "ba"}}, "output": str(tmp_path / "a")}
    run = train({**keys, **told}, console=Console(quiet=True))
    assert run.model.tasks["reg-pair"].order == "ba"
    saved = MultiTaskModel.from_pretrained(run.folder)
    assert saved.tasks["reg-pair"].order == "ba"
    start = {**keys, "encoder": str(run.folder), "heads": "trained"}
    again = assemble(make_recipe({**start, "tasks": ["reg-pair"]}))
    assert again.suite.tasks["reg-pair"].order == again.model.tasks["reg-pair"].order == "ba"
    changed = assemble(make_recipe({**start, "tasks": {"reg-pair": {"order": "ab"}}}))
    assert changed.suite.tasks["reg-pair"].order == changed.model.tasks["reg-pair"].order == "ab"
    with pytest.raises(InputError, match="task cls-text: order ba for inputs text"):
        assemble(make_recipe({**keys, "tasks": {"cls-text": {"order": "ba"}}}))


def test_dropout_of_one_head(bert: Path, small_suite: Path) -> None:
    keys = {"encoder": str(bert), "suite": str(small_suite), "max_length": 24, "dropout": 0.3}
    assembly = assemble(make_recipe({**keys, "tasks": {"cls-text": {"dropout": 0.05}, "reg-pair": {}}}))
    configure(assembly.model, assembly.recipe)
    found = {
        name: {module.p for module in assembly.model.head(name).modules() if isinstance(module, torch.nn.Dropout)}
        for name in ("cls-text", "reg-pair")
    }
    assert found == {"cls-text": {0.05}, "reg-pair": {0.3}}


def test_the_first_layers_alone(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    keys = {**SHORT, "encoder": str(bert), "suite": str(small_suite), "tasks": ["cls-text"], "max_length": 24}
    whole = MultiTaskModel.from_encoder(bert, (), max_length=24)
    run = train({**keys, "num_hidden_layers": 1, "output": str(tmp_path / "a")}, console=Console(quiet=True))
    assert run.model.encoder.config.num_hidden_layers == 1  # type: ignore[attr-defined]
    saved = MultiTaskModel.from_pretrained(run.folder)
    kept = {name for name, _ in saved.encoder.named_parameters()}
    assert kept == {name for name, _ in whole.encoder.named_parameters() if ".layer.1." not in name}
    with pytest.raises(InputError, match="num_hidden_layers 9, expected at most the encoder's 2"):
        assemble(make_recipe({**keys, "num_hidden_layers": 9}))
    with pytest.raises(InputError, match="num_hidden_layers cuts the encoder below trained heads"):
        make_recipe({**keys, "num_hidden_layers": 1, "heads": "trained"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer_decay", 0.9),
        ("gradual_thawing", 0.5),
        ("frozen_layers", 1),
        ("gradient_aggregation", "pcgrad"),
        ("smart", {}),
        ("lora", {}),
    ],
)
def test_methods_that_a_frozen_elmo_cannot_take_are_refused_before_data_are_read(
    tmp_path: Path, key: str, value: Any
) -> None:
    keys = {"encoder": str(elmo_data.write_bilm(tmp_path / "bilm")), "suite": str(tmp_path / "nowhere"), key: value}
    said = "lora: the encoder is not a transformer" if key == "lora" else f"{key} with a frozen encoder"
    with pytest.raises(InputError, match=said):
        assemble(make_recipe(keys))
    with pytest.raises(InputError, match="nowhere"):
        assemble(make_recipe({**keys, key: None}))
