"""Only the task types depend on types, no module checks a head's class, and a head may read pairs of mentions."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import biomtl
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.encoders.base import Encoded, Encoder
from biomtl.heads.base import Head
from biomtl.heads.build import builder
from biomtl.heads.losses import text_cross_entropy
from biomtl.heads.rows import TaskRows
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Cell, Record, TaskType, task_type, type_names
from biomtl.text.alignment import word_positions
from biomtl.text.base import EncodedRow

ROOT = Path(biomtl.__file__).parent


def lines() -> Iterator[tuple[str, str]]:
    """``(file and line, text)`` of the package's code, the task types' left out."""
    for path in sorted(ROOT.rglob("*.py")):
        if "types" not in path.relative_to(ROOT).parts:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line


def test_no_module_tests_a_tasks_type() -> None:
    asking = re.compile(r"\.type (==|!=|in|not in) |\.type\) (==|in) |\[task\.type\]|\.get\(task\.type")
    found = [place for place, line in lines() if asking.search(line) and re.search(r"\btask\w*\.type\b", line)]
    assert found == []


def test_no_module_tests_a_heads_class() -> None:
    asking = re.compile(r"isinstance\([^)]*Head\b|isinstance\(head|getattr\((head|self\.head)")
    assert [place for place, line in lines() if asking.search(line)] == []


RELATED = Task(name="related", type="mention-pairs", labels=("no", "yes"), metric="accuracy")
DRUG = re.compile("|".join(tiny.DRUGS + tiny.ILLNESSES))


class MentionPairs(TaskType):
    """Every pair of mentions of a text gets a label; an output reads the ends of both."""

    name: ClassVar[str] = "mention-pairs"
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    gold_key: ClassVar[str] = "pairs"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"pairs": "spans"}
    metric: ClassVar[str] = "accuracy"

    def pairs(self, record: Record) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        spans = [match.span() for match in DRUG.finditer(record["text"])]
        return [(a, b) for i, a in enumerate(spans) for b in spans[i + 1 :]]

    def positions(
        self, record: Record, task: Task, rows: Sequence[EncodedRow], head: HeadChoice = DEFAULT_HEAD
    ) -> NDArray[np.int32]:
        ends = [
            (s, s + 1) if first else (e - 1, e) for p in self.pairs(record) for s, e in p for first in (True, False)
        ]
        return word_positions(rows, ends).reshape(-1, 4, 2)

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        text = record["text"]
        return np.array([int(text[slice(*a)] < text[slice(*b)]) for a, b in self.pairs(record)], dtype=np.int64)

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        return {"labels": [task.labels[i] for i in outputs.argmax(-1)]}


class PairsOfMentions(Head):
    """One linear layer over the four states that an output reads."""

    def __init__(self, task: Task, encoder: Encoder, choice: HeadChoice) -> None:
        super().__init__(text_cross_entropy)
        self.network = None
        self.classifier = nn.Linear(4 * encoder.dim, len(task.labels))

    def forward(self, encoded: Encoded, rows: TaskRows) -> Tensor:
        return self.classifier(rows.gather(encoded.hidden).flatten(1))


@pytest.fixture
def model(bert: Path, monkeypatch: pytest.MonkeyPatch) -> MultiTaskModel:
    registered = {"mention-pairs": MentionPairs()}
    known, build = task_type, builder
    monkeypatch.setattr("biomtl.tasks.types.base.type_names", lambda: (*type_names(), *registered))
    monkeypatch.setattr("biomtl.tasks.types.base.task_type", lambda name: registered.get(name) or known(name))
    monkeypatch.setattr(
        "biomtl.heads.build.builder", lambda family: PairsOfMentions if family[0] in registered else build(family)
    )
    torch.manual_seed(0)
    return MultiTaskModel.from_encoder(bert, [RELATED, tiny.task("cls-text")], max_length=64)


def test_one_pass_for_all_pairs_of_a_text(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "zalpidine pola korinosis rimu brentolol vono lemidase"
    texts = [text, "pola rimu", "milo fenatitis , tavrixan"]
    records = {
        "related": [{"id": str(i), "text": t} for i, t in enumerate(texts)],
        "cls-text": tiny.records("cls-text", 2),
    }
    examples = encode_examples(model.processor, model.tasks, records, targets=True)
    batch = collate(examples, model.processor)
    rows = batch.tasks["related"]
    assert rows.output_counts == (6, 0, 1)
    assert rows.word_positions is not None
    assert rows.word_positions.shape == (7, 4, 2)
    assert batch.loss_denominator("related") == 7
    monkeypatch.setattr(Encoded, "select", None)  # no row is copied for the pairs
    pieces = model.processor.tokenizer.convert_ids_to_tokens  # type: ignore[attr-defined]
    ids = batch.inputs["input_ids"]
    read = [pieces(ids[rows.rows[row], position].item()) for row, position in rows.word_positions[-1].tolist()]
    assert "".join(read[:1]).startswith("fen") or read[0][0] == "f"
    assert read[3].removeprefix("##").endswith("n")
    answer = model.train()(batch.inputs, {"related": rows})["related"]
    assert answer.outputs.shape == (7, 2)
    assert answer.count == 7
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = model(batch.inputs, {"related": rows})["related"].loss
        assert loss is not None
        loss.backward()
        optimiser.step()
    assert loss < 0.1


def test_pairs_are_predicted_the_same_alone_and_in_a_batch(model: MultiTaskModel) -> None:
    records = [{"id": str(i), "text": " ".join(tiny.sentence(random.Random(i), 12))} for i in range(6)]
    together = predict_records(model, {"related": records})["related"]
    alone = [predict_records(model, {"related": [record]})["related"][0] for record in records]
    assert together == alone
    assert {len(row["labels"]) for row in together} == {1}


def test_a_head_over_whole_texts_reads_long_ones_too(model: MultiTaskModel) -> None:
    record = {"id": "0", "text": " ".join(tiny.sentence(random.Random(0), 300) + list(tiny.DRUGS))}
    records = {"related": [record], "cls-text": [{**record, "label": None}]}
    whole, parts = (predict_records(model, records, batch_tokens=n)["related"] for n in (10**6, 64))
    assert parts == whole
    assert len(parts[0]["labels"]) > 3
