"""Which head a task gets, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from biomtl.encoders.base import Encoded
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.heads.build import build_head
from biomtl.heads.pooler import PoolerNetwork
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import HeadChoice, split_record
from biomtl.tasks.task import Task

RANKING = Task(name="pick", type="ranking", inputs="candidates", metric="mean_reciprocal_rank")
SPAN = Task(name="find", type="span", inputs="pair", metric="span_token_f1")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_regression_starts_at_the_middle(encoders: dict[str, Path], family: str) -> None:
    head = build_head(tiny.task("reg-text"), TransformerEncoder.load(encoders[family]), HeadChoice())
    biases = [m.bias for m in head.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 1]
    assert [bias.item() for bias in biases] == [2.0]


def test_unknown_heads_and_options(bert: Path) -> None:
    encoder, task = TransformerEncoder.load(bert), tiny.task("cls-text")
    with pytest.raises(InputError, match="no head 'sam' for type classification, expected default, mlp, pooler, san"):
        build_head(task, encoder, HeadChoice(name="sam"))
    with pytest.raises(InputError, match=r"options of the default head \(turns\)"):
        build_head(task, encoder, HeadChoice(options={"turns": 2}))
    with pytest.raises(InputError, match="head option turn: "):
        build_head(task, encoder, HeadChoice(name="san", options={"turn": 2}))


@pytest.mark.parametrize("name", ["reg-text", "reg-apart", "multi-text", "tag-drug"])
def test_a_head_that_a_type_does_not_have(bert: Path, name: str) -> None:
    """A SAN head gives log-probabilities of classes: it fits neither scores nor several labels at once nor tags."""
    task, encoder = tiny.task(name), TransformerEncoder.load(bert)
    with pytest.raises(InputError, match=rf"no head 'san' for type {task.type}, expected default, mlp"):
        build_head(task, encoder, HeadChoice(name="san"))
    with pytest.raises(InputError, match=r"options of the default head \(crf\)"):
        build_head(task, encoder, HeadChoice(options={"crf": True}))


@pytest.mark.parametrize("task", [RANKING, SPAN])
def test_missing_heads(bert: Path, task: Task) -> None:
    with pytest.raises(InputError, match=rf"no head 'mlp' for type {task.type}, expected default"):
        build_head(task, TransformerEncoder.load(bert), HeadChoice(name="mlp"))


def test_a_task_specific_pooler(bert: Path) -> None:
    encoder = TransformerEncoder.load(bert)
    head = build_head(tiny.task("cls-text"), encoder, HeadChoice(name="pooler", options={"activation": "relu"}))
    network = head.network
    assert isinstance(network, PoolerNetwork)
    encoded = Encoded(torch.randn(2, 5, encoder.dim), torch.ones(2, 5, dtype=torch.long))
    expected = network.classifier(network.dense(encoded.hidden[:, 0]).relu())
    torch.testing.assert_close(network.eval()(encoded), expected)
    with pytest.raises(InputError, match="head option activation: Input should be 'tanh'"):
        build_head(tiny.task("cls-text"), encoder, HeadChoice(name="pooler", options={"activation": "cosh"}))
    with pytest.raises(InputError, match="a pooler head over texts that are encoded separately"):
        build_head(tiny.task("cls-apart"), encoder, HeadChoice(name="pooler", pairs="apart"))


def test_separate_encoding_is_refused_where_texts_are_read_together(bert: Path) -> None:
    encoder = TransformerEncoder.load(bert)
    with pytest.raises(InputError, match="a SAN head over texts that are encoded separately"):
        build_head(tiny.task("cls-apart"), encoder, HeadChoice(name="san", pairs="apart"))
    with pytest.raises(InputError, match="the question would be encoded separately"):
        build_head(SPAN, encoder, HeadChoice(pairs="apart"))


@pytest.mark.parametrize("options", [{}, {"norm": "layer"}, {"crf": True}])
def test_a_word_without_pieces_is_o_whatever_its_index(bert: Path, options: dict) -> None:
    task = tiny.task("tag-drug").model_copy(update={"labels": ("B-Drug", "I-Drug", "O")})
    choice = HeadChoice(name="mlp", options=options) if options else HeadChoice()
    model = MultiTaskModel.from_encoder(bert, [task], heads={"tag-drug": choice})
    record = {"id": "1", "tokens": ["\u200b", "\u200b"], "offsets": [[0, 1], [2, 3]]}
    assert predict_records(model, {"tag-drug": [record]})["tag-drug"][0]["tags"] == ["O", "O"]


def test_names_of_older_versions() -> None:
    record = {"name": "x", "head": "stack", "head_options": {"reducer": "max", "sequence": "isa"}, "pairs": "apart"}
    own, head = split_record(record)
    choice = HeadChoice.model_validate(head)
    assert own == {"name": "x"}
    assert choice == HeadChoice(name="mlp", options={"seq2vec": "max", "seq2seq": "isa"}, pairs="apart")


@pytest.mark.parametrize("name", ["cls-text", "tag-drug", "reg-pair"])
def test_a_view_is_for_pairs_of_mentions(bert: Path, name: str) -> None:
    choice = HeadChoice(view="spans")
    with pytest.raises(InputError, match=f"task {name}: view spans for type .*, which has no such view, leave it out"):
        MultiTaskModel.from_encoder(bert, [tiny.task(name)], heads={name: choice})
