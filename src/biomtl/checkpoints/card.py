"""The model card beside exported weights: what it is, what it answers, where it comes from, how to open it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import biomtl
from biomtl.tasks.task import Task

_OPEN = {
    "hf": 'from transformers import pipeline\n\npipe = pipeline("{pipeline}", model="THIS FOLDER")',
    "onnx": 'import onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")',
    "encoder": 'from transformers import AutoModel, AutoTokenizer\n\nmodel = AutoModel.from_pretrained("THIS FOLDER")',
}


def write_card(folder: Path, form: str, tasks: list[Task], provenance: dict[str, Any]) -> None:
    """Write ``README.md`` with the metadata block that model hubs read.

    Args:
        folder: where the weights are.
        form: ``hf``, ``onnx`` or ``encoder``.
        tasks: what its heads answer, in order; none for an encoder.
        provenance: the model's own, from its manifest.
    """
    pipeline = "token-classification" if tasks and tasks[0].type == "tagging" else "text-classification"
    head = ["---", f"library_name: {'onnx' if form == 'onnx' else 'transformers'}"]
    if form == "hf":
        head.append(f"pipeline_tag: {pipeline}")
    head += ["tags: [biomtl, biomedical]", "---", ""]
    title = "Encoder" if not tasks else ", ".join(task.name for task in tasks)
    body = [f"# {title}", "", f"Written by biomtl {biomtl.__version__}.", ""]
    for task in tasks:
        labels = f": {', '.join(task.labels)}" if task.labels else ""
        body.append(f"- `{task.name}`: {task.type} of {_INPUTS[task.inputs]}{labels} (corpus licence: {task.licence})")
    body += ["", "```python", _OPEN[form].format(pipeline=pipeline), "```", ""]
    if provenance:
        facts = json.dumps(provenance, indent=2, ensure_ascii=False)
        body += ["Provenance of the model it was taken from:", "", "```json", facts, "```", ""]
    (folder / "README.md").write_text("\n".join([*head, *body]), encoding="utf-8", newline="\n")


_INPUTS = {"text": "a text", "pair": "two texts", "tokens": "each word", "candidates": "a text's candidates"}
