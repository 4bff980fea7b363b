"""Any Hugging Face encoder, with the family's own heads.

The heads come from the family's own ``AutoModelForSequenceClassification`` and ``AutoModelForTokenClassification``
classes, with a stub in place of the encoder. So a head has exactly the family's shape (pooler, dense layer,
activation, dropout) and can be saved as an ordinary stock model.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from biomtl.encoders.base import Encoded, Encoder, RowNetwork
from biomtl.encoders.lora import without_lora
from biomtl.errors import BiomtlError, InputError
from biomtl.pretrained import ENCODER_HALVES, layers_of, load_network, quiet
from biomtl.storage.structured import read_json
from biomtl.text.levitated import GROUPS, POSITIONS, attention

_TRANSFORMERS_4 = transformers.__version__.startswith("4.")
_MARKED_FAMILIES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
MARKED_FAMILIES = _MARKED_FAMILIES if _TRANSFORMERS_4 else ("albert", *_MARKED_FAMILIES)
"""Families whose attention takes a mask for each pair of positions, and positions in any order.

Others place pieces by their distance in the row (DeBERTa, MPNet) or make masks of their own (ModernBERT, Longformer;
ALBERT in transformers 4).
"""


class TransformerEncoder(Encoder):
    """A ``PreTrainedModel`` without its head."""

    kind: ClassVar[str] = "transformer"

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.config = network.config
        self.dim = int(network.config.hidden_size)
        self.takes_markers = self.family in MARKED_FAMILIES

    @classmethod
    def load(cls, name: str | Path, layers: int | None = None) -> TransformerEncoder:
        """The encoder of a folder or hub name, in float32.

        Args:
            name: the folder or hub name.
            layers: keep only so many of its first layers.

        Raises:
            InputError: nothing that can be loaded, weights that leave part of the encoder random, a model with a
                decoder whose encoder has no class of its own, or fewer layers than wanted.
        """
        try:
            _check_weights(Path(name))
            network, missing = load_network(name, **_layers(name, layers))
            _check_complete(name, missing)
            _refuse_decoder(name, network.config)
        except BiomtlError:
            raise
        except Exception as error:  # for a broken folder, the underlying libraries may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"no encoder could be loaded ({reason})",
                path=name,
                expected="a folder with config.json and model.safetensors, or a hub name",
                fix=f"if the hub has only pickled weights of it, run `biomtl convert hub:{name} FOLDER`; "
                "convert other formats with `biomtl convert`",
            ) from error
        return cls(network)

    @classmethod
    def from_config(cls, config: Any) -> TransformerEncoder:
        """A randomly initialised encoder of a configuration, for tests and for pre-training from scratch."""

        return cls(AutoModel.from_config(config))

    @property
    def family(self) -> str:
        """The configuration's ``model_type``."""
        return str(self.config.model_type)

    @property
    def max_positions(self) -> int | None:
        """The longest row that the position embeddings allow; ``None`` if there is no limit."""
        limit = getattr(self.config, "max_position_embeddings", None)
        return None if limit is None or limit <= 0 else limit - self._first_position

    @property
    def _first_position(self) -> int:
        """The number of a row's first position: RoBERTa and others count from the padding id, as their table shows."""
        table = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)
        return 0 if padding is None else int(padding) + 1

    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """``input_ids``, ``attention_mask``, maybe ``token_type_ids`` and markers, each [rows, positions]."""
        accepted = self._with_markers(inputs) if GROUPS in inputs else inputs
        if "token_type_ids" in inputs and (getattr(self.config, "type_vocab_size", 0) or 0) < 2:
            # A tokenizer that isn't the family's own may number the two texts for an encoder that can't be told.
            accepted = {name: value for name, value in accepted.items() if name != "token_type_ids"}
        output = self.network(**accepted)
        pooled = getattr(output, "pooler_output", None)
        return Encoded(output.last_hidden_state, inputs["attention_mask"], pooled, inputs.get("token_type_ids"))

    def _with_markers(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's inputs, where some positions are markers (see `text.levitated`)."""
        seen = attention(inputs["attention_mask"], inputs[GROUPS])
        if _TRANSFORMERS_4:  # takes ones and zeros without an axis for heads
            seen = seen[:, 0].to(inputs["attention_mask"].dtype)
        elif self.config._attn_implementation != "sdpa":  # adds the mask to its scores
            seen = torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, torch.finfo(torch.float32).min)
        accepted = {name: value for name, value in inputs.items() if name != GROUPS}
        return {**accepted, "attention_mask": seen, POSITIONS: inputs[POSITIONS] + self._first_position}

    def sequence_head(self, labels: int) -> RowNetwork:
        """The head of the family's sequence classifier; over the encoder half of a family with a decoder, a mean.

        Their own classifiers read the decoder.
        """
        if self.config.model_type in ENCODER_HALVES:
            return MeanHead(self.dim, labels, _dropout(self.config))
        return StockHead("AutoModelForSequenceClassification", self.config, labels)

    def token_head(self, labels: int) -> RowNetwork:
        """The head of the family's token classifier; a linear layer where the family has none."""
        if self.config.model_type in ENCODER_HALVES and not _has_token_classifier(self.config):
            return WordHead(self.dim, labels, _dropout(self.config))
        return StockHead("AutoModelForTokenClassification", self.config, labels)

    def save(self, folder: Path) -> None:
        """An ordinary ``save_pretrained`` folder."""
        with quiet():
            without_lora(self.network).save_pretrained(folder)

    def gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass."""
        options = {"use_reentrant": False}
        if hasattr(self.network, "activation_checkpointing_enable"):
            self.network.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
        else:  # its name in transformers 4
            self.network.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


class MeanHead(RowNetwork):
    """Dropout and a linear layer over the mean of a row's states."""

    traceable: ClassVar[bool] = True

    def __init__(self, dim: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, labels)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]``."""
        return self.classifier(self.dropout(encoded.mean()))


class WordHead(MeanHead):
    """The same over every position's state."""

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, positions, labels]``."""
        return self.classifier(self.dropout(encoded.hidden))


def _dropout(config: Any) -> float:
    return float(getattr(config, "dropout_rate", 0.1))


def _has_token_classifier(config: Any) -> bool:
    return type(config) in transformers.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING


class StockHead(RowNetwork):
    """The head of a stock class over hidden states that were computed elsewhere.

    Args:
        auto_class: name of the ``AutoModelFor…`` class whose head is wanted.
        config: the encoder's configuration.
        labels: outputs of the last layer.
    """

    traceable: ClassVar[bool] = True

    def __init__(self, auto_class: str, config: Any, labels: int) -> None:

        super().__init__()
        config = copy.deepcopy(config)
        config.num_labels = labels
        try:
            with torch.device("meta"):  # the encoder inside is thrown away: never allocate it
                stock = getattr(transformers, auto_class).from_config(config)
        except Exception as error:  # for settings that only a head reads, transformers may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            problem = f"no {auto_class} can be made of the encoder's configuration ({reason})"
            raise InputError(problem, path=getattr(config, "_name_or_path", "") or None) from error
        setattr(stock, stock.base_model_prefix, _Stub())
        stock.to_empty(device="cpu")
        # Parts first, as the families do: ModernBERT's head chooses other weights for its layers than any layer has.
        stock.apply(lambda module: None if isinstance(module, _Stub) else stock._init_weights(module))
        self.stock = stock
        # XLNet's classifier reads the last position, after padding on the left; ours is on the right.
        self.reads_last = "Sequence" in auto_class and getattr(config, "summary_type", "") == "last"

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]`` or ``[rows, positions, labels]``."""
        if self.reads_last:
            rows, last = torch.arange(len(encoded.mask), device=encoded.mask.device), encoded.mask.sum(1) - 1
            encoded = Encoded(encoded.hidden[rows, last][:, None], encoded.mask[:, :1])
        stub = getattr(self.stock, self.stock.base_model_prefix)
        stub.encoded = encoded
        try:
            # Ids are only looked at for their shape; the stub answers with the hidden states.
            return self.stock(input_ids=encoded.mask, attention_mask=encoded.mask).logits
        finally:
            stub.encoded = None

    def stock_model(self) -> Any:
        """The family's class."""
        return self.stock


class _Stub(nn.Module):
    """Replaces the stock model's encoder and returns the hidden states of the shared encoder."""

    encoded: Encoded | None = None

    def forward(self, *_: Any, **__: Any) -> Any:
        assert self.encoded is not None
        return _output()(last_hidden_state=self.encoded.hidden, pooler_output=self.encoded.pooled)


@cache
def _output() -> type:

    class Output(BaseModelOutputWithPooling):
        """Hidden states, and ``None`` for other outputs of a family's encoder (such as XLNet's memories)."""

        def __getattr__(self, name: str) -> None:
            return None

    return Output


def _layers(name: str | Path, layers: int | None) -> dict[str, Any]:
    """The setting that keeps the first layers of a model.

    Raises:
        InputError: it has fewer, or its configuration doesn't say how many.
    """
    if layers is None:
        return {}
    have = layers_of(name)
    if layers > have:
        raise InputError(f"num_hidden_layers {layers}", path=name, expected=f"at most the encoder's {have}")
    return {"num_hidden_layers": layers}


def _refuse_decoder(name: str | Path, config: Any) -> None:
    """Refuse models that need a decoder's input too."""
    if getattr(config, "is_encoder_decoder", False) and config.model_type not in ENCODER_HALVES:
        problem = f"a {config.model_type} with a decoder"
        halves = ", ".join(ENCODER_HALVES)
        raise InputError(problem, path=name, expected=f"an encoder, such as a BERT, or one of {halves} (their encoder)")


def _check_complete(name: str | Path, missing: Collection[str]) -> None:
    """Refuse weights that lack tensors, which transformers would draw at random.

    A pooler may be lacking from an encoder to start from (pre-training often leaves it out), not from a saved model.
    """
    saved = (Path(name) / "manifest.json").is_file()
    lacking = sorted(key for key in missing if saved or "pooler" not in key)
    if lacking:
        problem = f"the weights lack {len(lacking)} of the encoder's tensors ({lacking[0]}, …)"
        raise InputError(
            problem, path=name, expected="the weights that belong to config.json", fix="copy the folder again"
        )


def _check_weights(folder: Path) -> None:
    """Refuse a folder with only pickled weights, and say what to do."""
    if not folder.is_dir():
        return
    if any(folder.glob("*.safetensors")) or (folder / "model.safetensors.index.json").is_file():
        return
    if (folder / "pytorch_model.bin").is_file():
        raise InputError(
            "only pickled weights (pytorch_model.bin)",
            path=folder,
            expected="model.safetensors",
            fix=f"run `biomtl convert {folder} NEW --encoder-only`",
        )
    config = folder / "config.json"
    if not config.is_file():
        raise InputError("no config.json", path=folder, expected="an encoder in save_pretrained form")
    model_type = read_json(config, "an encoder's configuration").get("model_type")
    raise InputError("no model.safetensors", path=folder, expected=f"the weights of this {model_type} encoder")
