"""A shelf is a sorted map, whatever the strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from biomtl.corpora.shelf import Shelf

STRINGS = st.text(st.characters(exclude_categories=()), max_size=3)  # halves of surrogate pairs, NULs and all


@given(st.lists(st.tuples(STRINGS, STRINGS)), STRINGS)
def test_a_shelf_is_a_sorted_map(pairs: list[tuple[str, str]], other: str) -> None:
    shelf, plain = Shelf(), dict[str, str]()
    for key, value in pairs:
        assert shelf.add(key, value) == (key not in plain)
        plain.setdefault(key, value)
    assert len(shelf) == len(plain)
    assert list(shelf.items()) == sorted(plain.items())
    assert list(shelf) == sorted(plain)
    assert [key for key, _ in shelf.items(other)] == sorted(key for key in plain if key.startswith(other))
    assert shelf.get(other) == plain.get(other)
    assert (other in shelf) == (other in plain)
