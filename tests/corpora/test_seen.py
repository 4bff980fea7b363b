"""Ids seen before are known, however many there were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomtl.corpora import seen


@given(st.lists(st.text(max_size=2)), st.integers(1, 5))
def test_seen_is_a_set(names: list[str], recent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "RECENT", recent)
        known, plain = seen.Seen(), set()
        for name in names:
            assert known.add(name) == (name not in plain)
            plain.add(name)
