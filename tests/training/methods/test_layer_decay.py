"""Which layer a parameter belongs to, in every family; and the rates that follow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import elmo_data
import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.training.methods import make_methods
from biomtl.training.methods.layer_decay import layer_numbers
from biomtl.training.optimiser import build_optimiser, build_schedule, configure, current_rate
from biomtl.training.recipe_io import make_recipe


def model_of(folder: Path) -> MultiTaskModel:
    return MultiTaskModel.from_encoder(folder, [tiny.task("cls-text"), tiny.task("tag-drug")], max_length=24)


def rates_of(model: MultiTaskModel, recipe: Any) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimiser = build_optimiser(model, recipe, make_methods(recipe, model).values())
    return {names[id(weight)]: group["lr"] for group in optimiser.param_groups for weight in group["params"]}


def test_every_family_has_its_layers(encoders: dict[str, Path]) -> None:
    for family, folder in encoders.items():
        encoder = model_of(folder).encoder
        numbers, count = layer_numbers(encoder)
        assert numbers.keys() == dict(encoder.named_parameters()).keys()
        assert count == encoder.config.num_hidden_layers, family
        for name, number in numbers.items():
            inside = re.search(r"\blayers?\.(\d+)\.", name)
            expected = int(inside[1]) + 1 if inside else 0 if "embeddings" in name.split(".")[1] else count
            assert number == expected, f"{family}: {name}"
        assert {0, *range(1, count + 1)} == set(numbers.values()), family


def test_shared_layers_are_one() -> None:
    import transformers

    from biomtl.encoders.transformer import TransformerEncoder

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = transformers.AlbertConfig(**sizes, vocab_size=20, embedding_size=4)
    numbers, count = layer_numbers(TransformerEncoder.from_config(config))
    assert count == 1
    assert {number for name, number in numbers.items() if "embedding" in name} == {0}
    assert {number for name, number in numbers.items() if "albert_layers" in name} == {1}


def test_rates_fall_layer_by_layer(bert: Path) -> None:
    model = model_of(bert)
    layers = model.encoder.config.num_hidden_layers
    recipe = make_recipe({"learning_rate": 1e-3, "head_learning_rate": 1e-2, "layer_decay": 0.5})
    for name, rate in rates_of(model, recipe).items():
        inside = re.search(r"\blayer\.(\d+)\.", name)
        if name.startswith("heads.") or ".pooler." in name:
            assert rate == 1e-2, name
        else:
            assert rate == pytest.approx(1e-3 * 0.5 ** (layers - (int(inside[1]) + 1 if inside else 0))), name
    plain = make_recipe({"learning_rate": 1e-3})
    assert set(rates_of(model, plain).values()) == {1e-3}


def test_the_schedule_scales_every_layer_alike_and_the_log_has_the_full_rate(bert: Path) -> None:
    model = model_of(bert)
    recipe = make_recipe({"learning_rate": 1e-3, "layer_decay": 0.5, "warmup_steps": 0, "max_steps": 4})
    optimiser = build_optimiser(model, recipe, make_methods(recipe, model).values())
    schedule = build_schedule(optimiser, recipe, 4)
    before = [group["lr"] for group in optimiser.param_groups]
    assert current_rate(optimiser.param_groups) == 1e-3
    optimiser.step()
    schedule.step()
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.75 * rate for rate in before])
    assert current_rate(optimiser.param_groups) == pytest.approx(0.75e-3)


def test_a_frozen_encoder_is_refused(bert: Path) -> None:
    model = model_of(bert)
    with pytest.raises(InputError, match="layer_decay with a frozen encoder, expected one that is trained") as e:
        configure(model, make_recipe({"layer_decay": 0.9, "freeze_encoder": True}))
    assert "\n" not in str(e.value)


def test_an_elmo_is_refused_while_frozen_and_has_layers_when_trained(tmp_path: Path) -> None:
    folder = elmo_data.write_bilm(tmp_path / "bilm")
    recipe = make_recipe({"layer_decay": 0.5})
    frozen = MultiTaskModel.from_encoder(folder, [tiny.task("cls-text")])
    with pytest.raises(InputError, match="layer_decay with a frozen encoder"):
        configure(frozen, recipe)
    trained = make_recipe({"layer_decay": 0.5, "freeze_encoder": False})
    configure(frozen, trained)
    numbers, count = layer_numbers(frozen.encoder)
    assert count == len(frozen.encoder.network.layers)
    assert {number for name, number in numbers.items() if ".token." in name} == {0}
    assert {number for name, number in numbers.items() if ".layers." in name} == set(range(1, count + 1))
