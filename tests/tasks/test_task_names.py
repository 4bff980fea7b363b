"""BLUE's tasks are data: only their records and the corpora's readers name them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import biomtl
from biomtl.corpora.registry import readers
from biomtl.tasks import known_tasks
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.relation import upgraded

ROOT = Path(biomtl.__file__).parent
READERS = ROOT / "corpora"


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Strings of a module that are a task's name or alias, and identifiers that hold one."""
    names = {name.lower() for task in known_tasks().values() for name in (task.name, *task.aliases)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        words = [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
        words += [node.id] if isinstance(node, ast.Name) else [node.attr] if isinstance(node, ast.Attribute) else []
        for word in words:
            if word.lower().strip("_").replace("_", "-") in names:
                yield word, node.lineno


def test_no_module_names_a_task_but_the_corpora_readers() -> None:
    modules = [path for path in ROOT.rglob("*.py") if READERS not in path.parents]
    assert len(modules) > 100
    found = [f"{path.relative_to(ROOT)}:{line}: {name}" for path in modules for name, line in names_in(path)]
    assert found == []


def test_readers_are_entry_points_originals_first() -> None:
    found = readers()
    assert [type(reader).__name__ for reader in found][-2:] == ["BlueFiles", "BlurbFiles"]
    assert [reader.preference for reader in found] == [0] * 19 + [1, 1]


def test_relation_tasks_define_their_arguments() -> None:
    relations = {name: task.relation for name, task in known_tasks().items() if task.relation}
    assert len(relations) == 6
    for task in known_tasks().values():
        assert (task.relation is None) or task.negative in task.labels
        assert all(
            kind == kind.lower() for kind in (task.relation.first + task.relation.second if task.relation else ())
        )


def test_a_model_saved_as_a_classification_becomes_a_relation_task() -> None:
    """Records of the first release, in saved heads, have another type and may lack the arguments."""
    for task in known_tasks().values():
        if task.relation is None:
            continue
        fields = {**task.model_dump(mode="json", exclude={"relation", "catalogue"}), "type": "classification"}
        upgrade, head = upgraded(Task.model_validate(fields), HeadChoice())
        assert (upgrade.type, upgrade.relation, head.view) == ("relation", task.relation, "mask")
    own = Task(name="own", labels=("a", "b"), metric="accuracy")
    assert upgraded(own, HeadChoice()) == (own, HeadChoice())
    arguments = {"first": ["gene"], "second": ["disease"], "masks": ["@G$", "@D$"], "overlapping": "@GD$"}
    asked = Task.model_validate({**own.dump(), "relation": arguments})
    assert asked.relation is not None
    once = asked.relation.model_copy(update={"directed": False})  # such models asked about each pair once
    assert upgraded(asked, HeadChoice())[0].relation == once
    assert Task.model_validate(asked.dump()) == asked
