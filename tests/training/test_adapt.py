"""Masked language modelling: whole words, never a scored text, resumable, and an encoder that others can start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import tiny
from biomtl.encoders import load_encoder, load_processor
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.text.base import TextInput
from biomtl.training.adapt import adapt, adaptation_texts, training_texts
from biomtl.training.log import RunLog
from biomtl.training.masked_words import MaskedTexts, word_numbers
from biomtl.training.options import AdaptOptions
from biomtl.training.recipe_io import make_recipe

TEXTS = ["zalpidine rimu teksa korinosis vono .", "brentol milo dasu, quari suno fenatitis pola rimu teksa vono"]


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta"])
def test_pieces_know_their_words(encoders: dict[str, Path], family: str) -> None:
    processor = load_processor(encoders[family], 40, 8)
    for text in TEXTS:
        [row] = processor.encode([TextInput((text,))])[0].rows
        for (start, end), number in zip(row.offsets.tolist(), word_numbers(text, row), strict=True):
            word = text[start:end].strip()
            if word:  # a blank before a word may be a piece of it
                spans = text.replace(",", " ,").split()
                assert word in spans[number] or spans[number] in word


def test_whole_words_are_masked_anew_in_every_epoch(bert: Path) -> None:
    processor = load_processor(bert, 40, 8)
    recipe = make_recipe({"batch_size": 2, "max_length": 40})
    data = MaskedTexts(processor, TEXTS * 20, recipe, 0.3)
    seen = set()
    fates = {"masked": 0, "kept": 0, "other": 0}
    for epoch in range(20):
        for index, group in enumerate(data.groups):
            masked = data.masked(index, epoch)
            assert (masked.rows[0].inputs["input_ids"] == data.masked(index, epoch).rows[0].inputs["input_ids"]).all()
            [example] = masked.task_examples
            assert example.word_positions is not None
            places = example.word_positions[:, 0, 1]
            chosen = set(group[places].tolist())
            assert sorted(np.nonzero(np.isin(group, list(chosen)))[0]) == places.tolist()  # every piece of the words
            assert len(chosen) == max(1, round(0.3 * len(np.unique(group[group >= 0]))))
            original = data.examples[index].rows[0].inputs["input_ids"]
            assert (example.target == original[places]).all()
            changed = masked.rows[0].inputs["input_ids"]
            untouched = np.setdiff1d(np.arange(len(original)), places)
            assert (changed[untouched] == original[untouched]).all()
            for at in places:
                fate = "masked" if changed[at] == data.mask else "kept" if changed[at] == original[at] else "other"
                fates[fate] += 1
            if index == 0:
                seen.add(tuple(places))
    assert len(seen) > 3
    total = sum(fates.values())
    assert 0.75 < fates["masked"] / total < 0.85
    assert 0.05 < fates["kept"] / total < 0.15


def recipe_of(bert: Path, suite: Path, folder: Path, **keys: Any) -> Any:
    base = {"encoder": str(bert), "suite": str(suite), "output": str(folder), "max_length": 40, "batch_size": 8}
    base |= {
        "learning_rate": 3e-3,
        "num_train_epochs": 4,
        "eval_strategy": "no",
        "predict_test": False,
        "save_steps": 2,
    }
    return make_recipe({**base, "num_threads": 1, **keys})


def test_the_adapted_encoder_is_one_to_start_from(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    place = adapt(recipe_of(bert, small_suite, tmp_path / "adapt"), console=Console(quiet=True))
    assert (place / "tokenizer.json").is_file()
    model = MultiTaskModel.from_encoder(place, [tiny.task("cls-text")], max_length=24)
    before = load_encoder(bert).state_dict()
    after = model.encoder.state_dict()
    assert not torch.equal(
        before["network.embeddings.word_embeddings.weight"], after["network.embeddings.word_embeddings.weight"]
    )
    losses = [line["loss"] for line in map(eval_line, (tmp_path / "adapt" / "log.jsonl").read_text().splitlines())]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def eval_line(line: str) -> dict[str, Any]:
    import json

    return json.loads(line)


class StoppedError(Exception):
    """The process ends here."""


def test_stopped_and_resumed(bert: Path, small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = adapt(recipe_of(bert, small_suite, tmp_path / "whole"), console=Console(quiet=True))
    original = RunLog.step

    def stopping(self: RunLog, done: Any) -> None:
        original(self, done)
        if done.step == 7:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "step", stopping)
        with pytest.raises(StoppedError):
            adapt(recipe_of(bert, small_suite, tmp_path / "broken"), console=Console(quiet=True))
    assert not (tmp_path / "broken" / "model").exists()
    again = adapt(recipe_of(bert, small_suite, tmp_path / "broken"), resume=True, console=Console(quiet=True))
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_scored_texts_are_left_out_or_refused(bert: Path, tmp_path: Path) -> None:
    folder = tiny.write_suite(tmp_path / "suite", ("cls-text",))
    rows = tiny.records("cls-text", 12)
    test = {**rows[0], "id": "t", "text": "Of zalpidine rimu teksa korinosis, milo dasu quari"}
    rows[3]["text"] = "Before. of ZALPIDINE rimu teksa korinosis milo dasu quari; after"
    tiny.write_rows(folder / "cls-text" / "train.jsonl", rows)
    tiny.write_rows(folder / "cls-text" / "test.jsonl", [test])
    suite, recipe = load_suite(folder), recipe_of(bert, folder, tmp_path / "run")
    texts, note = adaptation_texts(suite, recipe, AdaptOptions())
    assert rows[3]["text"] not in texts
    assert set(texts) | {rows[3]["text"]} >= set(training_texts(suite, recipe)) - {row["text"] for row in rows[:0]}
    assert note is not None
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"suno vono pola rimu teksa quari milo\n\n{rows[3]['text']}\n")
    with pytest.raises(InputError, match=r"corpus\.txt:3: a text of cls-text test begins in the line: of zalpidine"):
        adaptation_texts(suite, recipe, AdaptOptions(corpus=str(corpus)))
    texts, _ = adaptation_texts(suite, recipe, AdaptOptions(corpus=str(corpus), allow_test_text=True))
    assert len(texts) == 2


def test_a_scored_text_may_continue_over_lines(bert: Path, tmp_path: Path) -> None:
    folder = tiny.write_suite(tmp_path / "suite", ("cls-text",))
    test = {**tiny.records("cls-text", 1)[0], "id": "t", "text": "Of zalpidine. Rimu teksa korinosis; milo dasu quari."}
    tiny.write_rows(folder / "cls-text" / "test.jsonl", [test])
    suite, recipe = load_suite(folder), recipe_of(bert, folder, tmp_path / "run")
    corpus = tmp_path / "corpus.txt"
    options = AdaptOptions(corpus=str(corpus))
    for lines in (
        ["pola of zalpidine", "rimu teksa", "", "korinosis milo", "dasu", "QUARI suno"],
        test["text"].split(),
    ):
        corpus.write_text("\n".join(["vono pola", *lines, "vono"]) + "\n")
        with pytest.raises(InputError, match=r"corpus\.txt:2: a text of cls-text test begins in the line: of zalp"):
            adaptation_texts(suite, recipe, options)
        corpus.write_text("\n".join(["vono pola", *lines[:2], "vono", *lines[2:]]) + "\n")
        assert adaptation_texts(suite, recipe, options)[0][-1] == lines[-1]


def test_texts_of_relations_are_unchanged(bert: Path, tmp_path: Path) -> None:
    """A masked copy for each pair would fill the epoch, and no scored text would be found in it."""
    folder = tiny.write_suite(tmp_path / "suite", ("rel-mask",))
    suite, recipe = load_suite(folder), recipe_of(bert, folder, tmp_path / "run")
    expected = [record["text"] for record in suite.data["rel-mask"].records("train")]
    assert list(training_texts(suite, recipe)) == expected
