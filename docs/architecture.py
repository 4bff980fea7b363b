"""The two pictures of `architecture.md`, drawn from the source: ``python docs/architecture.py`` writes them anew.

``python docs/architecture.py PACKAGE`` prints figures of a package's folder instead, such as ``src/biomtl``.

The rooms and their imports are read off the code; the steps of the data's way are looked up in it, so that a step
that is renamed or returns something else changes the picture, and one that is gone is an error.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import shorten
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "biomtl"
# (module, definition): the way of a record from a corpus to a score.
WAY = (
    ("corpora.reader", "Reader.read"),
    ("prepare.prepare", "prepare"),
    ("suite", "load_suite"),
    ("tasks.types.base", "TaskType.text"),
    ("text.base", "TextProcessor.encode"),
    ("batch", "encode_examples"),
    ("training.mixer", "Mixer.epoch"),
    ("training.batches", "plan_batches"),
    ("batch", "collate"),
    ("encoders.base", "Encoder.forward"),
    ("model", "MultiTaskModel.forward"),
    ("tasks.types.base", "TaskType.decode"),
    ("scoring.scorer", "score"),
    ("report.page", "write_report"),
)
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 } .small { font-size: 11px; fill: #52606d }
.code { font-family: ui-monospace, monospace; font-size: 12px } .name { font-weight: 600 }
rect { fill: #f5f7fa; stroke: #9aa5b1 } path { fill: none; stroke: #829ab1; stroke-opacity: .55 }
path.back { stroke: #d64545; stroke-opacity: 1; stroke-width: 2 } .sheet { fill: #fff; stroke: none }
"""


def floors_test() -> ModuleType:
    """`tests/test_imports.py`, which holds the order of the rooms and reads a file's imports."""
    spec = importlib.util.spec_from_file_location("test_imports", ROOT / "tests" / "test_imports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules(package: Path = PACKAGE) -> Iterator[tuple[str, Path]]:
    """Every module of the package by its name below ``biomtl``."""
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        if name:
            yield name, path


def first_line(node: ast.Module | ast.FunctionDef) -> str:
    """The first line of a docstring, without its stop."""
    return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")


def draw_rooms() -> str:
    """An arc diagram: the rooms from the command line down to the ground, an arc where one imports from another."""
    test = floors_test()
    rooms: dict[str, int] = dict(test.HEIGHT)
    order = sorted(rooms, key=lambda room: (-rooms[room], room))
    place = {room: 44 + 34 * number for number, room in enumerate(order)}
    purposes = {name: first_line(ast.parse(path.read_text(encoding="utf-8"))) for name, path in modules()}
    arrows = sorted(room_imports(rooms))
    upward = [pair for pair in arrows if rooms[pair[1]] > rooms[pair[0]]]
    parts = [
        f'<text x="10" y="20">{len(rooms)} rooms; {len(arrows)} arcs for imports, {len(upward)} of them upward</text>'
    ]
    for source, target in arrows:
        top, bottom = place[source] + 4, place[target] - 4
        reach = 652 + abs(bottom - top) * 0.31
        css = ' class="back"' if (source, target) in upward else ""
        curve = f"M640 {top} C{reach:.0f} {top} {reach:.0f} {bottom} 640 {bottom}"
        parts.append(f'<path{css} d="{curve}"><title>{source} imports {target}</title></path>')
    for room in order:
        y = place[room]
        parts.append(f'<rect x="10" y="{y - 15}" width="630" height="30" rx="4"/>')
        parts.append(f'<text class="code name" x="18" y="{y - 2}">{escape(room)}</text>')
        parts.append(f'<text class="small" x="18" y="{y + 11}">{shown(purposes[room], 114)}</text>')
    return sheet(930, 44 + 34 * len(order), parts)


def room_imports(rooms: dict[str, int]) -> set[tuple[str, str]]:
    """Which room imports from which other one at run time, inside functions too."""
    test = floors_test()
    arrows = set()
    for name, path in modules():
        own = test.unit_of(f"biomtl.{name}")
        others = {test.unit_of(target) for target, _ in test.imported(path)}
        arrows |= {(own, other) for other in others if other in rooms and other != own}
    return arrows


def module_imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """What each module imports, at run time or for its types; a package's ``__init__`` counts only by its own name."""
    known = dict(modules(package))
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("biomtl."):
                module = str(node.module).removeprefix("biomtl.")
                inside = {f"{module}.{alias.name}" for alias in node.names} & set(known)
                graph[name] |= inside if len(inside) == len(node.names) else inside | {module}
    return graph


def shown(text: str, width: int) -> str:
    """Prose of a docstring, cut at a word to fit."""
    return escape(shorten(text.replace("`", ""), width, placeholder=" …"))


def definition(module: str, name: str) -> tuple[str, str]:
    """What a definition returns, and the first line of its docstring."""
    path = PACKAGE / (module.replace(".", "/") + ".py")
    node: ast.AST = ast.parse(path.read_text(encoding="utf-8"))
    for part in name.split("."):
        inside = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part]
        if not inside:
            raise SystemExit(f"docs/architecture.py: {module} has no {name}; mend WAY")
        node = inside[0]
    assert isinstance(node, ast.FunctionDef)
    returns = ast.unparse(node.returns) if node.returns else "None"
    return returns, first_line(node)


def draw_way() -> str:
    """The steps one below the other, each with what it returns to the next."""
    parts = []
    for number, (module, name) in enumerate(WAY):
        y = 14 + 58 * number
        returns, purpose = definition(module, name)
        parts.append(f'<rect x="10" y="{y}" width="720" height="38" rx="4"/>')
        parts.append(f'<text class="code name" x="20" y="{y + 16}">{escape(f"{module}.{name}")}</text>')
        parts.append(f'<text class="small" x="20" y="{y + 31}">{shown(purpose, 130)}</text>')
        if number + 1 < len(WAY):
            parts.append(f'<path stroke-width="2" d="M270 {y + 38} v16 m-4 -5 l4 5 l4 -5"/>')
            parts.append(f'<text class="small code" x="282" y="{y + 52}">{escape(returns)}</text>')
    return sheet(740, 14 + 58 * len(WAY), parts)


def sheet(width: int, height: int, parts: list[str]) -> str:
    """An SVG of that size."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join(
        [
            head,
            f"<style>{STYLE}</style>",
            f'<rect class="sheet" width="{width}" height="{height}"/>',
            *parts,
            "</svg>\n",
        ]
    )


PICTURES = {"architecture-way.svg": draw_way, "architecture-rooms.svg": draw_rooms}


def figures(package: Path) -> str:
    """Files, lines, imports inside functions, and modules that import themselves by way of others."""
    files = sorted(package.rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    inside = 0
    for text in texts:
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        nodes = {node for function in functions for node in ast.walk(function)}
        inside += sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)
    graph = module_imports(package)

    def reached(module: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph[module])
        while waiting:
            if (name := waiting.pop()) not in seen:
                seen.add(name)
                waiting += graph.get(name, ())
        return seen

    circular = sorted(module for module in graph if module in reached(module))
    lines = sum(len(text.splitlines()) for text in texts)
    longest = max(len(text.splitlines()) for text in texts)
    numbers = f"{len(files)} files, {lines:,} lines, the longest {longest}; {inside} imports inside functions"
    return f"{numbers}; in circles: {', '.join(circular) or 'none'}\n"


if __name__ == "__main__" and len(sys.argv) > 1:
    sys.stdout.write(figures(Path(sys.argv[1])))
elif __name__ == "__main__":
    for file, draw in PICTURES.items():
        (Path(__file__).parent / file).write_text(draw(), encoding="utf-8")
        sys.stdout.write(f"docs/{file}\n")
