"""Stock folders, exported and imported: every family and task type, equal logits, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import tiny
from biomtl.checkpoints.convert import convert
from biomtl.checkpoints.export import export_encoder, export_hf
from biomtl.checkpoints.hf import adopt
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.text.transformer import TransformerProcessor

TASKS = ("cls-text", "cls-pair", "reg-pair", "multi-text", "tag-drug")
TEXTS = ["zalpidine rimu korinosis .", "teksa milo dasu"]


def inputs(model: MultiTaskModel) -> dict[str, torch.Tensor]:
    assert isinstance(model.processor, TransformerProcessor)
    return dict(model.processor.tokenizer(TEXTS, ["milo", "suno quari teksa"], padding=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(0)
    return tiny.model(bert, (*TASKS, "cls-apart"), max_length=40).eval()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_logits_are_equal_out_and_in(encoders: dict[str, Path], family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(encoders[family], [tiny.task(name) for name in TASKS], max_length=40).eval()
    for name in TASKS:
        folder = tmp_path / name
        folder.mkdir()
        opens = export_hf(model, name, folder)
        kind = "TokenClassification" if name == "tag-drug" else "SequenceClassification"
        assert opens.endswith(f"For{kind}")
        stock = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(folder).eval()
        convert(folder, tmp_path / f"{name}-in", tasks="back")
        adopted = MultiTaskModel.from_pretrained(tmp_path / f"{name}-in")
        with torch.inference_mode():
            expected = model.logits(name, **inputs(model))
            torch.testing.assert_close(stock(**inputs(model)).logits, expected, rtol=0, atol=1e-6)
            torch.testing.assert_close(adopted.logits("back", **inputs(model)), expected, rtol=0, atol=1e-6)
        task = model.tasks[name]
        assert (adopted.tasks["back"].type, adopted.tasks["back"].labels) == (task.type, task.labels)
        assert tuple(stock.config.id2label.values()) == (task.labels or ("score",))


def test_pipelines_run(model: MultiTaskModel, tmp_path: Path) -> None:
    for name, kind in (("cls-text", "text-classification"), ("tag-drug", "token-classification")):
        export_hf(model, name, (tmp_path / name))
        answers = transformers.pipeline(kind, model=str(tmp_path / name))(TEXTS[0])
        assert answers
        labels = model.tasks[name].labels
        assert all((answer.get("label") or answer["entity"]) in labels for answer in answers)


def test_what_is_written_beside_the_weights(model: MultiTaskModel, tmp_path: Path) -> None:
    export_hf(model, "multi-text", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert config["label2id"] == {"drug": 0, "illness": 1, "milo": 2}
    card = (tmp_path / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "drug, illness, milo" in card
    assert not list(tmp_path.glob("*.bin"))


def test_encoder_alone(model: MultiTaskModel, tmp_path: Path) -> None:
    assert export_encoder(model, tmp_path) == "BertModel"
    network, info = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.inference_mode():
        found = network.eval()(**inputs(model)).last_hidden_state
        torch.testing.assert_close(found, model.encoder(inputs(model)).hidden)
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path)) > 5


def test_heads_that_no_stock_class_has(bert: Path, model: MultiTaskModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="task cls-apart: PairHead"):
        export_hf(model, "cls-apart", tmp_path)
    with pytest.raises(InputError, match="did you mean 'cls-text'"):
        export_hf(model, "cls-txt", tmp_path)
    san = Task(name="nli", inputs="pair", labels=("a", "b"), metric="accuracy")
    heads = {"nli": HeadChoice(name="san")}
    with pytest.raises(InputError, match="task nli: SanNetwork"):
        export_hf(MultiTaskModel.from_encoder(bert, [san], heads=heads, max_length=40), "nli", tmp_path)


def test_adopted_pairs_and_names(model: MultiTaskModel, tmp_path: Path) -> None:
    export_hf(model, "cls-pair", tmp_path / "My NLI!")
    convert(tmp_path / "My NLI!", tmp_path / "one")
    assert list(MultiTaskModel.from_pretrained(tmp_path / "one").tasks) == ["My-NLI"]
    convert(tmp_path / "My NLI!", tmp_path / "two", tasks="nli=pair")
    task = MultiTaskModel.from_pretrained(tmp_path / "two").tasks["nli"]
    assert (task.inputs, task.type) == ("pair", "classification")
    with pytest.raises(InputError, match="NAME or NAME=pair"):
        convert(tmp_path / "My NLI!", tmp_path / "three", tasks="nli=triple")


def test_an_encoder_is_not_a_fine_tuned_model(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a BertModel, expected .*--encoder-only"):
        convert(bert, tmp_path / "out")
    report = convert(bert, tmp_path / "out", encoder_only=True)
    assert report.result == "BertModel"
    assert transformers.AutoModel.from_pretrained(tmp_path / "out")


@pytest.mark.parametrize("named", [[["a"]], {"a": 1}, [None], 3])
def test_architectures_of_the_wrong_type(bert: Path, tmp_path: Path, named: Any) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": named}))
    with pytest.raises(InputError, match="a model without architecture, expected a model"):
        adopt(folder, None)


def test_only_a_bert_becomes_a_tensorflow_checkpoint(encoders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a model of type 'roberta'"):
        convert(encoders["roberta"], tmp_path / "out", target_format="tf")


def test_pickled_weights_are_read_but_never_run(model: MultiTaskModel, tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'touched'}",)

    export_hf(model, "cls-text", tmp_path / "in")
    weights = load_file(tmp_path / "in" / "model.safetensors")
    (tmp_path / "in" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "in" / "pytorch_model.bin")
    convert(tmp_path / "in", tmp_path / "out", tasks="cls")
    with torch.inference_mode():
        found = MultiTaskModel.from_pretrained(tmp_path / "out").logits("cls", **inputs(model))
        torch.testing.assert_close(found, model.logits("cls-text", **inputs(model)))
    torch.save({**weights, "extra": Runs()}, tmp_path / "in" / "pytorch_model.bin")
    with pytest.raises(InputError, match=rf"pytorch_model\.bin: the pickle refers to {os.name}\.system"):
        convert(tmp_path / "in", tmp_path / "again", tasks="cls")
    assert not (tmp_path / "touched").exists()


def test_a_folder_without_tokenizer(bert: Path, tmp_path: Path) -> None:
    source = shutil.copytree(bert, tmp_path / "in")
    for path in source.glob("token*"):
        path.unlink()
    for target in ("hf", "tf"):
        report = convert(source, tmp_path / target, target_format=target, encoder_only=True)
        assert report.lower_case == ""
        assert not list((tmp_path / target).glob("*vocab*"))


def test_inapplicable_options_are_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--vocab, --lower or --cased for format hf"):
        convert(bert, tmp_path / "out", lower=True)
    with pytest.raises(InputError, match="--config for format hf"):
        convert(bert, tmp_path / "out", config=bert / "config.json")


def test_missing_parameters_are_not_made_up(model: MultiTaskModel, tmp_path: Path) -> None:
    export_hf(model, "cls-text", tmp_path / "in")
    weights = load_file(tmp_path / "in" / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, tmp_path / "in" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"no parameter classifier\.bias"):
        convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
