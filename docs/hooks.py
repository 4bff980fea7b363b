"""Pages of the site that are written from the code, so that they can't disagree with it."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import biomtl
from biomtl.tasks import known_tasks

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

URL = re.compile(r"https?://[^\s;,()]+")
INLINE = re.compile(r"(?<!</span><code>)(?<!<pre><code>)(?<=<code>)[^<]+(?=</code>)")
HYPHENED = re.compile(r"(?:&#?\w+;|[^\s/&]){0,30}-(?:&#?\w+;|[^\s/&]){1,30}")  # phones have room for no more
CELL = re.compile(r"(?<=<td>)[^<]+(?=</td>)")
INTERVAL = re.compile(r"\(?[-+]?\d[\d.,]*(?:-| to )[-+]?\d[\d.,]*\)?")
# The Python reference: a page per object, the ones that people need first at the top; page -> what stands on it.
PAGES = {
    "Predictor": (
        "Predictor",
        "Result",
        "biomtl.inference.predictor.PredictedMention",
        "biomtl.inference.predictor.TokenizedText",
    ),
    "Annotator": ("Annotator",),
    "Document": ("Document", "Mention", "Relation", "biomtl.formats.model.Passage"),
    "train": ("train", "Run"),
    "Recipe": ("Recipe",),
    "Suite": ("load_suite", "Suite", "biomtl.suite.TaskData"),
    "Task": ("get_task", "Task", "biomtl.tasks.types.base.TaskType"),
    "score": ("score", "Score", "biomtl.scoring.result.MetricResult", "biomtl.scoring.metrics.Metric"),
    "MultiTaskModel": ("MultiTaskModel",),
    "frames": ("to_frame", "from_frame"),
    "formats": (
        "biomtl.formats.pubtator",
        "biomtl.formats.bioc",
        "biomtl.formats.brat",
        "biomtl.formats.conll",
        "biomtl.formats.delimited",
    ),
    "engines": ("biomtl.inference.engines.onnx.OnnxEngine",),
    "elmo": ("biomtl.encoders.elmo.weights.load_elmo", "biomtl.encoders.elmo.encode.encode"),
    "errors": ("InputError",),
}


def on_files(files: Files, config: Any) -> Files:
    """Add the task catalogue, the command line's reference and the Python reference."""
    from mkdocs.structure.files import File  # here, so that tests import this file without mkdocs

    generated = {"tasks.md": _tasks(), "reference/cli.md": _cli(), "reference/python.md": _python()}
    generated |= {f"reference/{name}.md": _object(name) for name in PAGES}
    for name, page in generated.items():
        files.append(File.generated(config, name, content=page))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Keep whole what a browser would break: in inline code after a hyphen, in tables intervals (0.834-0.868)."""
    for text, part in ((INLINE, HYPHENED), (CELL, INTERVAL)):
        html = text.sub(lambda found, part=part: part.sub(r'<span class="whole">\g<0></span>', found[0]), html)
    return html


def _tasks() -> str:
    rows = ["# Tasks", "", "| task | also called | type | metric | licence |", "| --- | --- | --- | --- | --- |"]
    for task in known_tasks().values():
        rows.append(f"| `{task.name}` | {', '.join(task.aliases)} | {task.type} | {task.metric} | {task.licence} |")
    for task in known_tasks().values():
        if task.catalogue:
            low, high = task.score_range or (0, 1)
            rows += ["", f"## {task.name}", "", task.catalogue.title + "."]
            rows += ["", "Get it: " + URL.sub(r"<\g<0>>", task.catalogue.obtain)]
            rows += ["", f"Labels: {', '.join(task.labels)}" if task.labels else f"Score: {low:g} to {high:g}"]
            rows += ["", f"Cite: {task.catalogue.citation}"]
    return "\n".join(rows) + "\n"


def _cli() -> str:
    command = [sys.executable, "-m", "typer", "biomtl.cli.main", "utils", "docs", "--name", "biomtl"]
    return "# Command line\n\n" + subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _python() -> str:
    """The list of the pages, each with the first line of what it is about."""
    lines = ["# Python", "", "`import biomtl` gives all names that stand here without a module.", ""]
    for page, names in PAGES.items():
        about = (inspect.getdoc(defined(names[0])) or "").partition("\n")[0]
        lines.append(f"- [{page}]({page}.md): {about}")
    return "\n".join(lines) + "\n"


def _object(page: str) -> str:
    """A page of the reference; mkdocstrings fills it in."""
    return f"# {page}\n\n" + "\n\n".join(f"::: {_place(name)}" for name in PAGES[page]) + "\n"


def defined(name: str) -> Any:
    """What a public name, or a complete one, stands for."""
    if "." not in name:
        return getattr(biomtl, name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, inner = name.rpartition(".")
        return getattr(importlib.import_module(module), inner)


def _place(name: str) -> str:
    """The complete name: the package's are imported on demand, so each is asked where it was defined."""
    item = defined(name)
    return name if "." in name else f"{item.__module__}.{item.__qualname__}"
