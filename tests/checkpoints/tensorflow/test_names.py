"""The name map: one list, both directions, over every parameter that a stock BERT has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from biomtl.checkpoints.bert import ARCHITECTURES
from biomtl.checkpoints.tensorflow.names import is_training_only, is_transposed, tf1_name, to_hf, to_tf
from old_checkpoints import bert_variables

PAIRS = [
    ("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight"),
    ("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight"),
    ("bert/encoder/layer_11/attention/self/query/kernel", "bert.encoder.layer.11.attention.self.query.weight"),
    ("bert/encoder/layer_0/output/LayerNorm/beta", "bert.encoder.layer.0.output.LayerNorm.bias"),
    ("bert/pooler/dense/bias", "bert.pooler.dense.bias"),
    ("cls/predictions/output_bias", "cls.predictions.bias"),
    ("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight"),
    ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
    ("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
    ("cls/squad/output_weights", "qa_outputs.weight"),
    ("output_weights", "classifier.weight"),
    ("output_bias", "classifier.bias"),
]


@pytest.mark.parametrize(("tf", "hf"), PAIRS)
def test_both_directions(tf: str, hf: str) -> None:
    assert to_hf(tf) == hf
    assert to_tf(hf) == tf


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_stock_parameter_returns(architecture: str) -> None:
    with torch.device("meta"):
        network = getattr(transformers, architecture)(transformers.BertConfig(num_hidden_layers=11))
    prefix = "bert." if architecture == "BertModel" else ""
    names = [prefix + name for name, _ in network.named_parameters() if ".decoder." not in name]
    assert len({to_tf(name) for name in names}) == len(names)
    for name in names:
        assert to_hf(to_tf(name)) == name
        assert "." not in to_tf(name)


def test_every_tensorflow_variable_returns() -> None:
    for name in bert_variables("mlm", "nsp", "classifier", "squad"):
        assert to_tf(to_hf(name)) == name
        assert not is_training_only(name)


def test_only_kernels_are_transposed() -> None:
    turned = {name.rpartition("/")[2] for name in bert_variables("mlm", "nsp", "classifier") if is_transposed(name)}
    assert turned == {"kernel"}


@pytest.mark.parametrize(
    "name",
    [
        "global_step",
        "loss_scale",
        "bert/pooler/dense/kernel/adam_m",
        "bert/pooler/dense/kernel/adam_v",
        "output_weights/Adam_1",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE",
        "model/bert/pooler/dense/bias/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE",
        "_CHECKPOINTABLE_OBJECT_GRAPH",
    ],
)
def test_training_only(name: str) -> None:
    assert is_training_only(name)


def test_object_based_keys() -> None:
    assert tf1_name("model/bert/pooler/dense/bias/.ATTRIBUTES/VARIABLE_VALUE") == "bert/pooler/dense/bias"
    assert tf1_name("model/bert.Spooler/.ATTRIBUTES/VARIABLE_VALUE") == "bert/pooler"
    assert tf1_name("bert/pooler/dense/bias") == "bert/pooler/dense/bias"


@pytest.mark.parametrize("name", ["plain", "classifier", "partitioned"])
def test_fixtures_names(shared: Path, name: str) -> None:
    variables = json.loads((shared / "fixtures" / "tf_bert" / name / "variables.json").read_text())
    kept = [key for key in variables.get("variables", variables) if not is_training_only(key)]
    assert kept
    assert all(to_tf(to_hf(key)) == key for key in kept)
