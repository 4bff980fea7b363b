"""A BERT checkpoint between formats: Hugging Face's names and settings, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig
from transformers.activations import ACT2FN

from biomtl.checkpoints.report import Report
from biomtl.checkpoints.tensorflow.names import to_tf
from biomtl.checkpoints.vocabulary import Vocabulary
from biomtl.errors import InputError
from biomtl.storage.structured import read_json

#: Stock classes and the heads they need; the first match is used. All names have the prefix ``bert.``.
ARCHITECTURES = {
    "BertForSequenceClassification": ("classifier.",),
    "BertForQuestionAnswering": ("qa_outputs.",),
    "BertForPreTraining": ("cls.predictions.", "cls.seq_relationship."),
    "BertForMaskedLM": ("cls.predictions.",),
    "BertForNextSentencePrediction": ("cls.seq_relationship.",),
    "BertModel": (),
}


class Settings(BaseModel):
    """The fields of ``bert_config.json`` that shape the network; others are ignored, as in Google's code."""

    model_config = ConfigDict(extra="ignore")

    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    max_position_embeddings: int = Field(gt=0)
    type_vocab_size: int = Field(gt=0)
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0)
    layer_norm_eps: float = Field(1e-12, gt=0)


@dataclass
class BertCheckpoint:
    """Settings, weights under Hugging Face's names (``bert.…`` and heads), vocabulary, and a report."""

    settings: Settings
    architecture: str
    state: dict[str, Tensor]
    vocabulary: Vocabulary | None
    report: Report

    def config(self, **extra: Any) -> BertConfig:
        """The ``BertConfig``, with the number of labels of its classifier."""
        return make_config(self.settings, self.architecture, _labels(self.architecture, self.state), **extra)


def read_settings(path: Path) -> Settings:
    """A ``bert_config.json`` (or Hugging Face ``config.json``) of a BERT.

    Raises:
        InputError: not JSON, or a field that is missing or impossible.
    """
    return check_settings(read_json(path, "the configuration of a BERT"), path)


def check_settings(value: Any, path: Path) -> Settings:
    """``value`` as settings; ``path`` is the file named in errors."""

    try:
        settings = Settings.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "not a mapping"
        raise InputError(f"{field}: {first['msg']}", path=path, expected="the configuration of a BERT") from error
    if settings.hidden_size % settings.num_attention_heads:
        problem = f"hidden_size {settings.hidden_size} for {settings.num_attention_heads} attention heads"
        raise InputError(problem, path=path, expected="a multiple of the number of heads")
    if settings.hidden_act not in ACT2FN:
        raise InputError(f"hidden_act {settings.hidden_act!r} is unknown", path=path, expected="gelu")
    return settings


def make_config(settings: Settings, architecture: str, labels: int | None = None, **extra: Any) -> BertConfig:
    """The ``BertConfig`` of these settings."""

    if labels is not None:
        extra["num_labels"] = labels
    return BertConfig(architectures=[architecture], **settings.model_dump(), **extra)


def choose_architecture(names: Mapping[str, Any]) -> str:
    """The stock class that keeps the most of these parameters."""
    for architecture, heads in ARCHITECTURES.items():
        if all(any(name.startswith(head) for name in names) for head in heads):
            return architecture
    raise AssertionError("BertModel needs no head")


def expected_shapes(settings: Settings, architecture: str, labels: int | None = None) -> dict[str, tuple[int, ...]]:
    """Every parameter of a stock class and its shape, without tied parameters and buffers."""

    with torch.device("meta"):  # shapes only, nothing is allocated
        network = getattr(transformers, architecture)(make_config(settings, architecture, labels))
    prefix = "bert." if architecture == "BertModel" else ""
    # The decoder shares its weight with the word embeddings and its bias with cls.predictions.bias.
    names = [name for name, _ in network.named_parameters() if not name.startswith("cls.predictions.decoder.")]
    parameters = dict(network.named_parameters())
    return {prefix + name: tuple(parameters[name].shape) for name in names}


def match(
    stored: Mapping[str, tuple[str, tuple[int, ...]]],
    settings: Settings,
    architecture: str,
    where: Path,
    *,
    pooler: bool = True,
) -> tuple[list[str], list[str]]:
    """The parameters that the stock class takes, and those that it has no place for.

    Args:
        stored: name with prefix ``bert.`` to the name in the source and the shape (as Hugging Face has it).
        settings: the settings from the configuration.
        architecture: the stock class.
        where: the checkpoint, for error messages.
        pooler: whether a ``BertModel`` must have a pooler.

    Raises:
        InputError: a parameter is missing or has another shape, or there are more encoder layers than configured.
    """
    labels = stored["classifier.weight"][1][:1] if "classifier.weight" in stored else ()
    expected = expected_shapes(settings, architecture, labels[0] if labels else None)
    parts = {name: shape for name, shape in expected_shapes(settings, "BertModel").items() if "bert.pooler." in name}
    if set(parts) <= set(stored):  # classes such as BertForMaskedLM have none, AutoModel does
        expected |= parts
    elif not pooler:
        expected = {name: shape for name, shape in expected.items() if name not in parts}
    for name, shape in expected.items():
        if name not in stored:
            source = _source_name(name, stored)
            fix = "is it another model's configuration?"
            raise InputError(f"no variable {source}", path=where, expected=f"all of a {architecture}", fix=fix)
        key, have = stored[name]
        if have != shape:
            fix = "does the configuration belong to this checkpoint?"
            by_config = f"{list(shape)} by the configuration"
            raise InputError(f"variable {key}: shape {list(have)}", path=where, expected=by_config, fix=fix)
    for name, (key, _) in stored.items():
        if name not in expected and name.startswith("bert.encoder.layer."):
            layers = f"{settings.num_hidden_layers} encoder layers by the configuration"
            raise InputError(f"variable {key}", path=where, expected=layers, fix="give the right --config FILE")
    return [name for name in stored if name in expected], [name for name in stored if name not in expected]


def write_hf(checkpoint: BertCheckpoint, folder: Path) -> None:
    """Write an ordinary ``save_pretrained`` folder with tokenizer and report; ``folder`` exists and is empty."""

    checkpoint.report.result = checkpoint.architecture
    extra: dict[str, Any] = {"dtype": "float32"}
    if checkpoint.vocabulary is not None:
        extra["pad_token_id"] = checkpoint.vocabulary.pieces.index("[PAD]")
    config = checkpoint.config(**extra)
    config.save_pretrained(folder)
    prefix = "bert." if checkpoint.architecture == "BertModel" else ""
    state = {name.removeprefix(prefix): value.contiguous() for name, value in checkpoint.state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    if checkpoint.vocabulary is not None:
        checkpoint.vocabulary.write_tokenizer(folder, checkpoint.settings.max_position_embeddings)
        checkpoint.report.lower_case = checkpoint.vocabulary.reason
    checkpoint.report.write(folder)


def _labels(architecture: str, state: Mapping[str, Tensor]) -> int | None:
    return len(state["classifier.weight"]) if architecture == "BertForSequenceClassification" else None


def _source_name(name: str, stored: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    """A missing parameter's name in the source's own form."""

    return to_tf(name) if any("/" in key for key, _ in stored.values()) else name
