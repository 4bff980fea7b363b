"""Concept identifiers in the notations that annotated documents have."""

from __future__ import annotations

import pytest

from biomtl.text.concepts import concepts_of, split_identifiers


@pytest.mark.parametrize(
    ("cell", "identifiers"),
    [
        ("", []),
        ("D001", ["D001"]),
        ("D001|D002", ["D001", "D002"]),
        ("-1", ["-1"]),
        ("p|SUB|R|12|Q", ["p|SUB|R|12|Q"]),
        ("c|DEL|43_44|", ["c|DEL|43_44|"]),
        ("|Allele|G|12", ["|Allele|G|12"]),
        ("tmVar:c|SUB|G|1|A;RS#:123", ["tmVar:c|SUB|G|1|A;RS#:123"]),
    ],
)
def test_a_cell_of_identifiers(cell: str, identifiers: list[str]) -> None:
    assert list(split_identifiers(cell)) == identifiers


@pytest.mark.parametrize(
    ("identifiers", "concepts"),
    [
        (["D001", "D002", "D001"], ["D001", "D002"]),
        (["D001|D002", "6332,6333;6334"], ["D001", "D002", "6332", "6333", "6334"]),
        (["-", "-1", ""], []),
        (["p|SUB|R|12|Q, rs12"], ["p|SUB|R|12|Q", "rs12"]),
        (["tmVar:c|SUB|G|1|A;RS#:123"], ["tmVar:c|SUB|G|1|A", "RS#:123"]),
    ],
)
def test_concepts_of_a_mention(identifiers: list[str], concepts: list[str]) -> None:
    assert list(concepts_of(identifiers)) == concepts
