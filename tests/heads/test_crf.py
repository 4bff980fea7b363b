"""The CRF against all paths, one by one."""

from __future__ import annotations

import itertools
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biomtl.heads.crf import Crf, iob_transitions
from biomtl.text.tags import chunks


def path_score(crf: Crf, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    score = crf.start[path[0]] + crf.end[path[-1]]
    score = score + sum(emissions[step, tag] for step, tag in enumerate(path))
    return score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path))


def draw(tags: int, lengths: list[int], seed: int, scale: float) -> tuple[Crf, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    crf = Crf(tags).double()
    for value in crf.parameters():
        torch.nn.init.normal_(value, std=scale)
    emissions = scale * torch.randn(len(lengths), max(lengths), tags, dtype=torch.float64)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return crf, emissions, torch.randint(tags, mask.shape), mask


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 10**6), st.floats(0.1, 30)
)
def test_equals_brute_force(tags: int, lengths: list[int], seed: int, scale: float) -> None:
    crf, emissions, gold, mask = draw(tags, lengths, seed, scale)
    decoded = crf.decode(emissions, mask)
    losses = crf.loss(emissions, gold, mask)
    best = crf.max_marginals(emissions, mask)
    for row, length in enumerate(lengths):
        paths = list(itertools.product(range(tags), repeat=length))
        scores = torch.stack([path_score(crf, emissions[row], path) for path in paths])
        assert tuple(decoded[row]) == paths[int(scores.argmax())]
        for step, tag in itertools.product(range(length), range(tags)):
            through = [score for path, score in zip(paths, scores, strict=True) if path[step] == tag]
            torch.testing.assert_close(best[row, step, tag], torch.stack(through).max())
        wanted = torch.logsumexp(scores, 0) - path_score(crf, emissions[row], tuple(gold[row, :length].tolist()))
        torch.testing.assert_close(losses[row], wanted)


def test_large_scores_stay_finite() -> None:
    crf = Crf(3)
    emissions = torch.tensor([[[1e4, -1e4, 0.0]] * 50], requires_grad=True)
    mask = torch.ones(1, 50, dtype=torch.bool)
    loss = crf.loss(emissions, torch.zeros(1, 50, dtype=torch.long), mask).sum()
    loss.backward()
    certain = crf.loss(1e6 * emissions.detach(), torch.zeros(1, 50, dtype=torch.long), mask)
    assert abs(loss.item()) < 1e-3  # the difference of two sums of 50 rounded terms
    assert abs(certain.item()) < 1e-3
    assert emissions.grad is not None
    assert torch.isfinite(emissions.grad).all()


def test_half_precision_emissions_are_summed_in_single() -> None:
    crf = Crf(2)
    emissions = torch.randn(2, 300, 2).bfloat16()
    mask = torch.ones(2, 300, dtype=torch.bool)
    tags = torch.zeros(2, 300, dtype=torch.long)
    torch.testing.assert_close(crf.loss(emissions, tags, mask), crf.loss(emissions.float(), tags, mask))


def test_rows_without_words() -> None:
    crf, emissions, gold, mask = draw(3, [3, 2], seed=0, scale=1)
    mask[1] = False
    assert crf.decode(emissions, mask)[1] == []
    losses = crf.loss(emissions, gold, mask)
    assert losses[1] == 0
    losses.sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in crf.parameters() if value.grad is not None)


def test_padding_and_other_rows_make_no_difference() -> None:
    crf, emissions, gold, mask = draw(3, [5, 2], seed=3, scale=2)
    alone = crf.loss(emissions[1:, :2], gold[1:, :2], mask[1:, :2])
    torch.testing.assert_close(crf.loss(emissions, gold, mask)[1:], alone)
    assert crf.decode(emissions[1:, :2], mask[1:, :2]) == crf.decode(emissions, mask)[1:]


def test_iob_transitions() -> None:
    labels = ["O", "B-Drug", "I-Drug", "B-Cell", "I-Cell"]
    rules = iob_transitions(labels)
    allowed, first, opening = rules
    assert opening.tolist() == [0, 1, 1, 3, 3]
    assert first.tolist() == [True, True, False, True, False]
    assert [labels[i] for i in range(5) if allowed[i, 2]] == ["B-Drug", "I-Drug"]
    assert allowed[:, [0, 1, 3]].all()
    crf = Crf(5, rules)
    emissions = torch.zeros(1, 6, 5)
    emissions[:, :, 2] = 5  # an inside everywhere: the first word has to begin the mention
    assert crf.decode(emissions, torch.ones(1, 6)) == [[1, 2, 2, 2, 2, 2]]


def test_it_learns_transitions_without_emissions() -> None:
    torch.manual_seed(0)
    crf = Crf(2)
    emissions, mask = torch.zeros(1, 6, 2), torch.ones(1, 6)
    gold = torch.tensor([[0, 1, 0, 1, 0, 1]])
    optimiser = torch.optim.Adam(crf.parameters(), lr=0.2)
    for _ in range(40):
        optimiser.zero_grad()
        crf.loss(emissions, gold, mask).mean().backward()
        optimiser.step()
    assert crf.decode(emissions, mask) == gold.tolist()


@pytest.mark.parametrize("tags", [1, 2])
def test_one_word(tags: int) -> None:
    crf = Crf(tags)
    emissions = torch.randn(1, 1, tags)
    total = torch.logsumexp(emissions[0, 0] + crf.start + crf.end, 0)
    torch.testing.assert_close(crf.log_partition(emissions, torch.ones(1, 1).bool())[0], total)


def test_labels_without_a_begin_are_free() -> None:
    labels = ["I-Drug", "O", "B", "I", "X"]
    allowed, first, opening = iob_transitions(labels)
    assert first.tolist() == [True, True, True, False, True]
    assert [labels[i] for i in range(5) if allowed[i, 3]] == ["B", "I"]
    assert allowed[:, [0, 1, 2, 4]].all()
    assert opening.tolist() == [0, 1, 2, 2, 4]


@given(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=5))
def test_gold_tags_become_legal_and_keep_their_mentions(rows: list[list[int]]) -> None:
    labels = ["O", "B-Drug", "I-Drug", "B-Cell", "I-Cell"]
    crf = Crf(5, iob_transitions(labels))
    legal = crf.legal(torch.tensor(rows))
    for before, after in zip(rows, legal.tolist(), strict=True):
        assert chunks([labels[tag] for tag in before]) == chunks([labels[tag] for tag in after])
        assert crf.first[after[0]]
        assert all(crf.allowed[a, b] for a, b in pairwise(after))
    loss = crf.loss(torch.zeros(len(rows), 4, 5), legal, torch.ones(len(rows), 4))
    assert (loss < 100).all()  # a forbidden move would cost 10,000


@given(seed=st.integers(0, 10_000))
def test_no_path_breaks_the_rules(seed: int) -> None:
    labels = ["O", "B-Drug", "I-Drug", "B-Cell", "I-Cell"]
    crf = Crf(5, iob_transitions(labels))
    emissions = 20 * torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(2, 6)
    for path in (*crf.decode(emissions, mask), *crf.max_marginals(emissions, mask).argmax(-1).tolist()):
        assert crf.first[path[0]]
        assert all(crf.allowed[a, b] for a, b in pairwise(path))
