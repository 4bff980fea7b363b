"""The lazy group: the help that it shows without importing a command is that of the command."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from biomtl.cli.commands import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_table_is_that_of_the_docstring(name: str) -> None:
    command = getattr(import_module(f"biomtl.cli.{name}"), name)
    first = (inspect.getdoc(command) or "").partition("\n\n")[0].replace("\n", " ")
    assert COMMANDS[name] == first


def modules_of(*words: str) -> set[str]:
    """The commands' modules that a call has imported."""
    code = f"""
import sys
from biomtl.cli.main import app
try:
    app({list(words)!r}, standalone_mode=False)
except Exception as error:
    print(type(error).__name__)
print("MODULES", *(name for name in sys.modules if name.startswith("biomtl.cli.")))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.rpartition("MODULES")[2].split())
    return {name for name in COMMANDS if f"biomtl.cli.{name}" in loaded}


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["trian"], set()),
        (["tasks", "--help"], {"tasks"}),
        (["score", "--nonsense"], {"score"}),
    ],
)
def test_a_command_is_imported_when_it_is_asked_for(words: list[str], loaded: set[str]) -> None:
    assert modules_of(*words) == loaded


def test_completion_of_names_imports_no_command() -> None:
    code = """
import sys, typer
from biomtl.cli.main import app
group = typer.main.get_command(app)
context = group.make_context("biomtl", [], resilient_parsing=True)
print(*(item.value for item in group.shell_complete(context, "e")))
print("torch" in sys.modules, "biomtl.cli.embed" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, heavy = run.stdout.splitlines()[-2:]
    assert set(names.split()) == {name for name in COMMANDS if name.startswith("e")}
    assert heavy == "False False"


def test_help_shows_no_python_types(command: Any) -> None:
    for words in ((), ("train",), ("predict",), ("study", "seeds"), ("finetune",)):
        out = command(*words, "--help").out
        assert "<bool>" not in out
        assert "[[" not in out
    assert "[KEY=VALUE]..." in command("train", "--help").out
