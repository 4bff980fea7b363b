"""Masked words as training data, and the head that guesses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from biomtl.batch import EncodedExample, TaskExample
from biomtl.encoders.base import Encoded, Encoder
from biomtl.errors import InputError
from biomtl.heads.base import Head
from biomtl.heads.losses import text_cross_entropy
from biomtl.heads.rows import TaskRows
from biomtl.tasks.task import Task
from biomtl.text.base import EncodedRow, TextInput
from biomtl.text.transformer import TransformerProcessor
from biomtl.text.words import words
from biomtl.training.batches import shard
from biomtl.training.data import TrainingData
from biomtl.training.mixer import Mixer
from biomtl.training.recipe import Recipe

NAME = "mlm"
TASK = Task(name=NAME, type="mlm", metric="accuracy")
KEPT, REPLACED = 0.1, 0.1  # of the chosen words; the others are masked (Devlin et al. 2019, arXiv 1810.04805)


class MaskedWordsHead(Head):
    """A layer over the hidden state of each masked piece, and the word embeddings as classes (Devlin et al. 2019).

    Args:
        encoder: the encoder, whose word embeddings are shared with the output.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(text_cross_entropy)
        self.network = None
        embeddings = _embeddings(encoder)
        count, width = embeddings.weight.shape
        self.dense = nn.Linear(encoder.dim, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(count))
        self._shared = (embeddings,)  # in a tuple: they are the encoder's own, and saved with it

    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        """``[masked pieces, vocabulary]``."""
        states = rows.gather(encoded.hidden)[:, 0]
        return functional.linear(self.norm(functional.gelu(self.dense(states))), self._shared[0].weight, self.bias)


class MaskedTexts(TrainingData):
    """Texts whose words are masked anew in every epoch, whole words at a time.

    Args:
        processor: the encoder's text processor.
        texts: the texts.
        recipe: batch size, seed, length of the run.
        share: share of the words to guess.
        world: number of processes that share the batches of a step.
    """

    def __init__(
        self, processor: TransformerProcessor, texts: Sequence[str], recipe: Recipe, share: float, world: int = 1
    ) -> None:
        self.recipe, self.share = recipe, share
        self.mask = processor.tokenizer.mask_token_id
        if self.mask is None:
            raise InputError("adapt: the encoder's tokenizer has no mask token", fix="leave out the stage adapt")
        self.vocabulary = len(processor.tokenizer)
        self.examples, self.groups = [], []
        for text, encoded in zip(texts, processor.encode([TextInput((text,)) for text in texts]), strict=True):
            for row in encoded.rows:
                group = word_numbers(text, row)
                if (group >= 0).any():
                    # A window stands for itself: no output of a masked text needs the others.
                    self.examples.append(EncodedExample([replace(row, segment_id=0)], [_guess(np.zeros((1, 2)), 0)]))
                    self.groups.append(group)
        if not self.examples:
            raise InputError("adapt: no text with a word in it", fix="give another corpus")
        tasks = [frozenset({NAME})] * len(self.examples)
        self.mixer = Mixer(tasks, seed=recipe.seed, epochs=recipe.num_train_epochs or 1)
        self.lengths = np.array([example.longest for example in self.examples])
        self.row_counts = np.ones_like(self.lengths)
        self.refuse_too_few(world)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1) -> list[list[EncodedExample]]:
        """The batches of an epoch for one process of ``world``, masked; every call gives the same."""
        return [[self.masked(int(i), epoch) for i in batch] for batch in shard(self._batches(epoch), rank, world)]

    def masked(self, index: int, epoch: int) -> EncodedExample:
        """A row with some of its words masked, and the pieces to be guessed as its outputs."""
        random = np.random.default_rng([self.recipe.seed, 2, epoch, index])
        [row], group = self.examples[index].rows, self.groups[index]
        present = np.unique(group[group >= 0])
        chosen = random.permutation(present)[: max(1, round(self.share * len(present)))]
        fate = random.random(len(chosen))
        ids = row.inputs["input_ids"].copy()
        for word, drawn in zip(chosen, fate, strict=True):
            places = group == word
            if drawn >= KEPT + REPLACED:
                ids[places] = self.mask
            elif drawn >= KEPT:
                ids[places] = random.integers(0, self.vocabulary, places.sum())
        (at,) = np.nonzero(np.isin(group, chosen))
        positions = np.stack([np.zeros_like(at), at], axis=1)
        changed = replace(row, inputs={**row.inputs, "input_ids": ids})
        return EncodedExample([changed], [_guess(positions, index, row.inputs["input_ids"][at])])


def word_numbers(text: str, row: EncodedRow) -> NDArray[np.int64]:
    """``[positions]``: the number of the word of ``text`` that each position is a piece of, -1 for none."""
    starts = np.array([start for start, _ in words(text)], dtype=np.int64)
    if not len(starts):
        return np.full(len(row), -1, dtype=np.int64)
    # A piece may begin with the blank before its word.
    lead = np.array([len(text[a:b]) - len(text[a:b].lstrip()) for a, b in row.offsets.tolist()], dtype=np.int64)
    number = np.searchsorted(starts, row.offsets[:, 0] + lead, side="right") - 1
    real = (row.sides >= 0) & (row.offsets[:, 1] > row.offsets[:, 0])
    return np.where(real, number, -1)


def _guess(positions: NDArray[Any], index: int, target: NDArray[Any] | None = None) -> TaskExample:
    gold = np.zeros(len(positions), np.int64) if target is None else target.astype(np.int64)
    return TaskExample(NAME, index, positions.astype(np.int32)[:, None], gold, len(gold))


def _embeddings(encoder: Encoder) -> nn.Embedding:
    network: Any = getattr(encoder, "network", None)
    if encoder.frozen or not hasattr(network, "get_input_embeddings"):
        problem = "adapt: the encoder is frozen, or has no word embeddings to guess words with"
        raise InputError(problem, fix="take a transformer, or leave out the stage adapt")
    return network.get_input_embeddings()
