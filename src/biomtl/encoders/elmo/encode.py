"""Many sentences through a frozen biLM, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomtl.encoders.elmo.characters import word_batch
from biomtl.encoders.elmo.network import Elmo

BATCH_POSITIONS = 8192  # positions per batch: over a hundred rows per step, enough for matrix products at full speed
WINDOW_POSITIONS = 4 * BATCH_POSITIONS  # positions sorted by length together (400 MB of layers in the original model)
WORDS_KEPT = 100_000  # word vectors kept from window to window (200 MB in the original model)

WordsOrIds = Sequence[str] | NDArray[np.int16]  # words, or their character ids [words, size]


def encode(
    model: Elmo,
    sentences: Iterable[WordsOrIds],
    *,
    batch_positions: int = BATCH_POSITIONS,
    window_positions: int = WINDOW_POSITIONS,
) -> Iterator[Tensor]:
    """Every sentence's layers ``[layers, words, 2 * projection_dim]``, in the given order, without the markers.

    Each distinct word is computed once for all sentences (again only after ``WORDS_KEPT`` others). Sentences are read
    in windows; a window's sentences run in batches, longest first and without padding. A ``stateful`` model reads one
    sentence at a time instead, like bilm-tf's ``dump_bilm_embeddings``.
    """
    if model.stateful:
        batch_positions = window_positions = 1
    window: list[WordsOrIds] = []
    known: dict[bytes, Tensor] = {}
    positions = 0
    for words in sentences:
        if window and positions + len(words) + 2 > window_positions:
            yield from _window(model, window, batch_positions, known)
            window, positions = [], 0
        window.append(words)
        positions += len(words) + 2
    if window:
        yield from _window(model, window, batch_positions, known)


@torch.inference_mode()
def _window(model: Elmo, window: list[WordsOrIds], batch_positions: int, known: dict[bytes, Tensor]) -> list[Tensor]:
    batch = word_batch(window, model.options.char_cnn.max_characters_per_token)
    vectors = _word_vectors(model, batch.characters, known)
    index = batch.index.to(model.device).split(list(batch.lengths))
    layers: list[Tensor] = [vectors] * len(window)
    for rows in _batches(batch.lengths, batch_positions):
        lengths = [batch.lengths[row] for row in rows]
        block = model.contextual(vectors[torch.cat([index[row] for row in rows])], lengths)
        for row, states in zip(rows, block.split(lengths, dim=1), strict=True):
            layers[row] = states[:, 1:-1]
    return layers


def _word_vectors(model: Elmo, characters: Tensor, known: dict[bytes, Tensor]) -> Tensor:
    """``[words, projection_dim]`` of distinct words; those missing from ``known`` are computed and added."""
    keys = [word.tobytes() for word in characters.to(torch.int16).numpy()]
    new = [row for row, key in enumerate(keys) if key not in known]
    if new:
        known.update(zip((keys[row] for row in new), model.token(characters[new].to(model.device)), strict=True))
    vectors = torch.stack([known[key] for key in keys])
    if len(known) > WORDS_KEPT:
        known.clear()
    return vectors


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows in batches of at most ``budget`` positions (or one row), longest first."""
    rows: list[int] = []
    positions = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and positions + lengths[row] > budget:
            yield rows
            rows, positions = [], 0
        rows.append(row)
        positions += lengths[row]
    if rows:
        yield rows
