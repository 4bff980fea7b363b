"""A biLM as an encoder like any other: frozen by default, its layers kept in a store, each task with its own mix."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from biomtl.encoders.base import Encoded, Encoder, RowNetwork
from biomtl.encoders.elmo.characters import word_batch
from biomtl.encoders.elmo.encode import encode
from biomtl.encoders.elmo.heads import ElmoTextNetwork, ElmoWordNetwork, LayerMix
from biomtl.encoders.elmo.network import Elmo
from biomtl.encoders.elmo.store import DEFAULT_LIMIT, DTYPES, ActivationStore, default_folder, sentence_key
from biomtl.encoders.elmo.weights import CONFIG, load_elmo, write_folder
from biomtl.errors import InputError
from biomtl.storage.structured import read_json

if TYPE_CHECKING:
    from biomtl.text.base import EncodedRow

SETTINGS = "biomtl"  # our part of config.json
PREPARED_AT_ONCE = 256  # sentences added to the store at a time
SAID_EVERY = 60  # seconds between two progress lines while the store is filled


class ElmoEncoder(Encoder):
    """Hidden states are all layers concatenated, ``[rows, words, layers * 2 * projection_dim]``; heads mix them.

    Args:
        network: the biLM.
        mixes: number of learned mixes per task, concatenated (elmoft uses two).
        dropout: on each mix, in training.
        activations: ``fp32`` or ``bf16``: the precision to which the frozen layers are rounded, with or without a
            store, so that a trained model sees the same values wherever it is used.
    """

    kind: ClassVar[str] = "elmo"
    joins_pairs: ClassVar[bool] = False

    def __init__(self, network: Elmo, *, mixes: int = 1, dropout: float = 0.5, activations: str = "fp32") -> None:
        super().__init__()
        self.network = network
        self.mixes, self.dropout, self.activations = mixes, dropout, activations
        self.dim = mixes * network.options.dim
        self.store: ActivationStore | None = None

    @classmethod
    def load(cls, path: str | Path, *, dtype: torch.dtype = torch.float32) -> ElmoEncoder:
        """The encoder of a biLM's folder (either form) or of a saved model, frozen.

        Raises:
            InputError: there is no biLM that can be loaded.
        """
        config = Path(path) / CONFIG
        settings: dict[str, Any] = {}
        network = load_elmo(path, dtype=dtype)
        if config.is_file():
            settings = read_json(config, "the settings of a saved model").get(SETTINGS, {})
        try:
            return cls(network, **settings)
        except TypeError as error:
            raise InputError(f"not the settings of an ELMo encoder ({error})", path=config) from error

    def keep_activations(self, folder: Path | None, dtype: str = "bf16", limit: int = DEFAULT_LIMIT) -> bool:
        """Keep the layers of every sentence while the biLM is frozen (see ``ActivationStore``)."""
        if self.frozen:
            self.activations = dtype
            self.store = ActivationStore(folder or default_folder(), self.network, dtype=dtype, limit=limit)
        return self.frozen

    def prepare(self, rows: Sequence[EncodedRow], say: Callable[[str], None]) -> None:
        """Fill the store with a run's rows, sorted by length, each distinct sentence once."""
        if self.store is None or not self.frozen:
            return
        sentences = {sentence_key(ids): ids for ids in (row.inputs["character_ids"] for row in rows)}
        say(str(self.store.plan([(key, len(ids)) for key, ids in sentences.items()])))
        missing = [key for key in sentences if key not in self.store]
        missing.sort(key=lambda key: len(sentences[key]))
        computed = zip(missing, encode(self.network, (sentences[key] for key in missing)), strict=True)
        done, said = 0, time.monotonic()
        while not self.store.full and (chunk := list(islice(computed, PREPARED_AT_ONCE))):
            self.store.add(chunk)
            done += len(chunk)
            if time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                say(f"ELMo activations: {done:,} of {len(missing):,} sentences computed")

    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """``character_ids`` ``[rows, words, size]`` and ``attention_mask`` ``[rows, words]``."""
        ids, mask = inputs["character_ids"], inputs["attention_mask"]
        host = ids.to("cpu", torch.int16).numpy()
        sentences = [row[:length] for row, length in zip(host, mask.sum(1).tolist(), strict=True)]
        if torch.is_grad_enabled() and not self.frozen:
            hidden = self._trained(sentences, ids.shape[1])
        else:
            # The layers are constants: they must not depend on the precision in which the heads are trained.
            with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
                hidden = self._frozen(sentences, ids.shape[1])
        return Encoded(hidden.to(ids.device), mask)

    def _trained(self, sentences: Sequence[NDArray[np.int16]], longest: int) -> Tensor:
        batch = word_batch(sentences, self.network.options.char_cnn.max_characters_per_token)
        split_states = self.network(batch).float().split(batch.lengths, dim=1)
        padded = pad_sequence([states[:, 1:-1].transpose(0, 1) for states in split_states], batch_first=True).flatten(2)
        return nn.functional.pad(padded, (0, 0, 0, longest - padded.shape[1]))

    def _frozen(self, sentences: Sequence[NDArray[np.int16]], longest: int) -> Tensor:
        """Layers in the store are read straight into place; the rest are computed, and added to the store if any."""
        store = self.store if self.frozen else None
        options = self.network.options
        device = self.network.device if store is None else "cpu"
        hidden = torch.zeros(len(sentences), longest, options.layers * options.dim, device=device)
        missing: dict[bytes, list[int]] = {}
        for row, ids in enumerate(sentences):
            key = sentence_key(ids)
            if store is None or not store.read(key, hidden[row, : len(ids)]):
                missing.setdefault(key, []).append(row)
        computed = encode(self.network, [sentences[rows[0]] for rows in missing.values()])
        new = [(key, layers.to(DTYPES[self.activations])) for key, layers in zip(missing, computed, strict=True)]
        for key, layers in new:
            for row in missing[key]:
                hidden[row, : layers.shape[1]] = layers.transpose(0, 1).flatten(1)
        if store is not None and new:
            store.add(new)
        return hidden

    def layer_mix(self) -> LayerMix:
        """A task's own mixes of the layers, with fresh weights."""
        return LayerMix(self.network.options.layers, self.mixes, self.dropout)

    def sequence_head(self, labels: int) -> RowNetwork:
        """Mixes, mean over the words, one linear layer."""
        return ElmoTextNetwork(self.layer_mix(), self.dim, labels, self.dropout)

    def token_head(self, labels: int) -> RowNetwork:
        """Mixes, one linear layer on every word."""
        return ElmoWordNetwork(self.layer_mix(), self.dim, labels, self.dropout)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, like ``biomtl convert --from elmo``."""
        settings = {"mixes": self.mixes, "dropout": self.dropout, "activations": self.activations}
        write_folder(self.network, folder, {SETTINGS: settings})
