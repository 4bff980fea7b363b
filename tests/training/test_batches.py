"""The batch planner: budgets, completeness, and that nothing drifts with length."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.training.batches import plan_batches, shard

lengths_of = st.lists(st.integers(1, 200), min_size=1, max_size=120)


def corpus(entries: int = 6000, seed: int = 0):
    """(lengths, labels): log-normal lengths as sentences have, and a label that is more frequent in short texts."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(3.7, 0.6, entries), 5, 128).astype(np.int64)
    labels = random.random(entries) < np.where(lengths < np.median(lengths), 0.4, 0.1)
    return lengths, labels, random.permutation(entries)


@settings(deadline=None)
@given(lengths_of, st.data(), st.integers(1, 9), st.integers(0, 99))
def test_budgets_are_kept_and_every_sample_occurs(values, data, pool_batches, seed):
    lengths = np.array(values)
    rows = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values))))
    order = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=200)), dtype=np.int64)
    batches = plan_batches(order, lengths, batch_tokens=256, rows=rows, pool_batches=pool_batches, seed=seed)
    for batch in batches:
        assert len(batch) == 1 or rows[batch].sum() * lengths[batch].max() <= 256
        assert len(batch)
    together = np.concatenate([*batches, order[:0]])
    assert sorted(together) == sorted(order)
    again = plan_batches(order, lengths, batch_tokens=256, rows=rows, pool_batches=pool_batches, seed=seed)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


@settings(deadline=None)
@given(lengths_of, st.integers(1, 40), st.integers(1, 9))
def test_batches_of_a_number_of_entries(values, size, pool_batches):
    order = np.random.default_rng(0).permutation(len(values))
    batches = plan_batches(order, np.array(values), batch_size=size, pool_batches=pool_batches)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == len(values)
    assert max(sizes) <= size
    assert min(sizes) >= max(1, size // 2) or len(values) < size  # no runt
    assert sorted(np.concatenate(batches)) == list(range(len(values)))


def test_one_of_tokens_and_size_is_needed():
    for options in ({}, {"batch_tokens": 5, "batch_size": 5}):
        with pytest.raises(ValueError, match="choose one of batch_tokens and batch_size"):
            plan_batches(np.arange(3), np.ones(3, dtype=np.int64), **options)


def test_an_entry_over_the_budget_stands_alone():
    lengths = np.array([10, 500, 10, 10])
    batches = plan_batches(np.arange(4), lengths, batch_tokens=100)
    assert [1] in [batch.tolist() for batch in batches]
    assert len(batches) == 2


def fill(batches: list[np.ndarray], lengths: np.ndarray) -> float:
    """Real positions / all positions."""
    return sum(lengths[batch].sum() for batch in batches) / sum(len(batch) * lengths[batch].max() for batch in batches)


def test_almost_nothing_is_padding():
    lengths, _, order = corpus()
    random = np.array_split(order, len(plan_batches(order, lengths, batch_tokens=2048)))
    assert fill(random, lengths) < 0.5
    assert fill(plan_batches(order, lengths, batch_tokens=2048), lengths) > 0.97
    assert fill(plan_batches(order, lengths, batch_size=32), lengths) > 0.95


def test_batches_are_about_equally_full():
    """The budget is spread over all batches of a pool, so that no batch has only a few rows."""
    lengths, _, order = corpus()
    used = [len(batch) * lengths[batch].max() for batch in plan_batches(order, lengths, batch_tokens=2048)]
    assert min(used) > 0.5 * 2048
    assert np.mean(used) > 0.95 * 2048


def test_order_has_nothing_to_do_with_length():
    lengths, _, order = corpus()
    correlations = []
    for seed in range(10):
        batches = plan_batches(order, lengths, batch_tokens=1024, seed=seed)
        means = [lengths[batch].mean() for batch in batches]
        correlations.append(np.corrcoef(means, np.arange(len(means)))[0, 1])
    assert abs(np.mean(correlations)) < 0.05
    assert max(map(abs, correlations)) < 0.15


def test_labels_do_not_drift():
    """Over sixteen steps the label mix is nearly as even as that of random batches of the same sizes."""
    lengths, labels, order = corpus()

    def unevenness(batches: list[np.ndarray]) -> float:
        rates = [labels[np.concatenate(batches[i : i + 16])].mean() for i in range(len(batches) - 15)]
        return float(np.abs(np.array(rates) - labels.mean()).mean())

    ours, long_to_short, chance = [], [], []
    for seed in range(6):
        batches = plan_batches(order, lengths, batch_tokens=1024, seed=seed)
        shuffled = np.random.default_rng(seed).permutation(order)
        chance.append(unevenness(np.split(shuffled, np.cumsum([len(batch) for batch in batches])[:-1])))
        ours.append(unevenness(batches))
        long_to_short.append(unevenness(sorted(batches, key=lambda batch: -lengths[batch].max())))
    assert np.mean(ours) < 1.6 * np.mean(chance)
    assert np.mean(long_to_short) > 3 * np.mean(ours)  # the measure sees the trap


def test_every_few_steps_span_all_lengths():
    lengths, _, order = corpus()
    batches = plan_batches(order, lengths, batch_tokens=1024, pool_batches=64)
    longest = np.array([lengths[batch].max() for batch in batches])
    for start in range(len(batches) - 12):
        window = longest[start : start + 12]  # wherever a pool begins, a whole round of four lies in it
        assert window.min() < np.quantile(longest, 0.3)
        assert window.max() > np.quantile(longest, 0.7)


@pytest.mark.parametrize("options", [{"batch_tokens": 300}, {"batch_size": 10}])
def test_groups_never_share_a_batch_and_come_mixed(options):
    """Three tasks (entries 0-99, 100-199, 200-299); each batch holds rows of one task."""
    order = np.random.default_rng(0).permutation(300)
    lengths = 20 + np.arange(300) % 20
    batches = plan_batches(order, lengths, groups=np.arange(300) // 100, pool_batches=4, **options)
    turns = [batch[0] // 100 for batch in batches]
    assert all((batch // 100 == batch[0] // 100).all() for batch in batches)
    assert sorted(np.concatenate(batches)) == list(range(300))
    changes = sum(one != other for one, other in itertools.pairwise(turns))
    assert changes > len(turns) / 3


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(1, 8))
def test_processes_get_equally_many_batches_and_all_entries(sizes, world):
    batches = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    if sum(sizes) < world:
        with pytest.raises(InputError, match="processes"):
            shard(batches, 0, world)
        return
    shares = [shard(batches, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    entries = np.concatenate([batch for share in shares for batch in share])
    repeated = max(0, world * -(-len(sizes) // world) - sum(sizes))  # only where no batch is left to halve
    assert sorted(entries) == sorted([*range(sum(sizes)), *range(repeated)])


def test_batches_of_one_text_for_two_processes():
    """As with ``batch_size: 1``, or a budget that one long text fills; any odd number of them was refused."""
    batches = [np.array([number]) for number in (4, 2, 0, 3, 1)]
    assert [[int(i) for [i] in shard(batches, rank, 2)] for rank in (0, 1)] == [[4, 0, 1], [2, 3, 4]]


def test_one_process_gets_the_plan_as_it_is():
    batches = [np.array([3, 1]), np.array([2])]
    assert shard(batches, 0, 1) == batches
