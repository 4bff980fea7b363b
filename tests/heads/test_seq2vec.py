"""Every Seq2Vec ignores padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from biomtl.errors import InputError
from biomtl.heads.seq2vec import SEQ2VEC_MODULES, build_seq2vec


def rows(lengths: list[int], dim: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), longest, dim), mask.long()


@pytest.mark.parametrize("name", SEQ2VEC_MODULES)
def test_independent_of_padding_and_other_rows(name: str) -> None:
    torch.manual_seed(1)
    seq2vec = build_seq2vec(name, 6, hidden=4)
    hidden, mask = rows([5, 1, 3, 9])
    together = seq2vec(hidden, mask)
    assert together.shape == (4, seq2vec.dim)
    for row, length in enumerate([5, 1, 3, 9]):
        alone = seq2vec(hidden[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone)
    filled = hidden.masked_fill(~mask.bool().unsqueeze(-1), 1e4)
    torch.testing.assert_close(seq2vec(filled, mask), together)


@pytest.mark.parametrize("name", SEQ2VEC_MODULES)
def test_it_trains_and_accepts_empty_rows(name: str) -> None:
    torch.manual_seed(1)
    seq2vec = build_seq2vec(name, 6, hidden=4)
    hidden, mask = rows([2, 3])
    mask[0] = 0
    hidden.requires_grad_()
    out = seq2vec(hidden, mask)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()
    assert hidden.grad[1].abs().sum() > 0
    assert hidden.grad[0].abs().sum() == 0


def test_values() -> None:
    hidden = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert build_seq2vec("boe", 2)(hidden, mask).tolist() == [[2.0, -3.0]]
    assert build_seq2vec("avg", 2)(hidden, mask).tolist() == [[2.0, -3.0]]
    assert build_seq2vec("max", 2)(hidden, mask).tolist() == [[3.0, -1.0]]
    assert build_seq2vec("last", 2)(hidden, mask).tolist() == [[3.0, -1.0]]


def test_recurrent_is_the_library_networks_final_state() -> None:
    seq2vec = build_seq2vec("lstm", 6, hidden=4)
    hidden, mask = rows([4])
    final = seq2vec.network(hidden)[1][0]
    torch.testing.assert_close(seq2vec(hidden, mask), torch.cat([final[0], final[1]], dim=-1))


def test_convolution_shorter_than_its_width() -> None:
    seq2vec = build_seq2vec("cnn", 6, hidden=4)
    hidden, mask = rows([1])
    wanted = [torch.relu(layer.weight[:, :, 0] @ hidden[0, 0] + layer.bias) for layer in seq2vec.convolutions]
    torch.testing.assert_close(seq2vec(hidden, mask)[0], torch.cat(wanted))


def test_names() -> None:
    assert type(build_seq2vec("pytorch-gru", 6)) is type(build_seq2vec("gru", 6))
    assert type(build_seq2vec("cnn_highway", 6)) is type(build_seq2vec("cnn-highway", 6))
    with pytest.raises(InputError, match=r"unknown seq2vec 'lsmt', did you mean 'lstm'\?"):
        build_seq2vec("lsmt", 6)
