"""An exported graph at work: the same predictions and scores as its model, under onnxruntime."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from biomtl.encoders import load_processor
from biomtl.encoders.base import Encoded, Encoder
from biomtl.errors import InputError
from biomtl.heads.pairs import ApartHead
from biomtl.model import MultiTaskModel
from biomtl.structured import read_json
from biomtl.tasks.task import Task

FILE = "model.onnx"


class OnnxModel(MultiTaskModel):
    """An exported folder at work: predicts and is evaluated like the model it came from, under onnxruntime.

    Args:
        folder: what ``export_onnx`` wrote.

    Raises:
        InputError: no such folder, or the extra isn't installed.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        facts = read_json(folder / "onnx.json", "a folder of `biomtl export --to onnx`")
        super().__init__(_OnnxEncoder(folder / FILE, facts), load_processor(folder, None, None))
        self.apart = set(facts["apart"])
        for name, record in facts["tasks"].items():
            self.tasks[name] = Task.model_validate(record)

    def head(self, task: str) -> nn.Module:
        """Asks the graph for the task's outputs."""
        if task not in self.tasks:
            return super().head(task)
        return _PairHead(task) if task in self.apart else _RowHead(task, self.tasks[task].outside)


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

    def compare(self, task: str, example_ids: Tensor, segment_ids: Tensor, count: int) -> Tensor:
        """``[pairs, labels]`` of a task that compares rows."""
        assert self.encoder is not None
        rows = len(next(iter(self.inputs.values())))
        shares = torch.zeros(2 * count, rows)
        shares[example_ids * 2 + segment_ids, torch.arange(rows) if self.chosen is None else self.chosen] = 1
        shares /= shares.sum(1, keepdim=True).clamp(min=1)
        return self.encoder.run(self.inputs, shares[0::2], shares[1::2], [task])[task]


class _OnnxEncoder(Encoder):
    kind: ClassVar[str] = "onnx"

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        super().__init__()
        self.dim = 0
        self.session = open_session(path)
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
    def __init__(self, task: str, outside: int) -> None:
        super().__init__()
        self.task, self.outside = task, outside

    def forward(self, encoded: _Rows) -> Tensor:
        return encoded.logits(self.task)


class _PairHead(ApartHead):
    def __init__(self, task: str) -> None:
        super().__init__(nn.Identity())
        self.task = task

    def forward(self, encoded: Encoded, example_ids: Tensor, segment_ids: Tensor, count: int) -> Tensor:
        assert isinstance(encoded, _Rows)
        return encoded.compare(self.task, example_ids, segment_ids, count)


def open_session(path: Path) -> Any:
    """An onnxruntime session on the CPU.

    Raises:
        InputError: onnxruntime isn't installed.
    """
    need("onnxruntime")
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def need(*packages: str) -> None:
    """Raise if a package of the extra ``onnx`` isn't installed."""
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed", fix="run `pip install biomtl[onnx]`")
