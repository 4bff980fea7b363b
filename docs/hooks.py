"""Pages of the site that are written from the code, so that they can't disagree with it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from mkdocs.structure.files import File, Files

import biomtl
from biomtl.tasks import known_tasks

# What else the pages name, by module.
FURTHER = (
    "biomtl.errors.InputError",
    "biomtl.inference.predictor.Result",
    "biomtl.inference.predictor.PredictedMention",
    "biomtl.scoring.result.Score",
    "biomtl.scoring.result.MetricResult",
    "biomtl.scoring.metrics.Metric",
    "biomtl.tasks.types.base.TaskType",
    "biomtl.formats.model",
    "biomtl.formats.pubtator",
    "biomtl.formats.bioc",
    "biomtl.formats.brat",
    "biomtl.formats.conll",
    "biomtl.formats.delimited",
    "biomtl.encoders.elmo.weights.load_elmo",
    "biomtl.encoders.elmo.encode.encode",
    "biomtl.inference.engines.onnx.OnnxEngine",
)


def on_files(files: Files, config: Any) -> Files:
    """Add the task catalogue, the command line's reference and the Python reference."""
    for name, page in (("tasks.md", _tasks()), ("reference/cli.md", _cli()), ("reference/python.md", _python())):
        files.append(File.generated(config, name, content=page))
    return files


def _tasks() -> str:
    rows = ["# Tasks", "", "| task | also called | type | metric | licence |", "| --- | --- | --- | --- | --- |"]
    for task in known_tasks().values():
        rows.append(f"| `{task.name}` | {', '.join(task.aliases)} | {task.type} | {task.metric} | {task.licence} |")
    for task in known_tasks().values():
        if task.catalogue:
            rows += ["", f"## {task.name}", "", task.catalogue.title + ".", "", f"Get it: {task.catalogue.obtain}"]
            rows += ["", f"Labels: {', '.join(task.labels)}" if task.labels else f"Score: {task.score_range}"]
            rows += ["", f"Cite: {task.catalogue.citation}"]
    return "\n".join(rows) + "\n"


def _cli() -> str:
    command = [sys.executable, "-m", "typer", "biomtl.cli.main", "utils", "docs", "--name", "biomtl"]
    return "# Command line\n\n" + subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _python() -> str:
    # The names are exported lazily, so the reference asks each where it was defined.
    public = [getattr(biomtl, name) for name in biomtl.__all__ if not name.startswith("_")]
    names = [f"{item.__module__}.{item.__qualname__}" for item in public]
    return "# Python\n\n" + "\n\n".join(f"::: {name}" for name in [*names, *FURTHER]) + "\n"
