"""Taggers split new text as their training corpus was split: tokens and text give the same mentions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import genia
import tiny
from biomtl.formats import Document
from biomtl.inference.annotate import Annotator
from biomtl.inference.predictor import Predictor, TokenizedText
from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.tasks.task import Task
from biomtl.training.words import learn_word_rules

GENES = {"type": "tagging", "inputs": "tokens", "metric": "entity_f1_conlleval", "labels": ["O", "B-Gene", "I-Gene"]}


@pytest.fixture(scope="module")
def folder(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of two taggers, one of a corpus with hyphens in its words and one of ours."""
    root = tmp_path_factory.mktemp("words")
    suite = tiny.write_suite(root / "suite", ("tag-drug",))
    (suite / "genes").mkdir()
    (suite / "genes" / "task.yaml").write_text(json.dumps({"name": "genes", **GENES}))
    tiny.write_rows(suite / "genes" / "train.jsonl", genia.records(150))
    data = load_suite(suite)
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(bert, data.tasks.values(), max_length=48)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)  # a fresh tagger that finds mentions everywhere
    notes = learn_word_rules(model, data)
    assert len(notes) == 1
    assert notes[0].startswith("task genes: text is split by a rule learned from its tokens")
    model.save_pretrained(root / "model")
    return root / "model"


def mentions(predictor: Predictor, text: str) -> list[tuple[str, float]]:
    (found,) = predictor([text])
    return [(mention.text, mention.probability) for mention in found["genes"].mentions or ()]


def test_tokens_and_text_give_the_same_mentions(folder: Path) -> None:
    predictor = Predictor(folder, tasks=["genes"])
    seen = different = 0
    for record in genia.records(30, seed=2):
        joined, (text, offsets) = " ".join(record["tokens"]), genia.printed(record["tokens"])
        expected = mentions(predictor, TokenizedText.of(record["tokens"]))
        assert mentions(predictor, joined) == expected
        assert mentions(predictor, text) == mentions(predictor, TokenizedText.of(record["tokens"], offsets))
        different += mentions(Predictor(predictor.engine, tasks=["genes"], words="ours"), joined) != expected
        seen += len(expected)
    assert seen > 30
    assert different > 10  # as it was: every text cut one way


def test_each_task_annotates_with_its_own_words_in_one_pass(folder: Path) -> None:
    predictor = Predictor(folder)
    text = "The NF-pola B gene binds 5'-zalpidine in cells. RI-2/RI-4 was shown (p65/p50)."
    calls: list[int] = []
    hook = predictor.engine.model.encoder.register_forward_pre_hook(
        lambda _, given: calls.append(len(given[0]["attention_mask"]))
    )
    (document,) = Annotator(predictor)([Document("1", text)])
    hook.remove()
    assert sum(calls) == 2  # two sentences, for both tasks
    edges = {"Gene": {" ", "(", ")", "."}, "Drug": {" ", "(", ")", ".", "-", "/", "'"}}
    for kind, allowed in edges.items():
        found = [mention for mention in document.mentions if mention.type == kind]
        assert found
        for mention in found:
            assert mention.text == text[mention.start : mention.end]
            inside = mention.start == 0 or text[mention.start - 1] in allowed or mention.text[0] in allowed
            assert inside, mention
    genes = {mention.text for mention in document.mentions if mention.type == "Gene"}
    assert not any(text.endswith("-") or text.startswith("-") for text in genes)


@pytest.mark.parametrize("choice", ["model", "ours", "blanks"])
def test_the_option(command: Callable[..., Any], folder: Path, choice: str, tmp_path: Path) -> None:
    text = "vono, NF-pola binds RI-2/RI-4 receptor."
    ended = command("predict", folder, "--task", "genes", "--words", choice, stdin=text.encode())
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["tasks"]["genes"]["mentions"]
    assert [m["text"] for m in found] == [
        m.text for m in Predictor(folder, words=choice)([text])[0]["genes"].mentions or ()
    ]
    ended_in = {m["text"][-1] for m in found}
    (tmp_path / "in.txt").write_text(text)
    annotated = command(
        *("annotate", folder, tmp_path / "in.txt", "--task", "genes", "--words", choice),
        *("--out", tmp_path / "out.jsonl", "--to", "jsonl"),
    )
    assert annotated.code == 0, annotated.err
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert [m["text"] for m in row["mentions"]] == [m["text"] for m in found]
    assert ended_in


def test_a_model_saved_without_a_rule_splits_words_by_our_rules(folder: Path) -> None:
    predictor = Predictor(folder, tasks=["genes"])
    model = predictor.engine.model
    model.tasks["genes"] = model.tasks["genes"].model_copy(update={"words": None})
    text = "NF-pola binds RI-2/RI-4."
    assert mentions(Predictor(model), text) == mentions(Predictor(model, words="ours"), text)


def test_training_keeps_the_rule(command: Callable[..., Any], bert: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    (suite / "genes").mkdir(parents=True)
    (suite / "genes" / "task.yaml").write_text(json.dumps({"name": "genes", **GENES}))
    for seed, split in enumerate(("train", "dev", "test")):
        tiny.write_rows(suite / "genes" / f"{split}.jsonl", genia.records(60, seed))
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", bert, suite)
    ended = command("train", recipe)
    assert ended.code == 0, ended.err
    assert "task genes: text is split by a rule learned from its tokens" in ended.out
    head = json.loads((tmp_path / "run" / "model" / "heads" / "genes" / "head.json").read_text())
    assert Task.model_validate(head["task"]).words is not None
    assert head["task"]["words"]["name"] == "corpus"


def test_check_says_how_words_are_split(command: Callable[..., Any], tmp_path: Path) -> None:
    file = tiny.write_rows(tmp_path / "genes.jsonl", genia.records(60))
    ended = command("check", file, "--type", "tagging")
    assert "text is split by a rule learned from its tokens" in ended.out
