"""A model as one ONNX file: one encoder pass, every head's logits, any number of rows and positions."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from biomtl.checkpoints.card import write_card
from biomtl.encoders import load_processor
from biomtl.encoders.base import Encoded, Encoder
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.files import write_json
from biomtl.heads.pairs import ApartHead
from biomtl.model import MultiTaskModel
from biomtl.tasks.task import Task

TOLERANCE = 1e-4  # largest difference of a logit to torch's
_FILE = "model.onnx"


def export_onnx(model: MultiTaskModel, tasks: Sequence[str], folder: Path, *, int8: bool = False) -> float:
    """Write ``model.onnx`` with one output a task, the tokenizer, ``onnx.json`` and a model card.

    Args:
        model: the model.
        tasks: the heads to take along, in the order of the outputs.
        folder: an existing empty folder.
        int8: round the weights of linear layers to 8 bits (dynamic quantisation).

    Returns:
        The largest difference of a logit to torch's on rows of another shape than the traced one.

    Raises:
        InputError: a head that reads two rows, an encoder that is no transformer, or the extra isn't installed.
    """
    graph = _Graph(model, tasks)
    path = folder / _FILE
    _write(graph, path)
    difference = _difference(graph, path)
    if difference > TOLERANCE:
        raise InputError(f"the exported graph differs by {difference:.1e}", expected=f"at most {TOLERANCE:.0e}")
    if int8:
        _quantise(path)
        difference = _difference(graph, path)
    model.processor.save(folder)
    records = {name: model.tasks[name].model_dump(mode="json", exclude={"catalogue", "files"}) for name in tasks}
    write_json(folder / "onnx.json", {"inputs": graph.inputs, "int8": int8, "tasks": records})
    write_card(folder, "onnx", [model.tasks[name] for name in tasks], model.provenance)
    return difference


class OnnxModel(MultiTaskModel):
    """An exported folder at work: predicts and is evaluated like the model it came from, under onnxruntime.

    Args:
        folder: what ``export_onnx`` wrote.

    Raises:
        InputError: no such folder, or the extra isn't installed.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        try:
            facts = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError("no onnx.json", path=folder, expected="a folder of `biomtl export --to onnx`") from error
        super().__init__(_OnnxEncoder(folder / _FILE, facts), load_processor(folder, None, None))
        for name, record in facts["tasks"].items():
            self.tasks[name] = Task.model_validate(record)

    def head(self, task: str) -> nn.Module:
        """Picks the task's logits from what the graph computed."""
        return _OnnxHead(task) if task in self.tasks else super().head(task)


class _Graph(nn.Module):
    """Encoder and heads with positional inputs and outputs, as the exporter wants them."""

    def __init__(self, model: MultiTaskModel, tasks: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(model.encoder, TransformerEncoder):
            raise InputError(f"an encoder of kind {model.encoder.kind}", expected="a transformer for --to onnx")
        self.encoder = model.encoder
        self.heads = nn.ModuleList([model.head(name) for name in tasks])
        self.tasks = list(tasks)
        for name, head in zip(tasks, self.heads, strict=True):
            if isinstance(head, ApartHead):
                fix = "name the other tasks with --task"
                raise InputError(f"task {name} compares two rows", expected="heads that read one", fix=fix)
        names = model.processor.tokenizer.model_input_names  # type: ignore[attr-defined]
        order = ("input_ids", "attention_mask", "token_type_ids")
        self.inputs = [name for name in order if name in names or name == "attention_mask"]
        self.vocabulary = int(model.encoder.config.vocab_size)
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        encoded = self.encoder(dict(zip(self.inputs, values, strict=True)))
        return tuple(head(encoded) for head in self.heads)

    def example(self, rows: int, positions: int) -> tuple[Tensor, ...]:
        """Rows of random pieces in two segments, the last ones padded."""
        generator = torch.Generator().manual_seed(rows)
        mask = torch.ones(rows, positions, dtype=torch.long)
        mask[-1, positions - 2 :] = 0
        segments = torch.zeros_like(mask)
        segments[:, positions // 2 :] = 1
        ids = torch.randint(self.vocabulary, mask.shape, generator=generator)
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments * mask}
        return tuple(made[name] for name in self.inputs)


@dataclass(slots=True)
class _Answers(Encoded):
    """What the graph computed, in the place of hidden states: the logits of every task."""

    logits: dict[str, Tensor] = field(default_factory=dict)

    def select(self, rows: Tensor) -> Encoded:
        return _Answers(self.hidden, self.mask[rows], logits={name: v[rows] for name, v in self.logits.items()})


class _OnnxEncoder(Encoder):
    kind: ClassVar[str] = "onnx"

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        super().__init__()
        self.dim = 0
        self.session = _session(path)
        self.inputs, self.tasks = facts["inputs"], list(facts["tasks"])
        self.place = nn.Parameter(torch.empty(0))  # says on which device batches belong

    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        values = self.session.run(self.tasks, {name: inputs[name].numpy() for name in self.inputs})
        logits = {name: torch.from_numpy(value) for name, value in zip(self.tasks, values, strict=True)}
        return _Answers(self.place, inputs["attention_mask"], logits=logits)

    def sequence_head(self, labels: int) -> nn.Module:
        raise InputError("an ONNX model takes no new head", fix="train the biomtl model and export it again")

    token_head = sequence_head

    def save(self, folder: Path) -> None:
        raise InputError("an ONNX model is not saved again", fix="copy its folder")


class _OnnxHead(nn.Module):
    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task

    def forward(self, encoded: _Answers) -> Tensor:
        return encoded.logits[self.task]


def _write(graph: _Graph, path: Path) -> None:
    _need("onnx", "onnxscript")
    dims = {0: "rows", 1: "positions"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # notes about names of axes that are known to be equal
        torch.onnx.export(
            graph,
            graph.example(3, 12),
            str(path),
            input_names=graph.inputs,
            output_names=graph.tasks,
            dynamic_shapes=((dims,) * len(graph.inputs),),
            external_data=False,
            dynamo=True,
            verbose=False,
        )


def _difference(graph: _Graph, path: Path) -> float:
    """The largest difference between onnxruntime's logits and torch's."""
    example = graph.example(2, 17)
    with torch.no_grad():
        expected = graph(*example)
    found = _session(path).run(graph.tasks, {n: v.numpy() for n, v in zip(graph.inputs, example, strict=True)})
    return max(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, found, strict=True))


def _quantise(path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_suffix(".full.onnx")
    graph = onnx.load(path)
    # The exporter's notes on shapes are older than its last rewrites, and the quantiser would trip over them.
    del graph.graph.value_info[:]
    onnx.save(graph, full)
    try:
        quantize_dynamic(str(full), str(path), weight_type=QuantType.QInt8)
    finally:
        full.unlink()


def _session(path: Path) -> Any:
    _need("onnxruntime")
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _need(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed", fix="run `pip install biomtl[onnx]`")
