"""Word vectors of every layer, from any encoder, as a stream of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from biomtl.batch import EncodedExample
from biomtl.encoders import load_processor, verify_encoder
from biomtl.encoders.elmo.encode import encode
from biomtl.encoders.elmo.weights import is_elmo, load_elmo
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import BATCH_TOKENS, Advance, length_batches
from biomtl.model import MANIFEST, model_folder
from biomtl.packaged import resolve_encoder
from biomtl.storage.files import atomic_file
from biomtl.text.alignment import word_positions
from biomtl.text.base import EncodedText, Span, TextInput, TextProcessor

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["first", "mean"]
SENTENCES_AT_ONCE = 512  # sentences sorted by length together


def embed(
    model: str | Path,
    sentences: Iterable[Sequence[str]],
    *,
    pooling: Pooling = "first",
    layers: Sequence[int] | None = None,
    bf16: bool = False,
    stateful: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """Every layer's word vectors of tokenised sentences, ``[layers, words, dim]`` each, in the given order.

    Layer 0 doesn't depend on the sentence: ELMo's character convolutions, or a transformer's embeddings.

    Args:
        model: a biLM's folder (either form), an encoder's folder or hub name, or a biomtl model or run folder.
        sentences: words; read as needed.
        pooling: how a word's vector is made if the encoder splits words into pieces: the first, or their mean.
            A word without pieces (control characters, for example) has zeros.
        layers: their numbers, 0 for the one that doesn't depend on the sentence, -1 for the last; default all.
        bf16: compute in bfloat16.
        stateful: ELMo only: carry the LSTM state from sentence to sentence, as bilm-tf does when writing such files.

    Raises:
        InputError: no encoder, a layer that it doesn't have, or ``stateful`` for an encoder without a state.
    """
    name = encoder_name(model)
    if is_elmo(name):
        network = load_elmo(name, dtype=torch.bfloat16 if bf16 else torch.float32, stateful=stateful)
        numbers = chosen_layers(layers, network.options.layers, name)
        return (states.float().cpu().numpy()[numbers] for states in encode(network, sentences))
    if stateful:
        raise InputError("--stateful with a transformer", expected="an ELMo model", fix="leave --stateful out")
    encoder = TransformerEncoder.load(name)
    limit = encoder.max_positions or 512
    numbers = chosen_layers(layers, encoder.config.num_hidden_layers + 1, name)
    vectors = _transformer(encoder.network.eval(), load_processor(name, limit, None), sentences, pooling, bf16)
    return (states[numbers] for states in vectors)


def encoder_name(model: str | Path) -> str:
    """The encoder's folder or hub name, whose files are compared with their checksums."""
    folder = model_folder(model)
    name = str(folder) if (folder / MANIFEST).is_file() else str(resolve_encoder(model))
    verify_encoder(name)
    return name


def chosen_layers(layers: Sequence[int] | None, count: int, name: str | Path) -> list[int]:
    """The numbers of the chosen layers, from 0.

    Raises:
        InputError: a layer that the encoder doesn't have.
    """
    chosen = range(count) if layers is None else layers
    for number in chosen:
        if not -count <= number < count:
            raise InputError(f"layer {number}", path=name, expected=f"0 to {count - 1}, or -1 to {-count}")
    return [number % count for number in chosen]


def write_embeddings(
    out: str | Path,
    vectors: Iterable[NDArray[np.float32]],
    *,
    overwrite: bool = False,
    advance: Advance | None = None,
) -> int:
    """Write one float32 dataset per sentence, with the sentence's number from 0 as its key; returns their number.

    The file appears only when complete.

    Raises:
        InputError: ``out`` exists and may not be replaced, or h5py is missing.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError("h5py is not installed", fix="run pip install 'biomtl[elmo]'") from error
    count = 0
    with atomic_file(out, "w+b", overwrite=overwrite) as stream, h5py.File(stream, "w") as file:
        for layers in vectors:
            file.create_dataset(str(count), data=layers, dtype=np.float32)
            count += 1
            if advance is not None:
                advance(1)
    return count


def _transformer(
    network: Any, processor: TextProcessor, sentences: Iterable[Sequence[str]], pooling: Pooling, bf16: bool
) -> Iterator[NDArray[np.float32]]:
    stream = iter(sentences)
    while window := list(islice(stream, SENTENCES_AT_ONCE)):
        joined = [_join(words) for words in window]
        texts = processor.encode([TextInput((text,), words=spans) for text, spans in joined])
        vectors: list[NDArray[np.float32] | None] = [None] * len(window)
        for chosen in length_batches([EncodedExample(text.rows) for text in texts], BATCH_TOKENS):
            layers = iter(_hidden(network, processor, [row for i in chosen for row in texts[i].rows], bf16))
            for i in chosen:
                rows = list(islice(layers, len(texts[i].rows)))
                vectors[i] = _words(texts[i], rows, joined[i][1], pooling)
        yield from (value for value in vectors if value is not None)


def _join(words: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """Words joined by spaces, and their spans."""
    words = [word.encode("utf-8", "replace").decode("utf-8") for word in words]  # tokenizers bear no lone surrogate
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return " ".join(words), tuple((int(end) - len(word), int(end)) for end, word in zip(ends, words, strict=True))


@torch.inference_mode()
def _hidden(network: Any, processor: TextProcessor, rows: list[Any], bf16: bool) -> Iterable[Tensor]:
    """Each row's hidden states ``[layers, positions, dim]``, padding included."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        states = network(**processor.collate(rows), output_hidden_states=True).hidden_states
    return torch.stack([state.float() for state in states]).transpose(0, 1)


def _words(text: EncodedText, rows: Sequence[Tensor], spans: Sequence[Span], pooling: Pooling) -> NDArray[np.float32]:
    """``[layers, words, dim]`` of one text from its rows' hidden states."""
    positions = word_positions(text.rows, spans)
    vectors = rows[0].new_zeros(rows[0].shape[0], len(spans), rows[0].shape[2])
    for word, (row, first) in enumerate(positions.tolist()):
        if row >= 0:
            pieces = _last(text.rows[row].offsets, first, spans[word][1]) if pooling == "mean" else first + 1
            vectors[:, word] = rows[row][:, first:pieces].mean(dim=1)
    return vectors.numpy()


def _last(offsets: NDArray[np.int32], first: int, end: int) -> int:
    """The position after a word's last piece; special positions have empty offsets and end the word."""
    position = first + 1
    while position < len(offsets) and offsets[position, 0] < end and offsets[position, 1] > offsets[position, 0]:
        position += 1
    return position
