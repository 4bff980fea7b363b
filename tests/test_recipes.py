"""The packaged recipes: by name, by their old path, in a wheel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from biomtl.errors import InputError
from biomtl.recipes import packaged_recipes, recipe_file
from biomtl.training.recipe_io import load_recipe

NAMES = ["blue-bert", "blue-elmo", "blue-public-minilm", "mt-bluebert", "sample", "single-task-minilm"]


@pytest.mark.parametrize("name", NAMES)
def test_each_recipe_is_found_and_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no checkout
    assert load_recipe(name) == load_recipe(f"recipes/{name}.yaml")
    assert load_recipe(name).output == f"runs/{name}"


def test_a_file_of_the_users_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample").write_text("encoder: mine\ntasks: hoc\n", encoding="utf-8")
    assert load_recipe("sample").encoder == "mine"
    assert recipe_file("other/sample.yaml") == Path("other/sample.yaml")
    with pytest.raises(InputError, match="smaple: no such file"):
        load_recipe("smaple")


def test_the_command_lists_and_prints_them(command: Callable[..., Any]) -> None:
    listed = command("recipes")
    assert [line.split()[0] for line in listed.out.splitlines() if not line.startswith(" ")] == NAMES
    assert "what `biomtl quickstart` runs" in " ".join(listed.out.split())
    printed = command("recipes", "sample").out
    assert yaml.safe_load(printed) == yaml.safe_load(packaged_recipes()["sample"].read_text(encoding="utf-8"))
    wrong = command("recipes", "smaple")
    assert (wrong.code, "did you mean 'sample'" in wrong.err) == (2, True)
