"""The model card: a description of a folder of weights, with metadata for model hubs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import biomtl
from biomtl.results import Results
from biomtl.scoring.result import MARK, few_units_note
from biomtl.storage.files import atomic_file
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Form = Literal["biomtl", "hf", "onnx", "encoder"]
_SENTENCE = "Naloxone reverses the effect of clonidine."
_OPEN: Mapping[Form, str] = {
    "biomtl": 'import biomtl\n{more}\nbiomtl.Predictor("THIS FOLDER")([{input}])',
    "hf": 'from transformers import pipeline\n\npipe = pipeline("{pipeline}", model="THIS FOLDER")',
    "onnx": 'import onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")',
    "encoder": 'from transformers import AutoModel, AutoTokenizer\n\nmodel = AutoModel.from_pretrained("THIS FOLDER")',
}
_LIBRARY: Mapping[Form, str] = {"biomtl": "biomtl", "onnx": "onnx"}  # the others are transformers'
_INPUTS = {"text": "a text", "pair": "two texts", "tokens": "each word", "candidates": "a text's candidates"}
_CHOSEN = {"dev": "the weights were selected on dev", "last step": "the weights are those of the last step"}
_MARKS = re.compile(r"[\\`*_\[\]|~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_WARNING = (
    "Research software: nothing here is meant for diagnosis or treatment decisions without review by a clinical\n"
    "professional. The licences of the training data hold for what is made from them."
)


def write_card(
    folder: Path,
    form: Form,
    tasks: Sequence[Task],
    provenance: Mapping[str, Any],
    *,
    max_length: int | None = None,
    results: Results | None = None,
    opening: str | None = None,
    example: str = "",
) -> Path:
    """Write ``README.md`` next to the weights: tasks, labels, licences, scores, origin, and how to open the folder.

    It contains no path, command line or machine name, because a card is meant to be published.

    Args:
        folder: where the weights are.
        form: the form of the weights: ours, ``transformers``', ONNX, or an encoder without heads.
        tasks: the tasks of the heads, in order; none for an encoder.
        provenance: the model's own, from its manifest.
        max_length: the longest row in word pieces.
        results: the scores of the model's run, if any.
        opening: Python code that opens the folder; default that of its form.
        example: code after it.

    Returns:
        The card's path.
    """
    name = " and ".join(task.name for task in tasks) if len(tasks) < 3 else f"{len(tasks)} tasks"
    title = f"biomtl: {name or 'encoder'}"
    sections = [
        f"# {title}",
        _origin(tasks, provenance, max_length),
        f"```python\n{opening or _opening(form, tasks)}{example}\n```",
        _task_table(tasks),
        *_scores(tasks, results),
        _versions(provenance),
        _WARNING,
    ]
    body = "\n\n".join(section for section in sections if section)
    pipeline = _pipeline(tasks) if tasks and opening is None else None
    metadata = _metadata(title, form, tasks, provenance, results, pipeline).to_yaml(line_break="\n")
    card = ModelCard(f"---\n{metadata}\n---\n\n{body}\n")
    with atomic_file(folder / "README.md") as stream:
        stream.write(card.content)
    return folder / "README.md"


def _opening(form: Form, tasks: Sequence[Task]) -> str:
    """Code that opens the folder and, if it is ours, asks about an input that the first of the tasks takes."""
    given = _example(tasks)
    more = "from biomtl.inference.predictor import RelationText\n" * given.startswith("RelationText")
    return _OPEN[form].format(pipeline=_pipeline(tasks), input=given, more=more)


def _example(tasks: Sequence[Task]) -> str:
    """An input, as code; a single text if any task takes one."""
    if not tasks or any(task.inputs in ("text", "tokens") and task.relation is None for task in tasks):
        return f'"{_SENTENCE}"'
    if (relation := tasks[0].relation) is not None:
        places = ((relation.first[0], 0, 8), (relation.second[0], 32, 41))
        return f'RelationText.of("{_SENTENCE}", {places[0]!r}, {places[1]!r})'
    texts = (_SENTENCE, "Clonidine acts less.", "Naloxone has no effect.")
    return repr(texts if tasks[0].inputs == "candidates" else texts[:2])


def plain(text: str) -> str:
    """A user's string, escaped so that Markdown shows it literally: one line, no markup, no HTML."""
    line = "".join(character if character.isprintable() else " " for character in str(text))
    line = " ".join(line.split())
    return _MARKS.sub(r"\\\g<0>", "".join(_ENTITIES.get(character, character) for character in line))


def _metadata(
    title: str,
    form: Form,
    tasks: Sequence[Task],
    provenance: Mapping[str, Any],
    results: Results | None,
    pipeline: str | None,
) -> ModelCardData:
    scores = _score_entries(tasks, results)
    return ModelCardData(
        model_name=title if scores else None,
        library_name=_LIBRARY.get(form, "transformers"),
        license="other",
        license_name="licences-of-the-training-data",
        license_link="README.md",
        pipeline_tag=pipeline,
        base_model=provenance.get("base_model"),
        tags=["biomtl", "biomedical", *sorted({task.type for task in tasks})],
        eval_results=scores or None,
    )


def _score_entries(tasks: Sequence[Task], results: Results | None) -> list[EvalResult]:
    """Every metric of every scored split, for the metadata's model index."""
    return [
        EvalResult(
            task_type=_pipeline([task]),
            task_name=task.type,
            dataset_type=task.name,
            dataset_name=task.catalogue.title if task.catalogue else task.name,
            dataset_split=split,
            metric_type=metric.id,
            metric_name=metric.title,
            metric_value=round(metric.value, 6),
        )
        for task in tasks
        for split, score in (results.tasks.get(task.name, {}) if results else {}).items()
        for metric in score.metrics.values()
    ]


def _pipeline(tasks: Sequence[Task]) -> str:
    """The hub's name for the model's task."""
    return "token-classification" if tasks and type_of(tasks[0]).answer == "tags" else "text-classification"


def _origin(tasks: Sequence[Task], provenance: Mapping[str, Any], max_length: int | None) -> str:
    encoder = provenance.get("base_model") or re.split(r"[/\\]", str(provenance.get("encoder") or "").rstrip("/\\"))[-1]
    heads = {0: "An encoder without heads", 1: "An encoder with a head for one task"}
    said = [heads.get(len(tasks), f"One encoder with a head for each of {len(tasks)} tasks")]
    if encoder:
        said.append(f"trained from {plain(encoder)}")
    if "steps" in provenance:
        said.append(f"in {provenance['steps']:,} optimiser steps")
    if "seed" in provenance:
        said.append(f"with seed {provenance['seed']}")
    length = f" Rows hold up to {max_length} word pieces." if max_length else ""
    return f"{', '.join(said[:2])}{''.join(f' {clause}' for clause in said[2:])}.{length}"


def _task_table(tasks: Sequence[Task]) -> str:
    if not tasks:
        return ""
    lines = ["| task | type | input | labels | licence of the data |", "| --- | --- | --- | --- | --- |"]
    for task in tasks:
        labels = ", ".join(map(plain, task.labels))
        if not labels:
            labels = "{:g} to {:g}".format(*task.score_range) if task.score_range else "a score"
        given = "a text and two mentions in it" if task.relation is not None else _INPUTS[task.inputs]
        cells = (plain(task.name), task.type, given, labels, plain(task.licence))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _scores(tasks: Sequence[Task], results: Results | None) -> list[str]:
    """A table for each scored split."""
    sections = []
    for split in results.mean if results else ():
        lines = ["| task | metric | score | 95 % interval |", "| --- | --- | --- | --- |"]
        scores = results.on(split) if results else {}
        for task in tasks:
            for metric in scores[task.name].metrics.values() if task.name in scores else ():
                interval = "" if metric.low is None else f"{metric.low:.3f} to {metric.high:.3f}"
                interval += MARK * scores[task.name].few_units
                cells = (plain(task.name), plain(metric.title), f"{metric.value:.3f}", interval)
                lines.append(f"| {' | '.join(cells)} |")
        if len(lines) > 2:
            sections += [f"## Scores on {split}", "\n".join(lines)]
            wholes = results.suite_scores(split) if results else []
            sections += [plain(w.note if w.value is None else f"{w.note}: {w.value:.3f}") for w in wholes]
            shown = [scores[task.name] for task in tasks if task.name in scores]
            few = {few_units_note(score.units, score.unit) for score in shown if score.few_units}
            sections += [plain(line) for line in sorted(few)]
    if sections and results:
        chosen = _CHOSEN.get(str(results.provenance.get("selection")))  # unknown of runs before it was recorded
        said = [chosen, "test was scored once" if "test" in results.mean else None]
        sections.append(". ".join(f"{clause[0].upper()}{clause[1:]}" for clause in said if clause) + ".")
    return sections


def _versions(provenance: Mapping[str, Any]) -> str:
    packages = [f"{name} {version}" for name, version in provenance.get("packages", {}).items()]
    trained = [f"biomtl {provenance['biomtl']}", *packages] if "biomtl" in provenance else []
    with_what = f"Trained with {plain(', '.join(trained))}. " if trained else ""
    return f"{with_what}This folder was written by biomtl {biomtl.__version__}."
