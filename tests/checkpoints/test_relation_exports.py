"""Exported relation tasks: as stock folders if a stock class has the head, and as one ONNX graph."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import transformers

import tiny
from annotated import invented
from biomtl.batch import collate, encode_examples
from biomtl.checkpoints.export import export_hf
from biomtl.checkpoints.onnx import export_onnx
from biomtl.errors import InputError
from biomtl.inference.annotate import Annotator
from biomtl.inference.engines.onnx import OnnxEngine
from biomtl.inference.predict import predict_records
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel

VIEWS = ("rel-mask", "rel-markers", "rel-spans")


@pytest.fixture(scope="module")
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    model = tiny.model(bert, (*VIEWS, "tag-drug", "tag-illness"), max_length=20).eval()
    with torch.no_grad():
        for name in ("tag-drug", "tag-illness"):
            for parameter in model.head(name).parameters():
                parameter.mul_(50)
        for name in VIEWS:  # so that no label is always the best
            for parameter in model.head(name).parameters():
                parameter.mul_(3 if name == "rel-spans" else 20)
    return model


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_markers_as_a_stock_token_classifier(encoders: dict[str, Path], family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tiny.model(encoders[family], ["rel-markers"], max_length=60).eval()
    assert export_hf(model, "rel-markers", tmp_path).endswith("ForTokenClassification")
    stock = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    labels = model.tasks["rel-markers"].labels
    assert list(stock.config.id2label.values()) == [f"{side}:{x}" for side in ("first", "second") for x in labels]
    record = tiny.records("rel-markers", 1)
    examples = encode_examples(
        model.processor, model.tasks, {"rel-markers": record}, targets=False, choices=model.choices
    )
    batch = collate(examples, model.processor)
    with torch.inference_mode():
        (expected,) = model(batch.inputs, batch.tasks)["rel-markers"].outputs
        found = stock(**batch.inputs).logits[0]
    first, second = batch.tasks["rel-markers"].word_positions[0, :, 1].tolist()  # type: ignore[index]
    torch.testing.assert_close(found[first, :3] + found[second, 3:], expected, rtol=0, atol=1e-5)


def test_the_readme_says_how_to_read_markers(model: MultiTaskModel, tmp_path: Path) -> None:
    export_hf(model, "rel-markers", tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "pipeline" not in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    said: list[str] = []
    exec(code.replace("THIS FOLDER", str(tmp_path)), {"print": said.append})
    text = "Aspirin enhances the effect of warfarin."
    entities = [
        {"id": name, "type": "drug", "start": text.index(name), "end": text.index(name) + len(name), "text": name}
        for name in ("Aspirin", "warfarin")
    ]
    (expected,) = predict_records(model, {"rel-markers": [{"id": "1", "text": text, "entities": entities}]})[
        "rel-markers"
    ]
    assert said == [expected["label"]]


def test_mask_as_a_stock_classifier(model: MultiTaskModel, tmp_path: Path) -> None:
    assert export_hf(model, "rel-mask", tmp_path).endswith("ForSequenceClassification")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["problem_type"] == "single_label_classification"
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-classification" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "@drug$ enhances the effect of @illness$." in code
    said: list[dict[str, str]] = []
    exec(code.replace("THIS FOLDER", str(tmp_path)), {"print": said.extend})
    (answer,) = said
    assert answer["label"] in model.tasks["rel-mask"].labels


def test_spans_have_no_stock_class(model: MultiTaskModel, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"task rel-spans: view spans, .* train with view: mask or markers, or use --to onnx"
    ):
        export_hf(model, "rel-spans", tmp_path)


@pytest.fixture(scope="module")
def onnx(model: MultiTaskModel, tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    folder = tmp_path_factory.mktemp("graph")
    assert export_onnx(model, list(model.tasks), folder) < 1e-4
    return OnnxEngine(folder)


@pytest.mark.parametrize("name", VIEWS)
def test_a_graph_predicts_like_the_model(model: MultiTaskModel, onnx: OnnxEngine, name: str) -> None:
    # Rows are short, so that some pairs are read from two windows.
    records = tiny.records(name, 24)
    expected, found = (predict_records(m, {name: records}, batch_tokens=200)[name] for m in (model, onnx))
    assert len({round(row["probabilities"]["none"], 3) for row in expected}) > 4
    for one, other in zip(expected, found, strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    (one,), (other,) = (predict_records(m, {name: records[:1]})[name] for m in (model, onnx))
    assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_a_graph_annotates_like_the_model(model: MultiTaskModel, onnx: OnnxEngine) -> None:
    documents = invented(9, 3)
    annotators = [Annotator(Predictor(m)) for m in (model, onnx)]
    plans = [annotator.plan() for annotator in annotators]
    assert "rel-spans (the engine keeps no states)" in str(plans[1])
    assert "rel-spans (" not in str(plans[0])
    found = [list(annotator(documents)) for annotator in annotators]
    one, other = ([[(r.type, r.arguments) for r in d.relations] for d in documents] for documents in found)
    assert one == other
    assert sum(map(len, one)) > 3
