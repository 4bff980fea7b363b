"""Raw text: offsets in the given string, every word tagged, the same path as in evaluation."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from biomtl.encoders.base import Encoded
from biomtl.errors import InputError
from biomtl.inference.engines import as_engine
from biomtl.inference.predict import predict_records
from biomtl.inference.predictor import Predictor, RelationText, Result, TokenizedText
from biomtl.model import MultiTaskModel
from biomtl.text.words import words


@pytest.fixture(scope="module")
def predictor(bert: Path) -> Predictor:
    """Heads wide enough that a fresh tagger finds mentions everywhere."""
    torch.manual_seed(0)
    model = tiny.model(bert, tiny.TASKS, max_length=16)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)
    return Predictor(model)


characters = st.characters(codec="utf-8", exclude_characters="\0")
glued = st.lists(st.sampled_from([*tiny.WORDS, *tiny.DRUGS, "-", "'s", "\n", "  ", "é", "\u200b"]), max_size=60)
spaced = st.lists(st.sampled_from([*tiny.WORDS, *tiny.DRUGS, ",", "3%"]), max_size=60)
texts = st.one_of(st.text(characters, max_size=60), glued.map("".join), spaced.map(" ".join))


@settings(max_examples=40, deadline=None)
@given(given_texts=st.lists(texts, min_size=1, max_size=4))
def test_mentions_lie_in_the_input(predictor: Predictor, given_texts: list[str]) -> None:
    found = 0
    for text, results in zip(given_texts, predictor(given_texts), strict=True):
        assert sorted(results) == ["cls-text", "multi-text", "reg-text", "rel-mask", "tag-drug", "tag-illness"]
        edges = list(words(text))
        for name in ("tag-drug", "tag-illness"):
            mentions = results[name].mentions
            assert mentions is not None
            end = 0
            for mention in mentions:
                assert mention.text == text[mention.start : mention.end] != ""
                assert mention.start >= end
                assert mention.start in {start for start, _ in edges}
                assert mention.end in {stop for _, stop in edges}
                assert 0 < mention.probability <= 1
                end = mention.end
                found += 1
    if any(text.strip() for text in given_texts):
        assert found >= 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_same_sentence_has_the_same_tags_everywhere(predictor: Predictor, seed: int) -> None:
    rng = random.Random(seed)
    record = tiny.tagging_record(rng, 0)
    sentence = TokenizedText.of(record["tokens"], record["offsets"])
    others = [" ".join(tiny.sentence(rng)) for _ in range(3)]
    by_evaluation = predict_records(predictor.engine.model, {"tag-drug": [record]})["tag-drug"][0]
    as_words, as_text = (predictor([*others, text])[-1]["tag-drug"] for text in (sentence, str(sentence)))
    assert list(as_words.tags or ()) == by_evaluation["tags"]
    assert as_words.mentions == as_text.mentions
    assert as_text.tags is None
    assert len(by_evaluation["tags"]) == len(record["tokens"])


def test_given_words_are_kept() -> None:
    assert TokenizedText.of(["P<0.01", "in"]) == "P<0.01 in"
    assert TokenizedText.of(["P<0.01", "in"]).words == ((0, 6), (7, 9))
    assert TokenizedText.of(["a", "b"], [[3, 4], [4, 5]]) == "ab"


def test_given_words_decide_where_mentions_end(predictor: Predictor) -> None:
    tokens = [f"{word}-{word}" for word in tiny.DRUGS * 8]
    (result,) = predictor([TokenizedText.of(tokens)])
    tags = result["tag-drug"].tags
    assert tags is not None
    assert len(tags) == len(tokens)
    edges = {span[0] for span in TokenizedText.of(tokens).words}
    mentions = result["tag-drug"].mentions
    assert mentions
    assert {mention.start for mention in mentions} <= edges


def test_pairs_go_to_the_tasks_over_two_texts(predictor: Predictor) -> None:
    single, pair = predictor(["pola .", ("pola .", "rimu .")])
    assert sorted(pair) == sorted(name for name in tiny.TASKS if name.endswith(("pair", "apart")))
    marked = ["rel-markers", "rel-spans", "rel-levitated"]  # they need to be told the mentions
    assert sorted([*single, *pair, *marked]) == sorted(tiny.TASKS)
    assert isinstance(pair["reg-apart"].score, float)
    assert pair["cls-pair"].label in tiny.TASKS["cls-pair"]["labels"]
    assert sum((pair["cls-pair"].probabilities or {}).values()) == pytest.approx(1, abs=1e-4)
    assert set(single["multi-text"].to_dict()) == {"labels", "probabilities"}
    assert set(single["tag-drug"].to_dict()) == {"mentions"}


def test_empty_input(predictor: Predictor) -> None:
    assert predictor([]) == []
    (empty,) = predictor([""])
    assert empty["tag-drug"].mentions == ()


def test_a_single_string_has_a_single_result(predictor: Predictor) -> None:
    text = "pola zalpidine ."
    assert predictor(text) == predictor([text])[0]
    assert predictor("") == predictor([""])[0]


def test_a_mention_without_type_has_the_name_of_its_task(bert: Path) -> None:
    task = tiny.task("tag-drug").model_copy(update={"name": "plain", "labels": ("O", "B", "I")})
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(bert, [task])
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)
    mentions = Predictor(model)(" ".join(tiny.WORDS))["plain"].mentions
    assert mentions
    assert {mention.type for mention in mentions} == {"plain"}


def test_some_tasks(predictor: Predictor, small_model: Path) -> None:
    only = Predictor(small_model, tasks=["reg-pair"])
    assert list(only([("a", "b")])[0]) == ["reg-pair"]
    with pytest.raises(InputError, match="no task of the model takes single texts, expected input for reg-pair"):
        only(["a"])
    with pytest.raises(InputError, match="did you mean 'reg-pair'"):
        Predictor(small_model, tasks=["reg-pairs"])
    with pytest.raises(InputError, match="did you mean 'tag-drug'"):
        Predictor(predictor.engine, tasks=["tag-drugs"])


def test_progress_counts_texts(predictor: Predictor) -> None:
    counts: list[int] = []
    predictor(["pola .", "rimu .", "pola ."], advance=counts.append)
    assert sum(counts) == 2  # equal texts are read once


def test_fields_of_a_single_task_type_are_in_the_dictionary() -> None:
    answer = {"start": 0, "end": 4, "answer": "here", "probability": 0.5}
    assert Result("where", other=answer).to_dict() == answer


def test_a_long_text_is_encoded_a_few_windows_at_a_time(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the batch, not by the text; what is predicted is the same."""
    names = {name: row for name in tiny.TASKS for row in tiny.records(name, 1)}
    long = " ".join(tiny.sentence(random.Random(0), 400))
    for row in names.values():
        if "tokens" in row:
            row["tokens"] = long.split()
            row["offsets"] = [(at.start(), at.end()) for at in re.finditer(r"\S+", long)]
        for key in {"text", "text_a"} & set(row):
            row[key] = long
    torch.manual_seed(0)
    model = tiny.model(bert, tiny.TASKS, max_length=16)
    model.add_task(tiny.task("tag-drug"), tiny.head("tag-drug", crf=True))
    model.eval()
    passes: list[int] = []
    encoder_forward = model.encoder.forward

    def counted(inputs: Mapping[str, torch.Tensor]) -> Encoded:
        passes.append(inputs["input_ids"].numel())
        return encoder_forward(inputs)

    monkeypatch.setattr(model.encoder, "forward", counted)
    rows = {name: [row] for name, row in names.items()}
    whole = predict_records(model, rows, batch_tokens=10**6)
    assert max(passes) > 1000
    passes.clear()
    parts = predict_records(model, rows, batch_tokens=64)
    assert len(passes) >= 15
    assert max(passes) <= 64
    assert sorted(parts) == sorted(whole) == sorted(tiny.TASKS)
    for name in parts:
        assert_alike(parts[name], whole[name])


def assert_alike(one: object, other: object) -> None:
    """Equal but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple | np.ndarray):
        assert isinstance(other, list | tuple | np.ndarray)
        for mine, its in zip(one, other, strict=True):
            assert_alike(mine, its)
    elif isinstance(one, float | np.floating):
        assert one == pytest.approx(other, abs=1e-4)
    else:
        assert one == other


def test_a_text_with_very_many_pairs_is_encoded_once_for_some_of_them(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a document's list of drugs doesn't fill the memory."""
    model = tiny.model(bert, ["rel-spans"], max_length=24)
    records = {"rel-spans": tiny.records("rel-spans", 4)}
    whole = predict_records(model, records)
    monkeypatch.setattr("biomtl.inference.predict.FOLLOWED", 3)
    engine = as_engine(model, bf16=False)
    assert engine.passes.rows == 0
    portioned = predict_records(engine, records)
    assert engine.passes.rows == 2
    for one, other in zip(whole["rel-spans"], portioned["rel-spans"], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_pairs_of_mentions_in_python(bert: Path) -> None:
    predictor = Predictor(tiny.model(bert, ["rel-spans"], max_length=24))
    record = tiny.relation_record(0)
    (found,) = predictor([RelationText.with_entities(record["text"], record["entities"])])
    assert found["rel-spans"].label in tiny.RELATED["labels"]
    for whole in (record, [record]):  # a record as it stands is no input
        with pytest.raises(InputError, match=r"an input of type dict, expected a text, .* or RelationText.with_enti"):
            predictor(whole)  # type: ignore[call-overload]
    for place in ((0, 50), (4, 4), (-3, 2)):
        with pytest.raises(InputError, match=r"mention \{.*expected type, and start and end within the text"):
            predictor([RelationText.of("pola zalpidine", ("drug", *place), ("illness", 0, 4))])
    with pytest.raises(InputError, match="expected type, and start and end"):
        predictor([RelationText.with_entities("pola rimu", [{"start": 0, "end": 4}] * 2)])
