"""The frozen record of a task."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from biomtl.errors import InputError
from biomtl.notebook import html_table
from biomtl.storage.structured import read_yaml, validated
from biomtl.tasks.head import HeadChoice, split_record
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.words import WordRule

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
LONGEST_NAME = 100  # characters: it names folders, including temporary ones, and file systems allow 255 bytes
Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class Published(BaseModel):
    """A published score for the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    system: str
    value: float = Field(description="x100, as printed in the source")
    sd: float | None = Field(None, description="standard deviation over its runs, x100")
    metric: str
    source: str
    protocol: str = Field("", description="how it was trained or scored, where that differs from one run on train")
    data: str = Field("", description="the rows that it was scored on, where they are not those of this record")

    @property
    def remarks(self) -> str:
        """What to know before another score is compared with it; empty if there is nothing."""
        return "; ".join(filter(None, (self.protocol, self.data)))


class Catalogue(BaseModel):
    """What users need to know about a benchmark task's data.

    ``expected`` maps split -> key -> count. A key is a label of the task (rows that have it), or one of: ``rows``
    (including negatives), ``positives`` (rows with a label other than the negative), ``pairs`` (rows of two texts),
    ``sentences`` (rows of a multilabel task), ``mentions`` (entities), ``labelled words`` (tags other than ``O``) and
    ``documents``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    licence: str
    free: bool = Field(description="whether anyone may download the corpus")
    obtain: str = Field(description="where to download it, or whom to ask")
    citation: str
    unit: str = Field(description="unit of the expected counts")
    expected: dict[Split, dict[str, int]] = Field(
        description="split -> label (or unit) -> count, as the benchmark gives it"
    )
    split_of: str | None = Field(None, description="the task whose corpus this task divides or scores in another way")
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()


class Task(BaseModel):
    """A frozen record: what a task's rows look like, its labels in order, and how it is scored.

    ``labels`` has one owner, this record: class ``i`` of a head is ``labels[i]``. A tagging task lists its tags
    (``O``, ``B-X``, ``I-X``); a regression task lists none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME.pattern, max_length=LONGEST_NAME)
    type: str = "classification"
    inputs: Literal["text", "pair", "tokens", "candidates"] = "text"
    order: Literal["ab", "ba"] = Field("ab", description="which of a pair's texts the encoder reads first")
    labels: tuple[str, ...] = ()
    negative: str | None = Field(None, description="the class that F1 leaves out")
    metric: str = Field(description="id of the main metric in biomtl.scoring")
    metrics: tuple[str, ...] = Field((), description="further metrics to print")
    score_range: tuple[float, float] | None = Field(None, description="lowest and highest score, for regression")
    relation: RelationArguments | None = Field(None, description="a relation task's arguments")
    unanswerable: bool = Field(False, description="whether a span task's questions may have no answer")
    words: WordRule | None = Field(
        None, description="how a tagging task's corpus splits text, learned in training and kept in the saved head"
    )
    aliases: tuple[str, ...] = ()
    licence: str = "unknown"
    files: dict[Split, str] = Field(default_factory=dict)
    catalogue: Catalogue | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name}: a label is listed twice")
        if self.negative is not None and self.negative not in self.labels:
            raise ValueError(f"task {self.name}: negative {self.negative!r} is not one of its labels")
        if self.order == "ba" and self.inputs != "pair":
            raise ValueError(f"task {self.name}: order ba is for tasks of two texts, not inputs {self.inputs}")
        if self.score_range is not None and not 0 < self.score_range[1] - self.score_range[0] < math.inf:
            low, high = self.score_range
            raise ValueError(f"task {self.name}: score_range [{low:g}, {high:g}], lowest and highest must differ")
        return self

    @property
    def o_index(self) -> int:
        """The index of ``O``, the tag of words outside mentions, among a tagger's labels; 0 if it is missing."""
        return self.labels.index("O") if "O" in self.labels else 0

    @classmethod
    def read(cls, path: str | Path) -> Task:
        """The task in a ``task.yaml``, without its head (see ``read_task``)."""
        return read_task(path)[0]

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {self.type}, {self._answers()}, {self.metric})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The fields that differ from their defaults, in a table."""
        hidden = {"name", "catalogue"}
        rows = [(key, _said(value)) for key, value in self.dump().items() if key not in hidden]
        if self.catalogue:
            rows += [("title", self.catalogue.title), ("where to get it", self.catalogue.obtain)]
        return html_table(("field", "value"), rows, caption=f"Task {self.name}")

    def _answers(self) -> str:
        """The number of labels, or the range of scores."""
        if self.labels or self.score_range is None:
            return f"{len(self.labels)} label{'s' * (len(self.labels) != 1)}"
        return "scores {:g} to {:g}".format(*self.score_range)

    def dump(self) -> dict[str, Any]:
        """The record as plain values without defaults, for YAML or JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def name_problem(name: str) -> str | None:
    """The problem with a task's name, or None."""
    if len(name) > LONGEST_NAME:
        return f"a task's name of {len(name)} characters ({name[:20]}…), at most {LONGEST_NAME}, as it names folders"
    if name == "mean":
        return "a task named 'mean', which is what tables call the mean over tasks: choose another name"
    if not NAME.fullmatch(name):
        return f"a task named {name!r:.60}, write letters, digits, '.', '_' and '-', a letter or digit first"
    return None


def read_task(path: str | Path) -> tuple[Task, HeadChoice]:
    """The task and the head in a ``task.yaml``.

    Raises:
        InputError: missing file, broken YAML, unknown or impossible fields.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file", path=path, expected="a task record", fix="run `biomtl prepare`")
    value, _ = read_yaml(path)
    if not isinstance(value, dict):
        raise InputError("not a mapping", path=path, expected="the fields of a task")
    own, head = split_record(value)
    what = "the fields of a task"
    return validated(Task, own, path, what), validated(HeadChoice, head, path, what)
