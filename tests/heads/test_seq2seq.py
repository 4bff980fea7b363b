"""Layers between words and a tagger: shapes, and outputs that depend only on the row's own words."""

from __future__ import annotations

import pytest
import torch

from biomtl.errors import InputError
from biomtl.heads.highway_lstm import AlternatingLstm, HighwayLstm
from biomtl.heads.seq2seq import SEQ2SEQ_MODULES, build_seq2seq


@pytest.mark.parametrize("name", SEQ2SEQ_MODULES)
def test_padding_and_other_rows_make_no_difference(name: str) -> None:
    torch.manual_seed(0)
    layer = build_seq2seq(name, 6, 4).eval()
    hidden, mask = torch.randn(3, 7, 6), torch.ones(3, 7)
    mask[1, 3:] = mask[2, 1:] = 0
    together = layer(hidden, mask)
    assert together.shape == (3, 7, layer.dim)
    noisy = layer(torch.where(mask.bool().unsqueeze(-1), hidden, torch.tensor(99.0)), mask)
    for row, length in enumerate((7, 3, 1)):
        alone = layer(hidden[row : row + 1, :length], mask[row : row + 1, :length])[0]
        torch.testing.assert_close(together[row, :length], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(noisy[row, :length], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SEQ2SEQ_MODULES)
def test_every_weight_learns_and_words_see_each_other(name: str) -> None:
    layer = build_seq2seq(name, 6, 4).eval()
    hidden = torch.randn(2, 5, 6, requires_grad=True)
    layer(hidden, torch.ones(2, 5)).pow(2).sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in layer.parameters())
    hidden.grad = None
    layer(hidden, torch.ones(2, 5))[0, 2].sum().backward()
    assert hidden.grad is not None
    assert hidden.grad[0, 1].any() == (name != "ff")
    assert hidden.grad[0, 3].any() == (name != "ff" and not name.endswith("-forward"))
    assert not hidden.grad[1].any()


def test_unknown_layer() -> None:
    with pytest.raises(InputError, match="did you mean 'qanet'"):
        build_seq2seq("qannet", 4)


def test_highway_lstm_by_hand() -> None:
    torch.manual_seed(0)
    layer = HighwayLstm(2, 3)
    words = torch.randn(1, 4, 2)
    state = cell = torch.zeros(3)
    for step in range(4):
        i, f, o, r, new, passed = layer.inputs(words[0, step]).chunk(6)
        i, f, o, r, new = (
            part + more for part, more in zip((i, f, o, r, new), layer.states(state).chunk(5), strict=True)
        )
        cell = i.sigmoid() * new.tanh() + f.sigmoid() * cell
        state = r.sigmoid() * o.sigmoid() * cell.tanh() + (1 - r.sigmoid()) * passed
        torch.testing.assert_close(layer(words, torch.ones(1, 4))[0, step], state)
    backward = HighwayLstm(2, 3, backward=True)
    backward.load_state_dict(layer.state_dict())
    torch.testing.assert_close(
        backward(words.flip(1), torch.ones(1, 4)).flip(1), layer(words, torch.ones(1, 4)), atol=1e-6, rtol=1e-5
    )


def test_alternating_layers_turn() -> None:
    assert [layer.backwards for layer in AlternatingLstm(4, 3).layers] == [False, True, False]
