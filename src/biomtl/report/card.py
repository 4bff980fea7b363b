"""The model card: what a model folder says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomtl.files import atomic_file
from biomtl.tasks.task import Task


def write_card(folder: Path, tasks: Mapping[str, Task], metrics: Mapping[str, Any]) -> Path:
    """Write ``README.md`` beside the weights: tasks, labels, licences, scores, and how they came about.

    Returns:
        The card's path.
    """
    facts = metrics["provenance"]
    lines = [
        "---",
        "library_name: biomtl",
        f"tags: [biomedical, multi-task, {', '.join(sorted({task.type for task in tasks.values()}))}]",
        "---",
        "",
        f"# {folder.resolve().parent.name}",
        "",
        f"One encoder (`{facts.get('encoder')}`) with a head for each of {len(tasks)} tasks, trained with biomtl"
        f" {facts.get('biomtl')} in {facts.get('steps')} optimiser steps, seed {facts.get('seed')}.",
        "",
        "```python",
        "import biomtl",
        f'biomtl.Predictor("{folder.name}")(["Naloxone reverses the effect of clonidine."])',
        "```",
        "",
        "| task | type | labels | data's licence |",
        "| --- | --- | --- | --- |",
    ]
    for name, task in tasks.items():
        labels = ", ".join(task.labels) or ("{} to {}".format(*task.score_range) if task.score_range else "a score")
        lines.append(f"| `{name}` | {task.type} | {labels} | {task.licence} |")
    for split, mean in metrics["mean"].items():
        lines += [
            "",
            f"## Scores on {split}",
            "",
            "| task | metric | score | 95 % interval |",
            "| --- | --- | --- | --- |",
        ]
        for name, splits in metrics["tasks"].items():
            for metric in splits.get(split, {}).get("metrics", {}).values():
                interval = "" if metric["low"] is None else f"{metric['low']:.3f} to {metric['high']:.3f}"
                lines.append(f"| `{name}` | {metric['title']} | {metric['value']:.3f} | {interval} |")
        lines += ["", f"Mean of the tasks' main metrics: {mean:.3f}. Selection was on dev; test was scored once."]
    lines += ["", "## How it was made", ""]
    if facts.get("command"):
        lines += ["```bash", str(facts["command"]), "```", ""]
    packages = ", ".join(f"{name} {version}" for name, version in facts.get("packages", {}).items())
    lines += [f"Python {facts.get('python')}, {packages}. The data's checksums stand in `manifest.json`.", ""]
    lines += [
        "Research software: nothing here is meant for diagnosis or treatment decisions without review by a clinical",
        "professional. The licences of the training data hold for what is made from them.",
        "",
    ]
    with atomic_file(folder / "README.md") as stream:
        stream.write("\n".join(lines))
    return folder / "README.md"
