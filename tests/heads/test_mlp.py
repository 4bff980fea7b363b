"""The ``mlp`` head on a transformer and on a biLM's encoder: every option, every task type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import collate, encode_examples
from biomtl.errors import InputError
from biomtl.heads.contrastive import contrastive_loss
from biomtl.heads.mlp import BatchNorm
from biomtl.heads.words import CrfHead
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel


def model_and_batch(
    encoder: Path, name: str, options: dict[str, Any], count: int = 8
) -> tuple[MultiTaskModel, Any, list[dict[str, Any]]]:
    torch.manual_seed(0)
    choice = tiny.head(name).model_copy(update={"name": "mlp", "options": options})
    model = MultiTaskModel.from_encoder(encoder, [tiny.task(name)], heads={name: choice}, max_length=48)
    rows = tiny.records(name, count)
    examples = encode_examples(model.processor, model.tasks, {name: rows}, targets=True, choices=model.choices)
    return model, collate(examples, model.processor), rows


CASES = [
    ("cls-text", {"seq2vec": "max", "norm": "batch", "hidden": 6, "dropout": 0.0}),
    ("cls-text", {"seq2vec": "stkaltlstm", "size": 4, "last_dropout": True, "class_weights": [0.2, 1.8]}),
    ("cls-apart", {"norm": "layer", "hidden": 5, "class_weights": [1.0, 1.0, 2.0]}),
    ("cls-pair", {"seq2vec": "cnn", "size": 3}),
    ("multi-text", {"norm": "batch", "threshold": 0.3, "class_weights": [1.0, 0.5, 1.5]}),
    ("reg-text", {"hidden": 4, "init_std": 0.02}),
    ("reg-apart", {"norm": "batch", "hidden": 6}),
    ("reg-apart", {"compare": "distance", "hidden": 6}),
    ("reg-apart", {"compare": "cosine", "seq2vec": "gru", "size": 4}),
    ("tag-drug", {"norm": "batch", "hidden": 6, "class_weights": [0.5, 2.0, 0.5]}),
    ("tag-drug", {"crf": True, "seq2seq": "isa", "size": 4}),
    ("tag-drug", {"crf": True, "norm": "layer", "last_dropout": True}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_it_learns_saves_and_predicts_the_same_alone_and_in_a_batch(
    name: str, options: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    model, batch, rows = model_and_batch(bert, name, options)
    model.train()
    optimiser = torch.optim.Adam(model.heads.parameters(), lr=0.02)
    history = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = model(batch.inputs, batch.tasks)[name].loss
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
    model, batch, rows = model_and_batch(bert, "tag-drug", {"crf": True, "dropout": 0.0}, 5)
    head, asked = model.head("tag-drug"), batch.tasks["tag-drug"]
    assert isinstance(head, CrfHead)
    torch.nn.init.normal_(head.crf.transitions, std=2)
    model.eval().heads.train()
    answer = model(batch.inputs, batch.tasks)["tag-drug"]
    emissions = answer.outputs.detach().split(asked.output_counts)
    alone = [
        head.crf.loss(part[None], tags[None], torch.ones(1, len(tags)))
        for part, tags in zip(emissions, asked.targets.split(asked.output_counts), strict=True)
    ]
    torch.testing.assert_close(answer.loss, torch.cat(alone).sum() / sum(asked.output_counts))
    again = model.eval()(batch.inputs, batch.tasks)["tag-drug"]
    torch.testing.assert_close(again.loss, answer.loss)  # of the emissions, though the outputs are paths now
    found = predict_records(model, {"tag-drug": rows})["tag-drug"]
    order = [example.index for example in batch.examples["tag-drug"]]
    for index, part in zip(order, emissions, strict=True):
        path = head.crf.decode(part[None], torch.ones(1, len(part)))[0]
        assert found[index]["tags"] == [model.tasks["tag-drug"].labels[tag] for tag in path]


def test_a_crf_head_knows_the_rules_of_its_tags(bert: Path) -> None:
    model, batch, _ = model_and_batch(bert, "tag-drug", {"crf": True}, 5)
    head = model.head("tag-drug")
    assert isinstance(head, CrfHead)
    assert not head.crf.first[2]
    assert head.crf.allowed[:, 2].tolist() == [False, True, True]
    with torch.no_grad():
        head.network.layers[-1].bias.copy_(torch.tensor([0.0, -50.0, 50.0]))  # an inside wherever that may be
    outputs = model.eval()(batch.inputs, batch.tasks)["tag-drug"].outputs.split(batch.tasks["tag-drug"].output_counts)
    assert all(part.argmax(-1).tolist() == [1, *[2] * (len(part) - 1)] for part in outputs)
    batch.tasks["tag-drug"].targets[:] = 2  # as corpora may write it: an inside without a begin
    assert model.train()(batch.inputs, batch.tasks)["tag-drug"].loss < 200


def test_contrastive_loss_of_scores_is_that_of_distances(bert: Path) -> None:
    model, batch, _ = model_and_batch(bert, "reg-apart", {"compare": "distance", "dropout": 0.0}, 4)
    answer = model(batch.inputs, batch.tasks)["reg-apart"]
    distances = 1 - answer.outputs.squeeze(-1) / 4
    torch.testing.assert_close(answer.loss, contrastive_loss(distances, batch.tasks["reg-apart"].targets / 4))


def test_balanced_weights_keep_the_size_of_the_loss(bert: Path) -> None:
    plain, batch, _ = model_and_batch(bert, "cls-text", {"dropout": 0.0})
    even, _, _ = model_and_batch(bert, "cls-text", {"dropout": 0.0, "class_weights": [1.0, 1.0]})
    even.load_state_dict(plain.state_dict())
    losses = [model.eval()(batch.inputs, batch.tasks)["cls-text"].loss for model in (plain, even)]
    torch.testing.assert_close(*losses)


def test_batch_norm_takes_one_row() -> None:
    norm = BatchNorm(3).train()
    alone = norm(torch.ones(1, 3))
    assert torch.isfinite(alone).all()
    norm(torch.randn(5, 3))
    torch.testing.assert_close(norm(alone), norm.eval()(alone))


def test_init_is_normal(bert: Path) -> None:
    model, _, _ = model_and_batch(bert, "cls-text", {"hidden": 300, "init_mean": 1.0, "init_std": 0.01})
    weight = dict(model.head("cls-text").named_parameters())["network.layers.2.weight"]
    assert weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cls-text", {"seq2ve": "max"}, "head option seq2ve: .*did you mean 'seq2vec'"),
        ("cls-text", {"seq2vec": "bow"}, "unknown seq2vec 'bow'"),
        ("cls-text", {"crf": True}, "head option crf for classification"),
        ("cls-text", {"class_weights": [1.0]}, "1 class_weights, expected 2"),
        ("tag-drug", {"crf": True, "class_weights": [1.0, 1.0, 1.0]}, "class_weights for tagging"),
        ("cls-apart", {"compare": "cosine"}, "head option compare for classification"),
        ("tag-drug", {"dropout": 1.0}, "head option dropout"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str, bert: Path) -> None:
    with pytest.raises(InputError, match=message):
        model_and_batch(bert, name, options)
