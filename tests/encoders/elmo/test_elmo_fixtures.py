"""Layers equal those of the reference implementations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biomtl.encoders.elmo import Elmo, ScalarMix, encode, load_elmo, word_batch, word_ids

TOLERANCE = {"elmo_bilm": 1e-5, "elmo_clip": 1e-4}


@pytest.fixture(params=TOLERANCE)
def case(request: pytest.FixtureRequest, shared: Path) -> tuple[Elmo, Any, list[list[str]], float]:
    folder = shared / "fixtures" / request.param
    sentences = json.loads((folder / "stateless_sentences.json").read_text())
    return load_elmo(folder), np.load(folder / "stateless_expected.npz"), sentences, TOLERANCE[request.param]


def test_character_ids(case: Any) -> None:
    _, expected, sentences, _ = case
    for row, sentence in zip(expected["char_ids"], sentences, strict=True):
        np.testing.assert_array_equal(row[: len(sentence)], np.stack([word_ids(word) for word in sentence]))


def test_layers_and_mixes(case: Any) -> None:
    model, expected, sentences, tolerance = case
    batch = word_batch(sentences)
    layers = model(batch)
    for number, layer in enumerate(layers):
        np.testing.assert_allclose(layer.numpy(), expected[f"layer{number}_with_boundaries"], atol=tolerance, rtol=0)
    for name, layer_norm in (("mix", False), ("mix_layernorm", True)):
        mix = ScalarMix(3, layer_norm=layer_norm)
        mix.load_state_dict(
            {"weights": torch.from_numpy(expected["mix_weights"]), "gamma": torch.tensor(expected["mix_gamma"])}
        )
        mixed = mix(layers)[batch.inner()].detach().numpy()
        np.testing.assert_allclose(mixed, expected[name], atol=tolerance, rtol=0)


def test_small_batches_in_another_order(case: Any) -> None:
    model, expected, sentences, tolerance = case
    layers = torch.cat(list(encode(model, sentences, batch_positions=90, window_positions=200)), dim=1)
    inner = word_batch(sentences).inner()
    for number, layer in enumerate(layers):
        wanted = expected[f"layer{number}_with_boundaries"][inner]
        np.testing.assert_allclose(layer.numpy(), wanted, atol=tolerance, rtol=0)


def test_carried_state(case: Any) -> None:
    model, expected, sentences, tolerance = case
    model.stateful = True
    for number in range(3):
        batch = word_batch([sentences[row] for row in expected[f"stateful{number}_rows"]])
        top = model(batch)[-1][batch.inner()]
        np.testing.assert_allclose(top.numpy(), expected[f"stateful{number}_top"], atol=tolerance, rtol=0)


def test_the_files_of_bilm_tf(shared: Path) -> None:
    """Top layers as bilm-tf itself wrote them, its state carried from sentence to sentence."""
    import h5py

    folder = shared / "fixtures" / "elmo_bilm"
    model = load_elmo(folder, stateful=True)
    for number, sentences in enumerate(json.loads((folder / "lm_embeddings_sentences.json").read_text())):
        model.reset_state()
        with h5py.File(folder / f"lm_embeddings_{number}.hdf5") as file:
            for i, layers in enumerate(encode(model, [sentence.split() for sentence in sentences])):
                wanted = np.concatenate(file[str(i)][()], axis=-1)
                np.testing.assert_allclose(layers[-1].numpy(), wanted, atol=1e-5, rtol=0)
