"""Relation tasks over a frozen biLM: what the activation store holds of a sentence and its pairs, view by view."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from biomtl.batch import encode_examples
from biomtl.encoders.elmo.store import RECORD
from biomtl.inference.evaluate import evaluate
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training import train

PAIRS = 4  # of each sentence in the invented records


@pytest.mark.parametrize("name", ["rel-mask", "rel-markers", "rel-spans"])
def test_sentences_in_the_store(bilm_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tiny.write_suite(tmp_path / "suite", (name,), train=16, other=8)
    suite = load_suite(folder)
    recipe = tiny.write_recipe(
        tmp_path / "recipe.yaml", bilm_folder, folder, activations_folder=str(tmp_path / "store"), max_length=64
    )
    run = train(recipe)
    (index,) = (tmp_path / "store").rglob("index.bin")
    records = {split: suite[name].records(split) for split in ("train", "dev", "test")}
    sentences = {record["text"] for rows in records.values() for record in rows}
    model = MultiTaskModel.from_pretrained(run.folder)
    examples = encode_examples(
        model.processor,
        model.tasks,
        {name: [record for rows in records.values() for record in rows]},
        targets=False,
        choices=model.choices,
    )
    # A sentence is there once for all its pairs, whose vectors are read from it; other views have a text for each.
    texts = len(sentences) if name == "rel-spans" else PAIRS * len(sentences)
    assert len(examples) == texts
    assert index.stat().st_size == texts * RECORD.size
    assert evaluate(model, suite, "test", resamples=0).scores[name].main.value >= 0
