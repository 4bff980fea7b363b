"""Whatever a message tells the user to type exists: options, commands, keys of a recipe."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import biomtl
from biomtl.cli.main import app
from biomtl.scoring.metrics import METRICS
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import Task
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_tasks import TaskOptions

ROOT = Path(biomtl.__file__).parent
# Of torchrun, Accelerate and MT-DNN.
OTHER_TOOLS = {"--standalone", "--nproc_per_node", "--num_processes", "--cpu", "--use_fsdp", "--optimizer"}
OTHER_KEYS = {"key", "extra_forbidden"}  # a place for any key; pydantic's name of a fault
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9_-]*[a-z0-9]")
COMMAND = re.compile(r"`biomtl ([a-z]+)")
KEY = re.compile(r"`([a-z_]+): [^`]*`")
BARE_KEY = re.compile(r"(?<![\w.`'\"-])[a-z]+(?:_[a-z]+)+(?![\w(.=])")


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """All strings of a module that are not docstrings."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, owners)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


def fixes(tree: ast.AST) -> Iterator[ast.Constant]:
    """The strings that say what to do: those given as ``fix``, directly or by a variable of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = [node.arg] if isinstance(node, ast.keyword) and node.arg else []
        if "fix" in names:
            yield from strings(node)


@cache
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
        if "elmoft" not in path.parts  # has flags of its own, those of the seed
    }


@cache
def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    named = {name: group.commands[name] for name in group.list_commands(None)}
    return named | {
        f"{name} {sub}": command
        for name, parent in named.items()
        for sub, command in getattr(parent, "commands", {}).items()
    }


@cache
def options() -> frozenset[str]:
    group = typer.main.get_command(app)
    parameters = [p for command in (group, *commands().values()) for p in command.params]
    return frozenset(o for p in parameters for o in (*p.opts, *p.secondary_opts)) | {"--help"} | OTHER_TOOLS


KEYS = {*Recipe.model_fields, *TaskOptions.model_fields, *RelationArguments.model_fields, *Task.model_fields, *METRICS}


def wrong() -> Iterator[str]:
    for name, tree in modules().items():
        for node in strings(tree):
            text = str(node.value)
            missing = [option for option in OPTION.findall(text) if option not in options()]
            missing += [f"biomtl {command}" for command in COMMAND.findall(text) if command not in commands()]
            missing += [f"{key}:" for key in KEY.findall(text) if key not in KEYS | OTHER_KEYS]
            yield from (f"{name}:{node.lineno}: {word}" for word in missing)
        for node in fixes(tree):
            for key in BARE_KEY.findall(str(node.value)):
                if key not in KEYS | OTHER_KEYS:
                    yield f"{name}:{node.lineno}: {key}"


def test_hints_name_only_what_exists() -> None:
    assert len(commands()) > 10
    assert len(options()) > 30
    assert list(wrong()) == []


@pytest.mark.parametrize(
    "code",
    [
        'raise InputError("x", fix="add --overwright")',
        'fix = f"run `biomtl prepair {x}`"',
        'print("say `seperator: x`")',
        'raise InputError("x", fix="lower learn_rate")',
    ],
)
def test_a_hint_that_names_nothing_is_found(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(modules(), "new.py", ast.parse(code))
    assert len(list(wrong())) == 1
