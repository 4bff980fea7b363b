"""A vector per layer of whole texts and pairs, or the encoder's pooled vector, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomtl.batch import EncodedExample
from biomtl.encoders import load_processor
from biomtl.encoders.elmo.weights import is_elmo
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.embed import SENTENCES_AT_ONCE, Pooling, chosen_layers, encoder_name
from biomtl.inference.predict import BATCH_TOKENS, length_batches
from biomtl.text.base import TextInput, TextProcessor

Of = Literal["text", "pooled"]


def embed_texts(
    model: str | Path,
    texts: Iterable[Sequence[str]],
    *,
    of: Of = "text",
    pooling: Pooling = "first",
    layers: Sequence[int] | None = None,
    bf16: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """Vectors of texts or pairs, in the given order: ``[layers, dim]``, or ``[dim]`` of the pooled output.

    A text longer than the encoder allows becomes windows, whose vectors are averaged, as heads do.

    Args:
        model: a transformer's folder or hub name, or a biomtl model or run folder.
        texts: one or two texts each; read as needed.
        of: ``text``, a vector of each layer, or ``pooled``, the output of the encoder's own pooler.
        pooling: a layer's vector of its first position (``[CLS]``), or the mean over all positions.
        layers: their numbers, 0 for the embeddings, -1 for the last; default all.
        bf16: compute in bfloat16.

    Raises:
        InputError: an ELMo, an encoder without a pooler, or a layer that it doesn't have.
    """
    name = encoder_name(model)
    if is_elmo(name):
        fix = "embed its words, and take their mean"
        raise InputError("vectors of whole texts from an ELMo", path=name, expected="a transformer", fix=fix)
    encoder = TransformerEncoder.load(name)
    numbers = chosen_layers(layers, encoder.config.num_hidden_layers + 1, name)
    if of == "pooled" and getattr(encoder.network, "pooler", None) is None:
        raise InputError("no pooler", path=name, expected="an encoder with one, such as a BERT", fix="use --of text")
    processor = load_processor(name, encoder.max_positions or 512, None)
    return _stream(encoder.network.eval(), processor, texts, of, pooling, numbers, bf16)


def _stream(
    network: Any,
    processor: TextProcessor,
    texts: Iterable[Sequence[str]],
    of: Of,
    pooling: Pooling,
    layers: Sequence[int],
    bf16: bool,
) -> Iterator[NDArray[np.float32]]:
    stream = iter(texts)
    while window := list(islice(stream, SENTENCES_AT_ONCE)):
        encoded = processor.encode([TextInput(tuple(given)) for given in window])
        vectors: list[NDArray[np.float32] | None] = [None] * len(window)
        for chosen in length_batches([EncodedExample(text.rows) for text in encoded], BATCH_TOKENS):
            rows = iter(_rows(network, processor, [row for i in chosen for row in encoded[i].rows], of, pooling, bf16))
            for i in chosen:
                mean = torch.stack(list(islice(rows, len(encoded[i].rows)))).mean(0)
                vectors[i] = (mean if of == "pooled" else mean[list(layers)]).numpy()
        yield from (value for value in vectors if value is not None)


@torch.inference_mode()
def _rows(
    network: Any, processor: TextProcessor, rows: list[Any], of: Of, pooling: Pooling, bf16: bool
) -> Iterable[Tensor]:
    """Each row's vectors: ``[layers, dim]`` or ``[dim]``."""
    inputs = processor.collate(rows)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        output = network(**inputs, output_hidden_states=True)
    if of == "pooled":
        return output.pooler_output.float()
    states = torch.stack([state.float() for state in output.hidden_states]).transpose(0, 1)
    if pooling == "first":
        return states[:, :, 0]
    mask = inputs["attention_mask"][:, None, :, None].float()
    return (states * mask).sum(2) / mask.sum(2)
