"""A model as one ONNX file: one encoder pass, every head's logits, any number of rows and positions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from biomtl.checkpoints.card import write_card
from biomtl.checkpoints.onnx_session import FACTS, FILE, need, open_session, output_names
from biomtl.encoders.base import Encoded
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.heads.base import Head, Reading
from biomtl.heads.lora import adapters_of
from biomtl.model import MultiTaskModel
from biomtl.results import Results
from biomtl.storage.files import write_json

TOLERANCE = 1e-4  # largest difference of a logit to torch's
_ROWS = ("input_ids", "attention_mask", "token_type_ids")
FURTHER: Mapping[Reading, tuple[str, ...]] = {
    "pairs": ("first", "second"),
    "mentions": ("mentions", "features", "table", "slots"),
}
"""The inputs of a graph besides its rows, by the readings of heads that need them."""


def export_onnx(
    model: MultiTaskModel, tasks: Sequence[str], folder: Path, *, int8: bool = False, results: Results | None = None
) -> float:
    """Write ``model.onnx`` with one output per task, the tokenizer, ``onnx.json`` and a model card.

    Args:
        model: the model.
        tasks: the heads to export, in the order of the outputs.
        folder: an existing empty folder.
        int8: quantise the weights of linear layers to 8 bits (dynamic quantisation).
        results: scores for the model card.

    Returns:
        The largest difference of a logit from torch's, on rows with another shape than the traced ones.

    Raises:
        InputError: a head that can't be in a graph, an encoder that isn't a transformer, or a missing extra.
    """
    graph = _Graph(model, tasks)
    path = folder / FILE
    _write(graph, path)
    difference = _difference(graph, path)
    if difference > TOLERANCE:
        raise InputError(f"the exported graph differs by {difference:.1e}", expected=f"at most {TOLERANCE:.0e}")
    if int8:
        _quantise(path)
        difference = _difference(graph, path)
    model.processor.save(folder)
    readings = {name: model.head(name).reading for name in tasks}
    records = {name: model.head_record(name) for name in tasks}
    write_json(folder / FACTS, {"inputs": graph.inputs, "int8": int8, "readings": readings, "tasks": records})
    chosen, length = [model.tasks[name] for name in tasks], model.processor.max_length
    write_card(folder, "onnx", chosen, model.provenance, max_length=length, results=results)
    return difference


class _Graph(nn.Module):
    """Encoder and heads with positional inputs and outputs, as required by the exporter.

    A task that compares two separately encoded texts reads two more inputs, ``first`` and ``second`` ``[pairs, rows]``:
    each row's share in a pair's first and second text. It is 1 for the row that holds the text, or a share of 1 for
    each window of a long one. One that reads pairs of mentions from rows has the inputs ``mentions``, ``features``,
    ``table`` and ``slots`` (see ``Head.trace``).
    """

    def __init__(self, model: MultiTaskModel, tasks: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(model.encoder, TransformerEncoder):
            raise InputError(f"an encoder of kind {model.encoder.kind}", expected="a transformer for --to onnx")
        self.encoder = model.encoder
        self.heads = nn.ModuleList([model.head(name) for name in tasks])
        self.tasks = list(tasks)
        for name in tasks:
            if not (head := model.head(name)).traceable:
                problem = f"task {name}: {model.tasks[name].type} with {type(head.network or head).__name__}"
                raise InputError(problem, expected="a head that one graph can hold", fix="name other tasks with --task")
        names = model.processor.tokenizer.model_input_names  # type: ignore[attr-defined]
        self.rows = [name for name in _ROWS if name in names or name == "attention_mask"]
        readings = {model.head(name).reading for name in tasks}
        self.further = [name for reading, names in FURTHER.items() if reading in readings for name in names]
        self.inputs = [*self.rows, *self.further]
        self.outputs = output_names(self.tasks, self.inputs)
        self.vocabulary = int(model.encoder.config.vocab_size)
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.inputs, values, strict=True))
        rows = {name: given[name] for name in self.rows}
        states: list[Encoded] = []  # one encoder pass for all heads, but for those with adapters of their own in it
        found = []
        for head in (cast(Head, head) for head in self.heads):
            with adapters_of(head, self.encoder):
                if head.lora is not None:
                    found.append(head.trace(self.encoder(rows), given))
                    continue
                states = states or [self.encoder(rows)]
                found.append(head.trace(states[0], given))
        return tuple(found)

    def example(self, rows: int, positions: int) -> tuple[Tensor, ...]:
        """Rows of random pieces in two segments, the last ones padded, and one pair fewer than rows."""
        generator = torch.Generator().manual_seed(rows)
        mask = torch.ones(rows, positions, dtype=torch.long)
        mask[-1, positions - 2 :] = 0
        segments = torch.zeros_like(mask)
        segments[:, positions // 2 :] = 1
        ids = torch.randint(self.vocabulary, mask.shape, generator=generator)
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments * mask}
        made |= {"first": torch.eye(rows)[:-1], "second": torch.eye(rows)[1:]}
        table = torch.arange(rows * (rows + 1)).view(
            rows, rows + 1
        )  # more pairs a row than rows, one row after another
        places = torch.randint(positions - 2, (table.numel(), 4), generator=generator)
        places[0, :2] = -1
        of_rows = torch.arange(rows).repeat_interleave(rows + 1)[:, None].expand(-1, 4).where(places >= 0, -1)
        kinds = torch.randint(2, (table.numel(), 3), generator=generator)
        made |= {"mentions": torch.stack([of_rows, places], -1), "features": kinds}
        made |= {"table": table, "slots": table.flatten()}
        return tuple(made[name] for name in self.inputs)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Suppress the warning that torchvision isn't installed: no model here has images."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def other(record: logging.LogRecord) -> bool:
        return "torchvision" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def _write(graph: _Graph, path: Path) -> None:
    need("onnx", "onnxscript")
    axes = {
        **dict.fromkeys(graph.rows, ("rows", "positions")),
        **dict.fromkeys(("first", "second"), ("pairs", "rows")),
        **dict.fromkeys(("mentions", "features", "slots"), ("asked",)),
        "table": ("rows", "slots_of_a_row"),
    }
    shapes = tuple(dict(enumerate(axes[name])) for name in graph.inputs)
    with warnings.catch_warnings(), _without_torchvision(), torch.no_grad():
        warnings.simplefilter("ignore")  # notes about names of axes that are known to be equal
        torch.onnx.export(
            graph,
            graph.example(3, 12),
            str(path),
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=(shapes,),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    _drop_traces(path)


def _drop_traces(path: Path) -> None:
    """Remove the notes on the code that made each node, which contain this machine's paths."""
    import onnx

    model = onnx.load(path)
    nodes = [node for function in model.functions for node in function.node]
    for proto in (model, model.graph, *model.functions, *model.graph.node, *nodes):
        del proto.metadata_props[:]
    onnx.save(model, path)


def _difference(graph: _Graph, path: Path) -> float:
    """The largest difference between onnxruntime's logits and torch's."""
    example = graph.example(2, 17)
    with torch.no_grad():
        expected = graph(*example)
    actual = open_session(path).run(graph.outputs, {n: v.numpy() for n, v in zip(graph.inputs, example, strict=True)})
    return max(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, actual, strict=True))


def _quantise(path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_suffix(".full.onnx")
    graph = onnx.load(path)
    # The exporter's shape annotations are outdated by its last rewrites, and the quantiser would fail on them.
    del graph.graph.value_info[:]
    onnx.save(graph, full)
    try:
        # One scale per matrix cost the sample suite 5 points on average, one per output column 0.3.
        quantize_dynamic(str(full), str(path), weight_type=QuantType.QInt8, per_channel=True)
    finally:
        full.unlink()
