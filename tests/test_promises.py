"""docs/promises.md names tests that exist."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
FIGURES = ("kills", "damaged files", "fuzz inputs")
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ")
    and not line.startswith(("| ---", "| promise", "| kind", *(f"| {kind} |" for kind in FIGURES)))
]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_page_has_promises() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_every_promise_is_kept_by_tests_that_exist(row: str) -> None:
    promise, kept, figure = (cell.strip() for cell in row.strip("|").split("|"))
    assert promise
    assert figure
    tests = NAMED.findall(kept)
    assert tests, "no test is named"
    for path, name in tests:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path} has no {name}"


@pytest.mark.parametrize(
    ("kind", "file", "counts"),
    zip(FIGURES, ("kills", "damage", "fuzz"), ("killed", "read", "inputs"), strict=True),
)
def test_figures_are_those_of_the_results(kind: str, file: str, counts: str) -> None:
    results = json.loads((ROOT / "torture" / "results" / f"{file}.json").read_text(encoding="utf-8"))
    total = sum(results["counts"][counts].values())
    assert f"| {kind} | {total:,} | {results['wrong']:,} |" in PAGE
