"""The ``stack`` head on a transformer and on a biLM's encoder: every option, every task type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.errors import InputError
from biomtl.heads.contrastive import contrastive_loss
from biomtl.heads.crf import Crf
from biomtl.heads.mlp import BatchNorm, TagStack
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.tasks.task import Task


def stack(name: str, **options: Any) -> Task:
    return tiny.task(name).model_copy(update={"head": "stack", "head_options": options})


def model_and_batch(encoder: Path, task: Task, count: int = 8) -> tuple[MultiTaskModel, Any, list[dict[str, Any]]]:
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(encoder, [task], max_length=48)
    rows = tiny.records(task.name, count)
    examples = encode_examples(model.processor, model.tasks, {task.name: rows}, targets=True)
    return model, collate(examples, model.processor), rows


CASES = [
    ("cls-text", {"reducer": "max", "norm": "batch", "hidden": 6, "dropout": 0.0}),
    ("cls-text", {"reducer": "stkaltlstm", "size": 4, "last_dropout": True, "class_weights": [0.2, 1.8]}),
    ("cls-apart", {"norm": "layer", "hidden": 5, "class_weights": [1.0, 1.0, 2.0]}),
    ("cls-pair", {"reducer": "cnn", "size": 3}),
    ("multi-text", {"norm": "batch", "threshold": 0.3, "class_weights": [1.0, 0.5, 1.5]}),
    ("reg-text", {"hidden": 4, "init_std": 0.02}),
    ("reg-apart", {"norm": "batch", "hidden": 6}),
    ("reg-apart", {"compare": "distance", "hidden": 6}),
    ("reg-apart", {"compare": "cosine", "reducer": "gru", "size": 4}),
    ("tag-drug", {"norm": "batch", "hidden": 6, "class_weights": [0.5, 2.0, 0.5]}),
    ("tag-drug", {"crf": True, "sequence": "isa", "size": 4}),
    ("tag-drug", {"crf": True, "norm": "layer", "last_dropout": True}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_learns_saves_and_predicts_alone_as_in_company(
    name: str, options: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    task = stack(name, **options)
    model, batch, rows = model_and_batch(bert, task)
    model.train()
    optimiser = torch.optim.Adam(model.heads.parameters(), lr=0.02)
    history = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = model.loss(model(batch.inputs, batch.tasks), batch)[name]
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.heads.parameters() if p.grad is not None)
        optimiser.step()
        history.append(loss.item())
    assert min(history[-5:]) < history[0]
    model.save_pretrained(tmp_path / "model")
    again = MultiTaskModel.from_pretrained(tmp_path / "model")
    together, apart = predict_records(model, {name: rows}), predict_records(again, {name: rows}, batch_tokens=1)
    for a, b in zip(together[name], apart[name], strict=True):
        for key in ("label", "labels", "tags"):
            assert a.get(key) == b.get(key)
        assert a.get("score", 0) == pytest.approx(b.get("score", 0), abs=1e-4)
        assert 0 <= a.get("score", 0) <= 4 or options.get("compare") == "distance"


def test_crf_decodes_the_best_path_and_learns_its_likelihood(bert: Path) -> None:
    task = stack("tag-drug", crf=True, dropout=0.0)
    model, batch, rows = model_and_batch(bert, task, 5)
    head = model.head("tag-drug")
    assert isinstance(head, TagStack)
    assert isinstance(head.crf, Crf)
    torch.nn.init.normal_(head.crf.transitions, std=2)
    model.train()
    sizes = batch.tasks["tag-drug"].output_counts.tolist()
    emissions = model(batch.inputs, batch.tasks)["tag-drug"].detach()
    loss = model.loss({"tag-drug": emissions}, batch)["tag-drug"]
    gold = batch.tasks["tag-drug"].targets.split(sizes)
    alone = [
        head.crf.loss(part[None], tags[None], torch.ones(1, len(tags)))
        for part, tags in zip(emissions.split(sizes), gold, strict=True)
    ]
    torch.testing.assert_close(loss, torch.cat(alone).sum() / sum(sizes))
    found = predict_records(model, {"tag-drug": rows})["tag-drug"]
    head.training = True  # raw emissions; everything below it stays as it predicts
    raw = model(batch.inputs, batch.tasks)["tag-drug"].detach().split(sizes)
    order = [example.index for example in batch.examples["tag-drug"]]
    for index, part in zip(order, raw, strict=True):
        path = head.crf.decode(part[None], torch.ones(1, len(part)))[0]
        assert found[index]["tags"] == [task.labels[tag] for tag in path]


def test_contrastive_loss_of_scores_is_that_of_distances(bert: Path) -> None:
    task = stack("reg-apart", compare="distance", dropout=0.0)
    model, batch, _ = model_and_batch(bert, task, 4)
    scores = model(batch.inputs, batch.tasks)["reg-apart"]
    distances = 1 - scores.squeeze(-1) / 4
    wanted = contrastive_loss(distances, batch.tasks["reg-apart"].targets / 4)
    torch.testing.assert_close(model.loss({"reg-apart": scores}, batch)["reg-apart"], wanted)


def test_balanced_weights_leave_the_size_of_the_loss(bert: Path) -> None:
    plain, batch, _ = model_and_batch(bert, stack("cls-text", dropout=0.0))
    even, _, _ = model_and_batch(bert, stack("cls-text", dropout=0.0, class_weights=[1.0, 1.0]))
    even.load_state_dict(plain.state_dict())
    values = plain(batch.inputs, batch.tasks)
    torch.testing.assert_close(plain.loss(values, batch)["cls-text"], even.loss(values, batch)["cls-text"])


def test_batch_norm_takes_one_row() -> None:
    norm = BatchNorm(3).train()
    alone = norm(torch.ones(1, 3))
    assert torch.isfinite(alone).all()
    norm(torch.randn(5, 3))
    torch.testing.assert_close(norm(alone), norm.eval()(alone))


def test_init_is_normal(bert: Path) -> None:
    model, _, _ = model_and_batch(bert, stack("cls-text", hidden=300, init_mean=1.0, init_std=0.01))
    weight = dict(model.head("cls-text").named_parameters())["layers.2.weight"]
    assert weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cls-text", {"reducr": "max"}, "head option reducr: .*did you mean 'reducer'"),
        ("cls-text", {"reducer": "bow"}, "unknown sequence reducer 'bow'"),
        ("cls-text", {"crf": True}, "head option crf for classification"),
        ("cls-text", {"class_weights": [1.0]}, "1 class_weights, expected 2"),
        ("tag-drug", {"crf": True, "class_weights": [1.0, 1.0, 1.0]}, "class_weights for tagging"),
        ("cls-apart", {"compare": "cosine"}, "head option compare for classification"),
        ("tag-drug", {"dropout": 1.0}, "head option dropout"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str, bert: Path) -> None:
    with pytest.raises(InputError, match=message):
        MultiTaskModel.from_encoder(bert, [stack(name, **options)], max_length=48)
