"""The mixer, on three tasks whose entries show their task: 0-99, 100-199, 200-299."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.training.mixer import Mixer

CHEM, DDI, HOC = frozenset(["chem"]), frozenset(["ddi"]), frozenset(["hoc"])
BOTH = frozenset(["chem", "disease"])
ITEMS = [CHEM] * 100 + [DDI] * 100 + [HOC] * 25  # entries 0-99, 100-199, 200-224


def examples(mixer: Mixer, items: list[frozenset[str]], epoch: int) -> Counter[str]:
    """How often each task is trained in an epoch."""
    return Counter(task for entry in mixer.epoch(epoch) for task in items[entry])


def test_proportional_takes_every_entry_once_per_epoch():
    for epoch in range(3):
        assert sorted(Mixer(ITEMS).epoch(epoch)) == list(range(225))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"policy": "proportional"}, {"chem": 100, "ddi": 100, "hoc": 25}),
        ({"policy": "sqrt"}, {"chem": 90, "ddi": 90, "hoc": 45}),
        ({"policy": "temperature", "temperature": 2}, {"chem": 90, "ddi": 90, "hoc": 45}),
        ({"policy": "uniform"}, {"chem": 75, "ddi": 75, "hoc": 75}),
        ({"policy": "fixed", "weights": {"chem": 6, "ddi": 2, "hoc": 1}}, {"chem": 150, "ddi": 50, "hoc": 25}),
    ],
)
def test_policies_share_out_an_epoch(options, expected):
    mixer = Mixer(ITEMS, **options)
    assert examples(mixer, ITEMS, 0) == expected
    assert {row.task: row.examples for row in mixer.plan()} == expected


def test_annealing_goes_from_proportional_to_nearly_uniform():
    mixer = Mixer(ITEMS, policy="annealed", epochs=5)
    hoc = [examples(mixer, ITEMS, epoch)["hoc"] for epoch in range(5)]
    assert hoc[0] == 25
    assert hoc == sorted(hoc)
    end = 25**0.2 / (25**0.2 + 2 * 100**0.2)  # exponent 0.2 in the last epoch
    assert hoc[-1] == pytest.approx(225 * end, abs=1)
    assert examples(mixer, ITEMS, 9)["hoc"] == pytest.approx(hoc[-1], abs=1)  # longer than planned: stays there


def test_a_shared_text_is_drawn_once_for_all_its_tasks():
    items = [BOTH] * 100 + [DDI] * 50  # 250 examples in 150 texts
    assert len(Mixer(items).epoch(0)) == 150
    assert examples(Mixer(items), items, 0) == {"chem": 100, "disease": 100, "ddi": 50}
    for policy in ("sqrt", "uniform"):
        counts = examples(Mixer(items, policy=policy), items, 0)
        assert counts["chem"] == counts["disease"]
        assert sum(counts.values()) == pytest.approx(250, abs=2)
        assert counts["ddi"] > 50


def test_a_pool_is_drawn_for_its_neediest_task():
    items = [BOTH] * 10 + [CHEM] * 990  # disease is rare: its texts come often, and chem's part in them with it
    drawn = Mixer(items, policy="uniform").epoch(0)
    counts = Counter(task for entry in drawn for task in items[entry])
    assert counts["disease"] > 300
    assert sum(counts.values()) == pytest.approx(1010, abs=2)


def test_every_entry_comes_once_before_any_comes_twice_across_epochs():
    mixer = Mixer(ITEMS, policy="uniform")
    seen: Counter[int] = Counter()
    for epoch in range(7):
        seen.update(int(entry) for entry in mixer.epoch(epoch))
        for first, size in ((0, 100), (100, 100), (200, 25)):
            counts = [seen[entry] for entry in range(first, first + size)]
            assert max(counts) - min(counts) <= 1


def test_every_pool_has_its_own_random_stream():
    """Both pools lack a tenth of their entries in an epoch; with a single stream they would lack the same places."""
    drawn = set(Mixer(ITEMS, policy="sqrt").epoch(0).tolist())
    chem, ddi = ({place for place in range(100) if start + place not in drawn} for start in (0, 100))
    assert len(chem) == len(ddi) == 10
    assert len(chem & ddi) < 5


def test_passes_over_a_pool_come_in_different_orders():
    mixer = Mixer([CHEM] * 100, seed=3)
    assert [list(mixer.epoch(epoch)) for epoch in (0, 1)] != [list(mixer.epoch(0))] * 2
    halves = Mixer([CHEM] * 100 + [DDI] * 300, policy="fixed", weights={"chem": 1, "ddi": 7})
    seen = [{entry for entry in halves.epoch(epoch).tolist() if entry < 100} for epoch in range(4)]
    assert seen[0] | seen[1] == seen[2] | seen[3] == set(range(100))
    assert seen[0] != seen[2]  # the second pass is not the first again


def test_a_task_with_less_than_one_sample_per_epoch_is_not_starved():
    items = [CHEM] * 1000 + [HOC]
    mixer = Mixer(items, policy="fixed", weights={"chem": 4000, "hoc": 1})
    assert sum(examples(mixer, items, epoch)["hoc"] for epoch in range(40)) == 10


def test_epochs_are_pure_functions_of_seed_and_number():
    one, other = Mixer(ITEMS, policy="sqrt", seed=7), Mixer(ITEMS, policy="sqrt", seed=7)
    other.epoch(0)
    assert np.array_equal(one.epoch(4), other.epoch(4))
    assert not np.array_equal(one.epoch(4), one.epoch(5))
    assert not np.array_equal(one.epoch(4), Mixer(ITEMS, policy="sqrt", seed=8).epoch(4))


def test_the_order_is_mixed():
    """Every tenth of an epoch holds each task in about its share."""
    items = [CHEM] * 2000 + [DDI] * 1000
    for part in np.array_split(Mixer(items).epoch(0), 10):
        assert 0.55 < (part < 2000).mean() < 0.78


def test_groups_name_the_entries_that_share_their_tasks():
    mixer = Mixer(ITEMS)
    assert [len(set(mixer.group_of[part])) for part in (slice(0, 100), slice(100, 200), slice(200, 225))] == [1, 1, 1]
    assert len(set(mixer.group_of)) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: Mixer([]),
        lambda: Mixer([frozenset()]),
        lambda: Mixer(ITEMS, policy="temperature"),
        lambda: Mixer(ITEMS, policy="fixed", weights={"chem": 1}),
    ],
)
def test_what_can_not_be_mixed_is_refused(call):
    with pytest.raises(ValueError):
        call()


sets = st.frozensets(st.sampled_from("abc"), min_size=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(sets, min_size=1, max_size=60),
    st.sampled_from(["proportional", "sqrt", "uniform", "annealed"]),
    st.integers(0, 2**33),
)
def test_any_mixture_keeps_its_promises(items, policy, seed):
    mixer = Mixer(items, policy=policy, seed=seed, epochs=3)
    total = sum(map(len, items))
    drawn = [examples(mixer, items, epoch) for epoch in range(3)]
    for counts in drawn:  # rounding may move half a draw in each of seven pools, of up to three tasks each
        assert sum(counts.values()) == pytest.approx(total, abs=12)
    for row in mixer.plan():
        assert row.examples == pytest.approx(sum(counts[row.task] for counts in drawn) / 3)
        assert row.passes == pytest.approx(row.examples / row.entries)
    assert sum(row.share for row in mixer.plan()) == pytest.approx(1)
    if policy == "proportional":
        assert sorted(mixer.epoch(2)) == list(range(len(items)))


def test_a_low_temperature_leaves_the_largest_task_alone():
    plan = Mixer([frozenset("a")] * 5000 + [frozenset("b")] * 50, policy="temperature", temperature=0.01).plan()
    assert [(row.task, row.examples) for row in plan] == [("a", 5050), ("b", 0)]
