"""Task-specific low-rank adapters: no effect at first, then an encoder of its own for the task, alone or exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from rich.console import Console

import elmo_data
import tiny
from biomtl.batch import Batch, collate, encode_examples
from biomtl.checkpoints.export import export_hf
from biomtl.checkpoints.merge import merge
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.training.optimiser import configure
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train

NAMES = ("cls-text", "tag-drug", "reg-pair")
OWN = ("tag-drug", "reg-pair")


def batch_of(model: MultiTaskModel, count: int = 4) -> Batch:
    records = {name: tiny.records(name, count) for name in model.tasks}
    examples = encode_examples(model.processor, model.tasks, records, targets=False, choices=model.choices)
    return collate(examples, model.processor)


def outputs(model: MultiTaskModel, rows_at_once: int | None = None) -> dict[str, torch.Tensor]:
    batch = batch_of(model)
    with torch.no_grad():
        found = model.eval()(batch.inputs, batch.tasks, rows_at_once)
    return {name: answer.outputs for name, answer in found.items()}


def adapted(encoder: Path, *, trained: bool = True) -> MultiTaskModel:
    torch.manual_seed(0)
    heads = {name: HeadChoice(lora=2) for name in OWN}
    model = MultiTaskModel.from_encoder(encoder, [tiny.task(n) for n in NAMES], heads=heads, max_length=24)
    with torch.no_grad():
        for name in OWN if trained else ():
            for weight in model.head(name).lora.up:
                weight.normal_(std=0.3)
    return model.eval()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_each_task_has_its_own(encoders: dict[str, Path], family: str, tmp_path: Path) -> None:
    model = adapted(encoders[family], trained=False)
    adapters = {name: model.head(name).lora for name in OWN}
    before = outputs(model)
    for name in OWN:
        model.head(name).lora = None
    for name, value in outputs(model).items():  # B is zero
        torch.testing.assert_close(value, before[name])
    for name in OWN:
        model.head(name).lora = adapters[name]
    model = adapted(encoders[family])
    changed = outputs(model)
    torch.testing.assert_close(changed["cls-text"], before["cls-text"])
    for name in OWN:
        assert not torch.allclose(changed[name], before[name]), name
    for name, value in outputs(model, rows_at_once=2).items():
        torch.testing.assert_close(value, changed[name], atol=1e-5, rtol=1e-4)
    model.save_pretrained(tmp_path / "model")
    saved = MultiTaskModel.from_pretrained(tmp_path / "model")
    for name, value in outputs(saved).items():
        torch.testing.assert_close(value, changed[name])
    assert "lora" not in DEFAULT_HEAD.dump()

    # An export has them in its weights.
    (tmp_path / "hf").mkdir()
    export_hf(saved, "tag-drug", tmp_path / "hf")
    stock = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "hf").eval()
    given = dict(model.processor.tokenizer(["zalpidine rimu korinosis ."], return_tensors="pt"))  # type: ignore[attr-defined]
    with torch.inference_mode():
        torch.testing.assert_close(stock(**given).logits, model.logits("tag-drug", **given), atol=1e-5, rtol=1e-4)


def test_one_graph_for_all(bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from biomtl.checkpoints.onnx import export_onnx
    from biomtl.inference.engines.onnx import OnnxEngine

    model = adapted(bert)
    assert export_onnx(model, list(NAMES), tmp_path) < 1e-4
    records = {name: tiny.records(name, 4) for name in NAMES}
    assert predict_records(OnnxEngine(tmp_path), records)["tag-drug"] == predict_records(model, records)["tag-drug"]


def test_a_run_with_shared_and_own_ones(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    keys: dict[str, Any] = {"lora": {"rank": 2}, "learning_rate": 1e-2, "max_length": 24, "suite": str(small_suite)}
    keys |= {"tasks": {"cls-text": {}, "tag-drug": {"lora": 3}, "multi-text": {"lora": 2}}, "encoder": str(bert)}
    keys |= {"gradient_aggregation": "pcgrad"} if _has_torchjd() else {}
    keys |= {"output": str(tmp_path / "run"), "batch_size": 8, "num_train_epochs": 2}
    run = train(keys, console=Console(quiet=True))
    saved = MultiTaskModel.from_pretrained(run.folder)
    for name, value in outputs(saved).items():
        torch.testing.assert_close(value, outputs(run.model)[name])
    own = saved.head("tag-drug").lora
    assert own is not None
    assert own.down[0].shape[0] == 3
    assert all(weight.abs().sum() > 0 for weight in own.up)
    assert not any("lora" in name for name in saved.encoder.state_dict())
    again = train({**keys, "encoder": str(run.folder), "heads": "trained", "output": str(tmp_path / "on")})
    assert again.model.choices["tag-drug"].lora == 3


def _has_torchjd() -> bool:
    try:
        import torchjd  # noqa: F401
    except ImportError:
        return False
    return True


def test_what_is_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="task cls-text: lora: the encoder is not a transformer"):
        MultiTaskModel.from_encoder(
            elmo_data.write_bilm(tmp_path / "bilm"), [tiny.task("cls-text")], heads={"cls-text": HeadChoice(lora=2)}
        )
    for key, value in (("smart", {}), ("gradient_checkpointing", True)):
        with pytest.raises(InputError, match=rf"{key} and tasks.cls-text.lora are given, choose one"):
            make_recipe({key: value, "tasks": {"cls-text": {"lora": 2}}})
        with pytest.raises(InputError, match=r"leave .* or tasks.NAME.lora out"):  # a trained head brings them
            configure(adapted(bert), make_recipe({key: value}))
    for place in ("one", "two"):
        adapted(bert).save_pretrained(tmp_path / place)
    with pytest.raises(InputError, match="task tag-drug's own low-rank adapters, which can't be averaged"):
        merge([tmp_path / "one", tmp_path / "two"])
