"""One ONNX graph with every head: equal to torch on rows of any shape, evaluated, quantised."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import tiny
from biomtl.checkpoints.onnx import export_onnx
from biomtl.errors import InputError
from biomtl.inference.engines.onnx import OnnxEngine
from biomtl.inference.evaluate import evaluate
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.words import WordRule

HYPHENS = WordRule(name="corpus", join=("a|-", "-|a"))
APART = ("cls-apart", "reg-apart")
SAN = Task(name="first", inputs="pair", labels=("a", "b", "c"), metric="accuracy")


@pytest.fixture(scope="module")
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    made = tiny.model(bert, (*tiny.FOUR, *APART), max_length=16)
    made.add_task(SAN, HeadChoice(name="san"))
    made.tasks["tag-drug"] = made.tasks["tag-drug"].model_copy(update={"words": HYPHENS})
    return made.eval()


@pytest.fixture(scope="module")
def exported(model: MultiTaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of all heads; exporting takes seconds, so once for all tests."""
    folder = tmp_path_factory.mktemp("onnx")
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    logger.addHandler(handler)
    assert export_onnx(model, list(model.tasks), folder) < 1e-4
    logger.removeHandler(handler)
    assert said == []  # that torchvision isn't there is nobody's concern
    return folder


def test_words_are_split_as_in_the_model(model: MultiTaskModel, exported: Path) -> None:
    onnx = OnnxEngine(exported)
    assert onnx.tasks["tag-drug"].words == HYPHENS
    text = "pola-rimu, zalpidine-suno."
    one, other = (Predictor(m, tasks=["tag-drug"])(text)["tag-drug"] for m in (model, onnx))
    assert [mention.text for mention in one.mentions or ()] == [mention.text for mention in other.mentions or ()]


@pytest.mark.parametrize(("rows", "positions"), [(1, 5), (4, 33)])
def test_any_shape_equals_torch(model: MultiTaskModel, exported: Path, rows: int, positions: int) -> None:
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    outputs = [output.name for output in session.get_outputs()]
    assert outputs == [*(name for name in model.tasks if name != "first"), "first.logits"]  # `first` is an input's name
    ids = torch.randint(5, 60, (rows, positions))
    segments = (torch.arange(positions) > 2).long().expand(rows, -1).contiguous()
    mask = torch.ones_like(ids)
    mask[0, positions - 1] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments * mask}
    pairs = {"first": np.eye(rows, dtype=np.float32), "second": np.eye(rows, dtype=np.float32)[::-1].copy()}
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()} | pairs)
    for name, value in zip(model.tasks, found, strict=True):
        if name in APART:
            assert value.shape[0] == rows
            continue
        with torch.inference_mode():
            np.testing.assert_allclose(value, model.logits(name, **inputs).numpy(), rtol=0, atol=1e-4)


def test_it_is_evaluated_like_the_model(model: MultiTaskModel, exported: Path, tmp_path: Path) -> None:
    # Rows are short, so that texts take several windows, also those of pairs encoded apart.
    suite = load_suite(tiny.write_suite(tmp_path / "suite", (*tiny.FOUR, *APART)))
    expected = evaluate(model, suite, "dev", resamples=0)
    found = evaluate(OnnxEngine(exported), suite, "dev", resamples=0)
    for name, rows in expected.predictions.items():
        for old, new in zip(rows, found.predictions[name], strict=True):
            kept = {"probabilities", "score"}
            assert {k: v for k, v in old.items() if k not in kept} == {k: v for k, v in new.items() if k not in kept}
            if "score" in old:
                assert new["score"] == pytest.approx(old["score"], abs=1e-4)
        assert found.scores[name].main.value == pytest.approx(expected.scores[name].main.value, abs=1e-5)


def test_eight_bits(model: MultiTaskModel, tmp_path: Path) -> None:
    difference = export_onnx(model, ["cls-text"], tmp_path, int8=True)
    assert 0 < difference < 2
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == ["model.onnx"]
    facts = json.loads((tmp_path / "onnx.json").read_text())
    assert facts["int8"] is True
    assert list(OnnxEngine(tmp_path).tasks) == ["cls-text"]


def test_what_cannot_go(bert: Path, tmp_path: Path) -> None:
    task = Task(name="st", labels=("a", "b"), metric="accuracy")
    model = MultiTaskModel.from_encoder(bert, [task], heads={"st": HeadChoice(name="mlp")}, max_length=40)
    with pytest.raises(InputError, match="task st: classification with MlpTexts"):
        export_onnx(model, ["st"], tmp_path)
    with pytest.raises(InputError, match=r"onnx\.json: no such file"):
        OnnxEngine(tmp_path)


def test_no_path_of_this_machine_is_in_the_graph(exported: Path) -> None:
    content = (exported / "model.onnx").read_bytes()
    assert b".py" not in content


def test_a_predictor_takes_an_engine(model: MultiTaskModel, exported: Path) -> None:
    texts = ["pola zalpidine .", ("rimu .", "rimu .")]
    expected, found = Predictor(model)(texts), Predictor(OnnxEngine(exported))(texts)
    assert [result.keys() for result in found] == [result.keys() for result in expected]
    assert found[0]["tag-drug"].mentions is not None
    assert [m.text for m in found[0]["tag-drug"].mentions] == [m.text for m in expected[0]["tag-drug"].mentions or ()]
    assert found[1]["reg-apart"].score == pytest.approx(expected[1]["reg-apart"].score, abs=1e-4)


def test_a_pair_too_long_for_the_graph_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomtl.inference.engines.onnx.MAX_POSITIONS", 4096)
    engine = OnnxEngine(exported)
    long = "pola rimu . " * 1000
    said = r"task (cls|reg)-apart: a pair of [\d,]+ positions in [\d,]+ windows, expected at most 4,096"
    with pytest.raises(InputError, match=said):
        Predictor(engine, tasks=list(APART))([(long, "rimu .")])
    assert Predictor(engine, tasks=["tag-drug"])(long)["tag-drug"].mentions is not None  # a few windows at a time
