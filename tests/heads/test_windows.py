"""Pairs of mentions in texts longer than a row: read from one window if it holds both, else from two, and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from biomtl.batch import collate, divided_pairs, encode_examples
from biomtl.inference.evaluate import evaluate
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.types.base import type_of

NAMES = ("rel-spans", "rel-markers")
GAPS = {"near": 1, "far": 60}  # words between both mentions; a row holds 40 pieces


def record(gap: str, number: int = 0) -> dict[str, Any]:
    """A long sentence with a drug and an illness in the middle."""
    words = [*["pola"] * 35, "zalpidine", *["rimu"] * GAPS[gap], "korinosis", *["vono"] * 35]
    text = " ".join(words)
    entities = []
    for i, (name, kind) in enumerate((("zalpidine", "Drug"), ("korinosis", "Illness"))):
        start = text.index(name)
        entities.append({"id": f"e{i}", "type": kind, "start": start, "end": start + len(name), "text": name})
    return {"id": f"{gap}{number}", "doc_id": f"{gap}{number}", "text": text, "label": "treats", "entities": entities}


@pytest.fixture
def model(bert: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    return tiny.model(bert, NAMES, max_length=40).eval()


@pytest.mark.parametrize("name", NAMES)
def test_no_pair_is_lost(model: MultiTaskModel, name: str) -> None:
    for gap in GAPS:
        given = {name: [record(gap)]}
        (example,) = encode_examples(model.processor, model.tasks, given, targets=True, choices=model.choices)
        assert len(example.rows) > 2
        (asked,) = example.task_examples
        assert asked.word_positions is not None
        assert (asked.word_positions >= 0).all()
        rows = set(asked.word_positions[..., 0].flatten().tolist())
        assert len(rows) == (1 if gap == "near" else 2)
        assert divided_pairs([example]) == ({} if gap == "near" else {name: 1})
        task, head = model.tasks[name], model.choices[name]
        (shown,) = type_of(task).text(record(gap), task, head).texts
        begins = ("zalpidine", "korinosis") if name == "rel-spans" else ("@ * drug", "# ^ illness")
        first_pieces = asked.word_positions[0, :: 2 if name == "rel-spans" else 1]
        for (row, place), wanted in zip(first_pieces, begins, strict=True):
            assert shown[example.rows[row].offsets[place][0] :].startswith(wanted)
        batch = collate([example], model.processor)
        answer = model(batch.inputs, batch.tasks)[name]
        assert (answer.outputs.shape, answer.count) == ((1, 3), 1)
        assert answer.loss is not None
        assert answer.loss.isfinite()


def test_they_are_counted(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    views = (*NAMES, "rel-mask")
    model = tiny.model(bert, views, max_length=40)
    suite = tiny.write_suite(tmp_path / "suite", views)
    for name in views:
        for split in ("train", "dev"):
            rows = [record("far"), record("far", 1), record("near")]
            tiny.write_rows(suite / name / f"{split}.jsonl", rows)
    evaluated = evaluate(model, load_suite(suite), "dev", resamples=0)
    assert evaluated.divided == {"rel-markers": 2, "rel-mask": 2, "rel-spans": 2}
    assert {name: len(rows) for name, rows in evaluated.predictions.items()} == dict.fromkeys(views, 3)
    said = "rel-mask: 2 pairs are read from two windows, as no row of max_length holds both mentions"
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", bert, suite, tasks=list(views), max_length=40)
    ended = command("train", recipe)
    assert ended.code == 0, ended.err
    assert said in " ".join((ended.out + ended.err).split())
    model.save_pretrained(tmp_path / "model")
    ended = command("evaluate", tmp_path / "model", "--data", suite, "--split", "dev", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert said in ended.out
