"""The network against the plain implementation, and against itself with other batches."""

from __future__ import annotations

import copy
import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.encoders.elmo import Elmo, ElmoOptions, encode, load_elmo, word_batch, word_ids
from biomtl.encoders.elmo import lstm as lstm_module
from biomtl.encoders.elmo.network import pack

SENTENCES = [
    ["Naloxone", "reverses", "clonidine", "."],
    ["one"],
    [],
    ["", "x", ""],
    ["größer", "中文", "\U0001f600", "a" * 47 + "é", "b" * 200, "\0", "<S>", "</S>", "\ud800c"],
    ["The", "one", "x", "."] * 9,
]


def variant(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    options = copy.deepcopy(base)
    for key, value in changes.items():
        part, _, name = key.partition("__")
        options[part][name] = value
    return options


VARIANTS = {
    "as it is": {},
    "no skip connections": {"lstm__use_skip_connections": False},
    "no clips": {"lstm__cell_clip": None, "lstm__proj_clip": None},
    "three layers": {"lstm__n_layers": 3},
    "tanh, no highway": {"char_cnn__activation": "tanh", "char_cnn__n_highway": 0},
    "no projections": {"lstm__dim": 13, "lstm__projection_dim": 13},
    "short words": {"char_cnn__max_characters_per_token": 7},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_plain_implementation(name: str, naive: ModuleType, tmp_path: Any) -> None:
    options = variant(naive.OPTIONS, **VARIANTS[name])
    data = naive.random_datasets(options, seed=1)
    model = load_elmo(naive.write_folder(tmp_path, options, data))
    plain = naive.Naive(options, data)
    for words, layers in zip(SENTENCES, encode(model, SENTENCES), strict=True):
        assert layers.shape == (model.options.layers, len(words), model.options.dim)
        np.testing.assert_allclose(layers.numpy(), plain(words), atol=1e-5)


def test_clips_act_in_the_small_model(bilm: Elmo) -> None:
    """Otherwise the test above would not cover them."""
    layers = torch.cat(list(encode(bilm, SENTENCES)), dim=1)
    assert (layers[1].abs() == bilm.options.lstm.proj_clip).any()
    bilm.layers[0].cell_clip = None
    assert not torch.equal(layers, torch.cat(list(encode(bilm, SENTENCES)), dim=1))


words = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(["a", "The", "", "<S>"])
sentences = st.lists(st.lists(words, max_size=12), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(sentences=sentences, order=st.randoms(use_true_random=False), budget=st.integers(1, 60))
def test_stateless(sentences: list[list[str]], order: Any, budget: int, bilm_folder: Any) -> None:
    """The same sentence gives the same vectors in any batch and order."""
    model = load_elmo(bilm_folder)
    alone = [next(encode(model, [sentence])) for sentence in sentences]
    places = list(range(len(sentences)))
    order.shuffle(places)
    mixed = encode(model, [sentences[i] for i in places], batch_positions=budget, window_positions=2 * budget)
    for place, layers in zip(places, mixed, strict=True):
        torch.testing.assert_close(layers, alone[place], atol=1e-5, rtol=0)


def test_layer_0_is_the_word_twice_wherever_it_occurs(bilm: Elmo) -> None:
    layers = list(encode(bilm, [["a", "b", "a"], ["b", "a"]]))
    half = bilm.options.lstm.projection_dim
    assert torch.equal(layers[0][0, :, :half], layers[0][0, :, half:])
    torch.testing.assert_close(layers[0][0, 0], layers[0][0, 2])
    torch.testing.assert_close(layers[0][0, 0], layers[1][0, 1])


def test_carried_state(naive: ModuleType, bilm_folder: Any) -> None:
    """Rows keep their own state; a smaller batch leaves the others' alone, a larger one starts new rows at zero."""
    data = naive.random_datasets(naive.OPTIONS)
    batches = [
        [["a", "b", "c"], ["d"], ["e", "f"]],
        [["g", "h"]],
        [["i"], [], ["j", "k", "l"], ["new", "row"]],
    ]
    model = load_elmo(bilm_folder, stateful=True)
    rows = [naive.Naive(naive.OPTIONS, data, carry=True) for _ in range(4)]
    for batch in batches:
        words = word_batch(batch)
        got = model(words)[:, words.inner()]
        wanted = np.concatenate([row(sentence) for row, sentence in zip(rows, batch, strict=False)], axis=1)
        np.testing.assert_allclose(got.numpy(), wanted, atol=1e-5)
    model.reset_state()
    fresh = model(word_batch(batches[0]))
    assert torch.equal(fresh, load_elmo(bilm_folder)(word_batch(batches[0])))


def test_carried_state_over_a_stream(naive: ModuleType, bilm_folder: Any) -> None:
    plain = naive.Naive(naive.OPTIONS, naive.random_datasets(naive.OPTIONS), carry=True)
    for words, layers in zip(SENTENCES, encode(load_elmo(bilm_folder, stateful=True), SENTENCES), strict=True):
        np.testing.assert_allclose(layers.numpy(), plain(words), atol=1e-5)


def test_gradients() -> None:
    """Against finite differences in double precision, clips and skip connections included."""
    lstm = {"dim": 4, "projection_dim": 3, "cell_clip": 0.4, "proj_clip": 0.2, "use_skip_connections": True}
    char = {"embedding": {"dim": 2}, "filters": [[1, 2], [2, 3]], "n_highway": 1, "max_characters_per_token": 6}
    torch.manual_seed(0)
    model = Elmo(ElmoOptions.parse({"lstm": lstm, "char_cnn": char})).double()
    batch = word_batch([["ab", "c"], ["d", "ab", "e"]], 6)
    names = [name for name, _ in model.named_parameters()]

    def run(*values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (batch,))[1:].sum((0, 2))

    values = tuple(value.detach().clone().requires_grad_() for value in model.parameters())
    assert torch.autograd.gradcheck(run, values, fast_mode=True)


def test_splitting_long_runs_of_steps_has_no_effect(bilm: Elmo, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.cat(list(encode(bilm, SENTENCES)), dim=1)
    monkeypatch.setattr(lstm_module, "ROWS_AT_ONCE", 1)
    torch.testing.assert_close(torch.cat(list(encode(bilm, SENTENCES)), dim=1), whole, atol=1e-6, rtol=0)


def test_bf16_is_close(bilm_folder: Any) -> None:
    exact = torch.cat(list(encode(load_elmo(bilm_folder), SENTENCES)), dim=1)
    near = torch.cat(list(encode(load_elmo(bilm_folder, dtype=torch.bfloat16), SENTENCES)), dim=1)
    assert near.dtype == torch.bfloat16
    assert (near.float() - exact).norm() < 0.03 * exact.norm()


@given(st.lists(st.integers(1, 9), max_size=12))
def test_pack(lengths: list[int]) -> None:
    order, sizes, places = pack(lengths)
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(lengths)
    starts = np.cumsum([0, *lengths])
    rows = [
        [(int(starts[i]) + t, int(starts[i + 1]) - 1 - t) for i in order.tolist() if t < lengths[i]] for t in range(9)
    ]
    assert places.T.tolist() == [list(pair) for step in rows for pair in step]


def test_word_ids() -> None:
    assert word_ids("ab", 6).tolist() == [259, 98, 99, 260, 261, 261]
    assert word_ids("", 4).tolist() == [259, 260, 261, 261]
    assert word_ids("abé", 5).tolist() == [259, 98, 99, 0xC3 + 1, 260]  # cut inside a character
    assert word_ids("<S>", 4).tolist() == [259, 257, 260, 261]
    assert word_ids("</S>", 4).tolist() == [259, 258, 260, 261]
    assert word_ids("\ud800\udfff", 4).tolist() == word_ids("", 4).tolist()


def test_word_batch_from_words_and_from_ids() -> None:
    words = word_batch([["a", "b", "a"], [], ["b", "<S>"]])
    assert len(words.characters) == 4  # the two markers, a, b
    assert words.index.tolist() == [0, 2, 3, 2, 1, 0, 1, 0, 3, 0, 1]
    assert words.inner().tolist() == [1, 2, 3, 8, 9]
    ids = [np.stack([word_ids(w) for w in s]) if s else np.empty((0, 50), np.int16) for s in [["a", "b", "a"], []]]
    again = word_batch(ids)
    assert again.lengths == (5, 2)
    assert torch.equal(again.characters[again.index], words.characters[words.index[:7]])


def test_a_distinct_word_is_computed_once(bilm: Elmo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any windows, and with carried state, unless there are more words than the limit."""
    seen: list[int] = []
    before = type(bilm.token).forward
    monkeypatch.setattr(type(bilm.token), "forward", lambda self, ids: seen.append(len(ids)) or before(self, ids))
    wanted = list(encode(bilm, SENTENCES))
    distinct = {word.encode("utf-8", "ignore")[:48] for words in SENTENCES for word in words} | {b"<S>", b"</S>"}
    assert sum(seen) == len(distinct)
    seen.clear()
    for alone, together in zip(encode(bilm, SENTENCES, window_positions=1), wanted, strict=True):
        torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)
    assert sum(seen) == len(distinct)
    # By its name, as the package's own `encode` is the function.
    monkeypatch.setattr(importlib.import_module("biomtl.encoders.elmo.encode"), "WORDS_KEPT", 2)
    seen.clear()
    for few, together in zip(encode(bilm, SENTENCES, window_positions=1), wanted, strict=True):
        torch.testing.assert_close(few, together, atol=1e-6, rtol=0)
    assert sum(seen) > len(distinct)
