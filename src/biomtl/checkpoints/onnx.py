"""A model as one ONNX file: one encoder pass, every head's logits, any number of rows and positions."""

from __future__ import annotations

import dataclasses
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
from biomtl.encoders.transformer import StockHead, TransformerEncoder
from biomtl.errors import InputError
from biomtl.files import write_json
from biomtl.heads.pairs import ApartHead
from biomtl.heads.san import SanHead
from biomtl.model import MultiTaskModel
from biomtl.tasks.task import Task

TOLERANCE = 1e-4  # largest difference of a logit to torch's
_FILE = "model.onnx"
_ROWS = ("input_ids", "attention_mask", "token_type_ids")
_PAIRS = ("first", "second")


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
        InputError: a head that no graph can hold, an encoder that is no transformer, or the extra isn't installed.
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
    apart = [name for name in tasks if isinstance(model.head(name), ApartHead)]
    write_json(folder / "onnx.json", {"inputs": graph.inputs, "int8": int8, "apart": apart, "tasks": records})
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
        self.apart = set(facts["apart"])
        for name, record in facts["tasks"].items():
            self.tasks[name] = Task.model_validate(record)

    def head(self, task: str) -> nn.Module:
        """Asks the graph for the task's outputs."""
        if task not in self.tasks:
            return super().head(task)
        return _PairHead(task) if task in self.apart else _RowHead(task)


class _Graph(nn.Module):
    """Encoder and heads with positional inputs and outputs, as the exporter wants them.

    A task that compares two texts encoded apart reads two more inputs, ``first`` and ``second`` ``[pairs, rows]``: how
    much of a row stands in a pair's first and second text. It is 1 for the row that holds the text, or a share of 1 for
    each window of a long one.
    """

    def __init__(self, model: MultiTaskModel, tasks: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(model.encoder, TransformerEncoder):
            raise InputError(f"an encoder of kind {model.encoder.kind}", expected="a transformer for --to onnx")
        self.encoder = model.encoder
        self.heads = nn.ModuleList([model.head(name) for name in tasks])
        self.tasks = list(tasks)
        for name, head in zip(tasks, self.heads, strict=True):
            if not isinstance(head, StockHead | SanHead | ApartHead) or model.tasks[name].type == "ranking":
                found = f"task {name}: {model.tasks[name].type} with {type(head).__name__}"
                raise InputError(found, expected="a head that one graph can hold", fix="name other tasks with --task")
        names = model.processor.tokenizer.model_input_names  # type: ignore[attr-defined]
        self.rows = [name for name in _ROWS if name in names or name == "attention_mask"]
        self.pairs = list(_PAIRS) if any(isinstance(head, ApartHead) for head in self.heads) else []
        self.inputs = [*self.rows, *self.pairs]
        self.vocabulary = int(model.encoder.config.vocab_size)
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        encoded = self.encoder(dict(zip(self.rows, values, strict=False)))
        return tuple(
            _compare(head, encoded, *values[-2:]) if isinstance(head, ApartHead) else head(encoded)
            for head in self.heads
        )

    def example(self, rows: int, positions: int) -> tuple[Tensor, ...]:
        """Rows of random pieces in two segments, the last ones padded, and one pair fewer than rows."""
        generator = torch.Generator().manual_seed(rows)
        mask = torch.ones(rows, positions, dtype=torch.long)
        mask[-1, positions - 2 :] = 0
        segments = torch.zeros_like(mask)
        segments[:, positions // 2 :] = 1
        ids = torch.randint(self.vocabulary, mask.shape, generator=generator)
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments * mask}
        made |= dict(zip(_PAIRS, (torch.eye(rows)[:-1], torch.eye(rows)[1:]), strict=True))
        return tuple(made[name] for name in self.inputs)


def _compare(head: ApartHead, encoded: Encoded, first: Tensor, second: Tensor) -> Tensor:
    """What the head says of pairs: ``[pairs, labels]``; the same as its ``forward``, with the owners as matrices."""
    seen = encoded if head.view is None else head.view(encoded)
    vectors = seen.mean() if head.reducer is None else head.reducer(seen.hidden, seen.mask)
    return head.compare(first @ vectors, second @ vectors)


@dataclass(slots=True)
class _Rows(Encoded):
    """Rows that stand in for hidden states: what the graph says of them is computed when a head asks."""

    encoder: _OnnxEncoder | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    chosen: Tensor | None = None
    computed: dict[str, Tensor] = field(default_factory=dict)

    def select(self, rows: Tensor) -> Encoded:
        return dataclasses.replace(
            self, mask=self.mask[rows], chosen=rows if self.chosen is None else self.chosen[rows]
        )

    def logits(self, task: str) -> Tensor:
        """``[rows, …]`` of a task whose rows stand alone; one pass serves all of them."""
        assert self.encoder is not None
        if not self.computed:
            count = len(next(iter(self.inputs.values())))
            none = torch.zeros(1, count)  # a pair of nothing: a graph wants its inputs even where none is asked for
            self.computed.update(self.encoder.run(self.inputs, none, none, self.encoder.alone))
        return self.computed[task] if self.chosen is None else self.computed[task][self.chosen]

    def compare(self, task: str, owners: Tensor, parts: Tensor, count: int) -> Tensor:
        """``[pairs, labels]`` of a task that compares rows."""
        assert self.encoder is not None
        rows = len(next(iter(self.inputs.values())))
        shares = torch.zeros(2 * count, rows)
        shares[owners * 2 + parts, torch.arange(rows) if self.chosen is None else self.chosen] = 1
        shares /= shares.sum(1, keepdim=True).clamp(min=1)
        return self.encoder.run(self.inputs, shares[0::2], shares[1::2], [task])[task]


class _OnnxEncoder(Encoder):
    kind: ClassVar[str] = "onnx"

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        super().__init__()
        self.dim = 0
        self.session = _session(path)
        self.inputs = facts["inputs"]
        self.alone = [name for name in facts["tasks"] if name not in facts["apart"]]
        self.place = nn.Parameter(torch.empty(0))  # says on which device batches belong

    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        return _Rows(self.place, inputs["attention_mask"], encoder=self, inputs=inputs)

    def run(self, inputs: Mapping[str, Tensor], first: Tensor, second: Tensor, tasks: list[str]) -> dict[str, Tensor]:
        """The outputs of these tasks."""
        given = {**inputs, "first": first, "second": second}
        values = self.session.run(tasks, {name: given[name].numpy() for name in self.inputs})
        return {name: torch.from_numpy(value) for name, value in zip(tasks, values, strict=True)}

    def sequence_head(self, labels: int) -> nn.Module:
        raise InputError("an ONNX model takes no new head", fix="train the biomtl model and export it again")

    token_head = sequence_head

    def save(self, folder: Path) -> None:
        raise InputError("an ONNX model is not saved again", fix="copy its folder")


class _RowHead(nn.Module):
    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task

    def forward(self, encoded: _Rows) -> Tensor:
        return encoded.logits(self.task)


class _PairHead(ApartHead):
    def __init__(self, task: str) -> None:
        super().__init__(nn.Identity())
        self.task = task

    def forward(self, encoded: Encoded, owners: Tensor, parts: Tensor, count: int) -> Tensor:
        assert isinstance(encoded, _Rows)
        return encoded.compare(self.task, owners, parts, count)


def _write(graph: _Graph, path: Path) -> None:
    _need("onnx", "onnxscript")
    rows, pairs = {0: "rows", 1: "positions"}, {0: "pairs", 1: "rows"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # notes about names of axes that are known to be equal
        torch.onnx.export(
            graph,
            graph.example(3, 12),
            str(path),
            input_names=graph.inputs,
            output_names=graph.tasks,
            dynamic_shapes=((rows,) * len(graph.rows) + (pairs,) * len(graph.pairs),),
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
