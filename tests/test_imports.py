"""One direction of imports, and no torch where none is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import biomtl

ROOT = Path(biomtl.__file__).parent
# From the ground up: a module imports from its own floor and those below, never from one above. A subpackage that lives
# on another floor than its package is named in full; what is new has to be given a place here.
FLOORS = (
    ("errors", "notebook", "signals"),
    ("storage",),
    ("frames", "packaged", "pretrained", "recipes"),
    ("tasks",),
    ("text",),
    ("tasks.views",),
    ("tasks.types",),
    ("formats", "mtdnn", "sample"),
    ("corpora",),
    ("audit", "prepare"),
    ("custom", "download"),
    ("scoring",),
    ("results",),
    ("encoders",),
    ("heads",),
    ("suite", "batch"),
    ("model",),
    ("checkpoints",),
    ("inference",),
    ("report",),
    ("training",),
    ("elmoft", "study"),
    ("reproduce",),
    ("cli", "__main__"),
)
HEIGHT = {unit: height for height, units in enumerate(FLOORS) for unit in units}
HEAVY = ("torch", "transformers", "accelerate", "scipy", "spacy", "h5py")


def unit_of(module: str) -> str | None:
    """The unit of a layer that ``biomtl.…`` belongs to; None for the package itself."""
    parts = module.split(".")[1:]
    two = ".".join(parts[:2])
    return two if two in HEIGHT else parts[0] if parts else None


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """``(module of ours, line)`` for every import of a file that happens at run time, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in types_only:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("biomtl."):
                yield name, node.lineno


def test_lower_layers_never_import_higher_ones() -> None:
    wrong, seen = [], 0
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT)
        module = ".".join(("biomtl", *relative.with_suffix("").parts)).removesuffix(".__init__")
        own = unit_of(module)
        if own is None:
            continue
        assert own in HEIGHT, f"{relative}: give {own!r} a floor"
        for name, line in imported(path):
            other = unit_of(name)
            seen += 1
            if other in HEIGHT and HEIGHT[other] > HEIGHT[own]:
                wrong.append(f"{relative}:{line}: {own} imports {name} from above")
    assert seen > 50
    assert not wrong, "\n".join(wrong)


OPTIONAL = ("datasketch", "h5py", "matplotlib", "onnx", "onnxruntime", "openpyxl", "pyarrow")  # of the extras
SLOW = ("huggingface_hub", "torch", "transformers")  # seconds to import, for modules that work without them too
# Imports of our own inside functions: file -> the reason.
LATE = {
    "__main__.py": "streams and signals are set up before anything is imported",
    "batch.py": "prepared texts need no torch",
    "cli/elmo.py": "devices are chosen before torch is imported",
    "pretrained.py": "needs torch",
    "training/__init__.py": "recipes are read without torch",
    "training/accelerator.py": "FSDP takes a second to import, and few use it",
}


def test_imports_are_at_the_top() -> None:
    wrong, late = [], set()
    for path in sorted(ROOT.rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        functions = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "args")]
        for node in (inner for function in functions for inner in ast.walk(function)):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for package in (name.partition(".")[0] for name in names):
                if package == "biomtl" and file in LATE:
                    late.add(file)
                elif package not in (*OPTIONAL, *SLOW):
                    wrong.append(f"{file}:{node.lineno}: {ast.unparse(node)} inside a function")
    assert wrong == []
    assert late == set(LATE)


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after ``code``."""
    report = "\nimport sys; print('MODULES', *{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    "command", [["--help"], ["score", "--help"], ["tasks"], ["prepare", "--help"], ["train", "--help"]]
)
def test_commands_start_without_heavy_imports(command: list[str]) -> None:
    code = f"from biomtl.cli.main import app; app({command!r}, standalone_mode=False)"
    assert not modules_after(code).intersection(HEAVY)


@pytest.mark.parametrize("package", ["biomtl", "biomtl.tasks", "biomtl.sample"])
def test_packages_import_without_torch(package: str) -> None:
    assert not modules_after(f"import {package}").intersection(HEAVY)


@pytest.mark.parametrize("package", ["biomtl.scoring", "biomtl.corpora"])
def test_no_module_of_scoring_and_corpora_needs_torch(package: str) -> None:
    code = f"""
import importlib, pkgutil, {package} as package
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
"""
    assert not modules_after(code).intersection(HEAVY[:3])


def test_every_public_name_can_be_imported() -> None:
    assert {name for name in biomtl.__all__ if getattr(biomtl, name, None) is None} == set()
