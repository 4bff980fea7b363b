"""The importance of searched keys: what decides the score has it, what does nothing has none."""

from __future__ import annotations

import numpy as np
import pytest

from biomtl.study.importance import importance


def searched(count: int, seed: int) -> list[dict[str, float | str]]:
    random = np.random.default_rng(seed)
    return [
        {"rate": float(random.random()), "policy": "abc"[i % 3], "idle": float(random.random())} for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_list_that_decides_is_more_important_than_an_idle_range(seed: int) -> None:
    trials = searched(20, seed)
    worth = {"a": 0.7, "b": 0.6, "c": 0.5}
    noise = np.random.default_rng(seed).normal(scale=0.01, size=20)
    found = importance(
        trials, [worth[str(t["policy"])] + x for t, x in zip(trials, noise, strict=True)], ["rate", "idle"]
    )
    assert next(iter(found)) == "policy"
    assert found["policy"] > 0.95
    assert max(found["rate"], found["idle"]) < 0.4


def test_a_range_with_its_best_value_in_the_middle() -> None:
    trials = searched(60, 1)
    found = importance(trials, [-abs(float(t["rate"]) - 0.5) for t in trials], ["rate", "idle"])
    assert next(iter(found)) == "rate"
    assert found["rate"] > 0.5


def test_by_hand() -> None:
    """Between 4, within 1 with two degrees of freedom: (4 - 0.5) / (5 + 0.5)."""
    trials = [{"policy": name} for name in "aabb"]
    assert importance(trials, [0.0, 1.0, 2.0, 3.0], []) == {"policy": pytest.approx(3.5 / 5.5)}


def test_what_cannot_be_estimated_is_left_out() -> None:
    assert importance([], [], []) == {}
    assert importance([{"policy": "a"}, {"policy": "b"}], [0.1, 0.2], []) == {}
    assert importance([{"policy": "a"}] * 3, [0.1, 0.2, 0.3], []) == {}
    assert importance([{"policy": name} for name in "aab"], [0.1, 0.1, 0.1], []) == {}
