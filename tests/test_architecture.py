"""The pictures of `docs/architecture.md` are those of the code, and there are no import cycles."""

from __future__ import annotations

import ast
import importlib.util
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
assert _spec is not None
assert _spec.loader is not None
architecture = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(architecture)


@pytest.mark.parametrize("name", architecture.PICTURES)
def test_pictures_are_those_of_the_code(name: str) -> None:
    drawn = architecture.PICTURES[name]()
    assert (DOCS / name).read_text(encoding="utf-8") == drawn, "run `python docs/architecture.py`"


def test_every_package_has_a_purpose() -> None:
    rooms = architecture.floors_test().HEIGHT
    purposes = {name: architecture.first_line(ast.parse(path.read_text())) for name, path in architecture.modules()}
    assert not [room for room in rooms if not purposes[room]]


def test_no_import_cycles_even_for_types() -> None:
    graph = architecture.module_imports()
    assert len(graph) > 150
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
