"""Trained heads of relation tasks and other data: one view, one set of types, and arguments that follow the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.suite import Suite, TaskData, load_suite
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.relation import RelationArguments
from biomtl.training.assemble import assemble, keep_heads
from biomtl.training.recipe_io import make_recipe

NAMES = ("rel-mask", "rel-spans")
WIDER = {"first": ("drug", "vaccine"), "second": ("illness",)}


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return load_suite(tiny.write_suite(tmp_path / "suite", NAMES))


def changed(suite: Suite, name: str, **update: Any) -> Suite:
    """A task of the suite with other arguments."""
    entry = suite[name]
    assert entry.task.relation is not None
    relation = RelationArguments.model_validate({**entry.task.relation.model_dump(), **update})
    return Suite([TaskData(entry.task.model_copy(update={"relation": relation}), entry.files, entry.head)])


def test_another_view_needs_a_fresh_head(bert: Path, suite: Suite) -> None:
    model = tiny.model(bert, NAMES, max_length=24)
    with pytest.raises(InputError, match="view: markers for rel-spans, whose trained head was built differently"):
        keep_heads(model, Suite([suite["rel-spans"].with_head(HeadChoice(view="markers"))]))
    recipe = make_recipe({"tasks": {"rel-mask": {"view": "markers"}}})
    with pytest.raises(InputError, match=r"tasks\.rel-mask\.view"):
        assemble(recipe, model, suite.only(["rel-mask"]))
    made = assemble(make_recipe({}), model, suite.only(["rel-spans"]))
    assert made.recipe.tasks["rel-spans"].view == "spans"


def test_a_head_with_vectors_of_types_keeps_them(bert: Path, suite: Suite) -> None:
    model = tiny.model(bert, NAMES, max_length=24)
    said = "the model's head for rel-spans was trained on mentions of drug, illness, not drug, vaccine, illness"
    with pytest.raises(InputError, match=said):
        keep_heads(model, changed(suite, "rel-spans", **WIDER))
    said = "not illness, drug: name the same types in the same order"
    with pytest.raises(InputError, match=said):
        keep_heads(model, changed(suite, "rel-spans", first=("illness",), second=("drug",)))


@pytest.mark.parametrize("passed_in", [False, True])
def test_a_model_predicts_with_the_arguments_of_its_data(bert: Path, suite: Suite, passed_in: bool) -> None:
    model: MultiTaskModel = tiny.model(bert, ["rel-mask"], max_length=24)
    data = changed(suite, "rel-mask", **WIDER, masks=("[A]", "[B]"), unit="document", types={"Compound": "drug"})
    if passed_in:
        assemble(make_recipe({}), model, data)
    else:
        keep_heads(model, data)
    relation = model.tasks["rel-mask"].relation
    assert relation is not None
    assert (relation.first, relation.masks, relation.unit) == (("drug", "vaccine"), ("[A]", "[B]"), "document")
    assert relation.type_of("compound") == "drug"


def test_names_of_types_that_a_model_knows_give_way_to_those_of_the_data(bert: Path, suite: Suite) -> None:
    model = tiny.model(bert, ["rel-mask"], max_length=24)  # for which a Medicine is a drug
    for update, expected in (
        ({"types": {"Compound": "drug"}}, {"Compound": "drug", "Medicine": "drug"}),
        ({"types": {"Medicine": "illness"}}, {"Medicine": "illness"}),
        ({"first": ("compound",), "types": {}}, {}),
        ({"first": ("drug", "medicine"), "types": {}}, {}),
    ):
        data = changed(suite, "rel-mask", **update).with_options({}, model.choices, model.tasks)
        assert data.tasks["rel-mask"].relation.types == expected
