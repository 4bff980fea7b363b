"""The heads of an MT-DNN checkpoint: their parameters, and those of our modules that they become.

Three layouts occur: a linear layer over BERT's pooler (until February 2021, and MT-BlueBERT), the same over a pooler
that all tasks share (until October 2022), and a pooler in every head (since then). Taggers and span heads are linear
layers over the hidden states in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from biomtl.checkpoints.mtdnn.settings import is_current, pooler_activation
from biomtl.errors import InputError
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice

OVER_POSITIONS = ("tagging", "span")
"""Types whose heads read every position, without a pooler."""
_SHARED = "pooler.dense."
_LAYOUT = {"1.weight": "weight", "1.bias": "bias", "0.dense.weight": "pooler.weight", "0.dense.bias": "pooler.bias"}
_PLAIN = {"weight": "network.stock.classifier.weight", "bias": "network.stock.classifier.bias"}
_POOLER = {
    "pooler.weight": "network.dense.weight",
    "pooler.bias": "network.dense.bias",
    "weight": "network.classifier.weight",
    "bias": "network.classifier.bias",
}
_SAN = {
    "query_wsum.att.linear.": "network.summary.",
    "attn.score_func.linear.": "network.attention.",
    "rnn.": "network.cell.",
    "classifier.proj.": "network.classifier.",
}
_CELLS = {1: "rnn", 3: "gru", 4: "lstm"}  # by the rows of the input weights, in hidden sizes
_ATTENTION = {2: "simple", 3: "flat", 4: "full"}  # by the columns of its linear layer


@dataclass
class Head:
    """A head in the checkpoint's form.

    Attributes:
        number: its place in the list of heads.
        parameters: by their names within the head, in the layout of plain linear layers.
        keys: the same names to those in the checkpoint.
        own_pooler: whether the pooler is the head's own.
        choice: which of our heads it is.
    """

    number: int
    parameters: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    own_pooler: bool = False
    choice: HeadChoice = DEFAULT_HEAD

    @property
    def san(self) -> bool:
        """Whether it is a stochastic answer network."""
        return "rnn.weight_ih" in self.parameters

    @property
    def outputs(self) -> int:
        """The number of logits; 0 for a head of a kind that has no counterpart here."""
        last = "classifier.proj.weight" if self.san else "weight"
        return len(self.parameters[last]) if last in self.parameters else 0

    def choose(self, task_type: str, settings: Mapping[str, Any], path: Path) -> None:
        """Say which of our heads it is, by its parameters, its task's type and the checkpoint's ``config``.

        Raises:
            InputError: an answer network in a form that MT-DNN doesn't write.
        """
        if self.san:
            self.choice = HeadChoice(name="san", options=self._san_options(settings, path))
        elif task_type not in OVER_POSITIONS and "pooler.weight" in self.parameters:
            activation = pooler_activation(settings, self.own_pooler)
            self.choice = HeadChoice(name="pooler", options={"activation": activation})
        else:
            self.choice = DEFAULT_HEAD

    def state(self) -> dict[str, Tensor]:
        """The parameters with our modules' names, without SAN's ``alpha``, which the reference never reads."""
        if self.choice.name != "san":
            names = _POOLER if self.choice.name == "pooler" else _PLAIN
            return {names[name]: value for name, value in self.parameters.items() if name in names}
        state = {}
        for name, value in self.parameters.items():
            for theirs, ours in _SAN.items():
                if name.startswith(theirs):
                    state[ours + name.removeprefix(theirs)] = value
        return state

    def _san_options(self, settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
        given = {"turns": settings.get("answer_num_turn"), "drop_turns": settings.get("answer_mem_drop_p")}
        options = {name: value for name, value in given.items() if value is not None}
        width = self.parameters["rnn.weight_ih"].shape[-1]
        attention = self.parameters.get("attn.score_func.linear.weight")
        classifier = self.parameters.get("classifier.proj.weight")
        cell = _CELLS.get(len(self.parameters["rnn.weight_ih"]) // width)
        if attention is None or classifier is None or cell is None:
            problem = f"head {self.number} is an answer network in an unknown form"
            raise InputError(problem, path=path, fix="add --encoder-only; weight normalisation is not supported")
        if cell != "gru":
            options["cell"] = cell
        if len(attention) == 1:
            options["attention"] = _ATTENTION.get(attention.shape[-1] // width, "bilinear")
        if classifier.shape[-1] == 2 * width:
            options["compare"] = False
        if settings.get("answer_mem_type", 1) != 1:
            options["average"] = False
        if is_current(settings):
            options["reads"] = "first"
        return options


def find_heads(state: Mapping[str, Tensor]) -> list[Head]:
    """The heads in ``state`` (``scoring_list.N.…``), by number; a shared pooler becomes part of each."""
    heads: dict[int, Head] = {}
    for key, value in state.items():
        if match := re.fullmatch(r"scoring_list\.(\d+)\.(.+)", key):
            head = heads.setdefault(int(match[1]), Head(int(match[1])))
            name = _LAYOUT.get(match[2], match[2])
            head.parameters[name] = value
            head.keys[name] = key
    for head in heads.values():
        head.own_pooler = "pooler.weight" in head.parameters
        for name in ("weight", "bias"):
            if _SHARED + name in state and not head.san:
                head.parameters.setdefault(f"pooler.{name}", state[_SHARED + name])
                head.keys.setdefault(f"pooler.{name}", _SHARED + name)
    return [heads[number] for number in sorted(heads)]


def is_head(key: str) -> bool:
    """Whether a tensor belongs to a head, not to the encoder."""
    return key.startswith(("scoring_list.", _SHARED))
