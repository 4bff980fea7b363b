"""The task-specific layer: the identity at first, then trained, and saved with its head."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import elmo_data
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.checkpoints.export import export_hf
from biomtl.errors import InputError
from biomtl.heads.adapter import ProjectedAttention
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.training.run import train

NAMES = ("cls-text", "tag-drug", "reg-pair", "multi-text")


def outputs(model: MultiTaskModel, count: int = 4) -> dict[str, torch.Tensor]:
    records = {name: tiny.records(name, count) for name in model.tasks}
    examples = encode_examples(model.processor, model.tasks, records, targets=False, choices=model.choices)
    batch = collate(examples, model.processor)
    with torch.no_grad():
        return {name: answer.outputs for name, answer in model.eval()(batch.inputs, batch.tasks).items()}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_it_starts_as_the_identity_and_is_saved_with_its_head(
    encoders: dict[str, Path], family: str, tmp_path: Path
) -> None:
    tasks = [tiny.task(name) for name in NAMES]
    heads = {name: HeadChoice(adapter=12) for name in NAMES}
    model = MultiTaskModel.from_encoder(encoders[family], tasks, heads=heads, max_length=24)
    before = outputs(model)
    with torch.no_grad():
        for name in NAMES:
            adapted = model.head(name).network
            plain = adapted.network
            model.head(name).network = plain
    for name, value in outputs(model).items():
        torch.testing.assert_close(value, before[name])
    model = MultiTaskModel.from_encoder(encoders[family], tasks, heads=heads, max_length=24)
    before = outputs(model)
    with torch.no_grad():
        for name in NAMES:
            model.head(name).network.adapter.up.weight.normal_()
    changed = outputs(model)
    for name in NAMES:
        assert not torch.allclose(changed[name], before[name]), name
    model.save_pretrained(tmp_path / "model")
    for name, value in outputs(MultiTaskModel.from_pretrained(tmp_path / "model")).items():
        torch.testing.assert_close(value, changed[name])
    assert "adapter" not in DEFAULT_HEAD.dump()


def test_padding_is_not_attended_to() -> None:
    torch.manual_seed(0)
    layer = ProjectedAttention(8, 4).eval()
    torch.nn.init.normal_(layer.up.weight)
    hidden, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    found = layer(hidden, mask)
    torch.testing.assert_close(found[:1, :3], layer(hidden[:1, :3], mask[:1, :3]))


def test_a_recipe_sets_and_keeps_it(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    tasks = {"cls-text": {"adapter": 8}, "tag-drug": {}}
    run = train(tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, tasks=tasks))
    assert {name: choice.adapter for name, choice in run.model.choices.items()} == {"cls-text": 8, "tag-drug": 0}
    keys = {
        "encoder": str(run.folder),
        "heads": "trained",
        "suite": str(small_suite),
        "max_length": 24,
        "batch_size": 8,
    }
    keys |= {"tasks": ["cls-text"], "output": str(tmp_path / "on"), "num_train_epochs": 1}
    assert train(keys).model.choices["cls-text"].adapter == 8
    with pytest.raises(InputError, match="adapter: 16 for cls-text, whose trained head was built differently"):
        train({**keys, "output": str(tmp_path / "other"), "tasks": {"cls-text": {"adapter": 16}}})


def test_where_it_is_refused(bert: Path, tmp_path: Path) -> None:
    choice = HeadChoice(adapter=8, pairs="apart")
    with pytest.raises(InputError, match="task reg-apart: an adapter under this head"):
        MultiTaskModel.from_encoder(bert, [tiny.task("reg-apart")], heads={"reg-apart": choice}, max_length=24)
    bilm = elmo_data.write_bilm(tmp_path / "bilm")
    with pytest.raises(InputError, match="task cls-text: an adapter under this head or over this encoder"):
        MultiTaskModel.from_encoder(bilm, [tiny.task("cls-text")], heads={"cls-text": HeadChoice(adapter=8)})
    heads = {"cls-text": HeadChoice(adapter=8)}
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text")], heads=heads, max_length=24)
    with pytest.raises(InputError):
        export_hf(model, "cls-text", tmp_path / "hf")
