"""Schemes of tags, and the chunks that they mark: one definition for reading, scoring and predicting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import biomtl
from biomtl.text.tags import chunks, to_iob2


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x O B-x", "B-x I-x O B-x"),  # IOB2
        ("I-x I-x O I-x B-x I-y", "B-x I-x O B-x B-x B-y"),  # IOB1
        ("B-x E-x S-x B-y I-y E-y I-y", "B-x I-x B-x B-y I-y I-y B-y"),  # IOBES
        ("B-x L-x U-x O", "B-x I-x B-x O"),  # BILOU
        ("B I O I", "B I O B"),
    ],
)
def test_schemes(tags: str, expected: str) -> None:
    assert to_iob2(tags.split()) == expected.split()


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-X I-X O", [(1, 3, "X")]),
        ("I-X I-X", [(0, 2, "X")]),
        ("B-X B-X I-Y", [(0, 1, "X"), (1, 2, "X"), (2, 3, "Y")]),
        ("O O", []),
        ("B-a-b I-a-b", [(0, 2, "a-b")]),
    ],
)
def test_spans_of_tags(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert chunks(tags.split()) == spans


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=20))
def test_spans_cover_every_tagged_word_once(tags: list[str]) -> None:
    spans = chunks(tags)
    inside = [i for first, last, _ in spans for i in range(first, last)]
    assert inside == [i for i, tag in enumerate(tags) if tag != "O"]
    assert all(tags[i].endswith(kind) for first, last, kind in spans for i in range(first, last))
    assert all(tag[0] == "I" for first, last, _ in spans for tag in tags[first + 1 : last])


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]), max_size=20))
def test_chunks_are_the_same_in_every_scheme(tags: list[str]) -> None:
    assert chunks(to_iob2(tags)) == chunks(tags)


@pytest.mark.parametrize("name", ["Mention", "Sentence", "Overlap", "Row", "chunks"])
def test_each_name_is_defined_once(name: str) -> None:
    kinds = (ast.ClassDef, ast.FunctionDef)
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(biomtl.__file__).parent.rglob("*.py")]
    assert sum(isinstance(node, kinds) and node.name == name for tree in trees for node in ast.walk(tree)) == 1
