"""What older versions saved: the same outputs, losses and predictions today; a killed run ends as it would have."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biomtl.batch import collate, encode_examples
from biomtl.formats import Document, Mention
from biomtl.heads.crf import FORBIDDEN
from biomtl.inference.annotate import Annotator
from biomtl.inference.engines.onnx import OnnxEngine
from biomtl.inference.predict import predict_records
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training.recipe_io import load_recipe
from biomtl.training.run import train

SAVED = Path(__file__).parent / "data" / "saved"
MODELS = ("v1-transformer", "v1-elmo")


def expected(folder: str) -> dict[str, Any]:
    return json.loads((SAVED / folder / "expected.json").read_text(encoding="utf-8"))


def assert_like(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    """The same values, numbers to within the tolerance."""
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=tolerance)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_like(found[key], value, tolerance)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_like(one, other, tolerance)
    else:
        assert found == wanted


@pytest.mark.parametrize("folder", MODELS)
def test_predictions_of_a_saved_model(folder: str) -> None:
    wanted = expected(folder)
    model = MultiTaskModel.from_pretrained(SAVED / folder / "model")
    assert list(model.tasks) == list(wanted["records"])
    assert_like(predict_records(model, wanted["records"]), wanted["predictions"])


@pytest.mark.parametrize("folder", MODELS)
def test_outputs_of_a_saved_model(folder: str) -> None:
    wanted = expected(folder)
    model = MultiTaskModel.from_pretrained(SAVED / folder / "model")
    examples = encode_examples(model.processor, model.tasks, wanted["records"], targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    with torch.inference_mode():
        outputs = model(batch.inputs, batch.tasks)
    for name, answer in outputs.items():
        parts = answer.outputs.split(batch.tasks[name].output_counts)
        for example, part in zip(batch.examples[name], parts, strict=True):
            rows = [[value for value in row if np.isfinite(value)] for row in part.tolist()]
            before = np.array(wanted["outputs"][name][example.index])
            if "crf" in name:  # paths that a CRF's rules forbid now had 30 taken off their scores then
                forbidden = part.numpy() < FORBIDDEN / 2
                assert (before.max(1, keepdims=True) - before)[forbidden].min(initial=30) > 20
                rows = np.where(forbidden, before, part.numpy()).tolist()
            assert_like(rows, before.tolist(), 1e-3)


@pytest.mark.parametrize("folder", MODELS)
def test_losses_of_a_saved_model(folder: str) -> None:
    wanted = expected(folder)
    model = MultiTaskModel.from_pretrained(SAVED / folder / "model")
    examples = encode_examples(model.processor, model.tasks, wanted["records"], targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    model.heads.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_turns"):
            module.drop_turns = 0.0
    with torch.no_grad():
        losses = {name: float(answer.loss) for name, answer in model(batch.inputs, batch.tasks).items()}
    assert_like(losses, wanted["losses"], 1e-3)


def test_predictions_of_an_exported_graph() -> None:
    wanted = expected("v1-transformer")
    model = OnnxEngine(SAVED / "v1-onnx")
    names = ["cls-text", "tag-drug", "san", "reg-apart"]
    assert list(model.tasks) == names
    found = predict_records(model, {name: wanted["records"][name] for name in names})
    assert_like(found, {name: wanted["predictions"][name] for name in names})


def test_a_killed_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SAVED / "v1-run", tmp_path / "v1")
    monkeypatch.chdir(tmp_path / "v1")
    wanted = expected("v1-run")
    recipe = load_recipe(Path("run/recipe.yaml"))
    run = train(recipe, resume=True)
    lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert_like([line.get("losses") for line in lines], wanted["losses"], 1e-3)
    metrics = {
        task: {split: score["value"] for split, score in splits.items()}
        for task, splits in json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["tasks"].items()
    }
    assert_like(metrics, wanted["metrics"])
    found = MultiTaskModel.from_pretrained(run.folder)
    suite = load_suite(recipe.suite)
    gold = {name: suite[name].records("test") for name in found.tasks}
    assert_like(predict_records(found, gold), wanted["predictions"], 1e-3)


OLD_ARGUMENTS = {
    "first": ["drug", "brand", "group", "drug_n", "chemical"],
    "second": ["drug", "brand", "group", "drug_n", "chemical"],
    "masks": ["@DRUG$", "@DRUG$"],
    "overlapping": "@DRUG-DRUG$",
}


@pytest.fixture(params=[None, OLD_ARGUMENTS], ids=["by name", "by its record"])
def old_relations(request: pytest.FixtureRequest, tmp_path: Path) -> MultiTaskModel:
    """A classifier of masked texts from before relation tasks had a type, with its arguments in its record or not."""
    folder = shutil.copytree(SAVED / "v1-transformer" / "model", tmp_path / "model")
    head = (folder / "heads" / "cls-text").rename(folder / "heads" / "ddi2013") / "head.json"
    record = json.loads(head.read_text()) | {"name": "ddi2013"}
    head.write_text(json.dumps(record if request.param is None else record | {"relation": request.param}))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tasks"] = {"ddi2013": manifest["tasks"]["cls-text"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return MultiTaskModel.from_pretrained(folder)


def test_relations_of_a_saved_model(old_relations: MultiTaskModel, tmp_path: Path) -> None:
    assert (old_relations.tasks["ddi2013"].type, old_relations.choices["ddi2013"].view) == ("relation", "mask")
    wanted = expected("v1-transformer")
    masked = wanted["records"]["cls-text"]
    assert_like(predict_records(old_relations, {"ddi2013": masked})["ddi2013"], wanted["predictions"]["cls-text"])
    # A record with its mentions gives what its masked text gives, and so does a document.
    text = "Zalpidine met rimu and dasu."
    mentions = [
        Mention(f"T{i}", "Drug", ((text.index(name), text.index(name) + len(name)),), name)
        for i, name in enumerate(("Zalpidine", "rimu", "dasu"))
    ]
    hidden = ["@DRUG$ met @DRUG$ and dasu.", "@DRUG$ met rimu and @DRUG$.", "Zalpidine met @DRUG$ and @DRUG$."]
    pairs = list(combinations(mentions, 2))
    records = [
        {"id": "1", "text": text, "entities": [{"type": "drug", "start": m.start, "end": m.end} for m in pair]}
        for pair in pairs
    ]
    old = predict_records(old_relations, {"ddi2013": [{"id": "1", "text": shown} for shown in hidden]})["ddi2013"]
    assert_like(predict_records(old_relations, {"ddi2013": records})["ddi2013"], old)
    again = tmp_path / "again"
    old_relations.save_pretrained(again)
    for model in (old_relations, MultiTaskModel.from_pretrained(again)):
        model.tasks["ddi2013"] = model.tasks["ddi2013"].model_copy(update={"negative": None})
        (found,) = Annotator(Predictor(model), keep=True)([Document("d", text, (), tuple(mentions))])
        assert [(r.arguments[0][1], r.arguments[1][1]) for r in found.relations] == [(a.id, b.id) for a, b in pairs]
        probabilities = [float(dict(relation.attributes)["probability"]) for relation in found.relations]
        assert [relation.type for relation in found.relations] == [row["label"] for row in old]
        assert probabilities == pytest.approx([max(row["probabilities"].values()) for row in old], abs=1e-4)
