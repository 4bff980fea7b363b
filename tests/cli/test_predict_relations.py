"""``biomtl predict`` for relation tasks: records with two mentions, and documents with mentions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.inference.documents import source_format
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel

Command = Callable[..., Any]
VIEWS = ("rel-mask", "rel-markers", "rel-spans")


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A model with a relation task of every view, a tagger and a classification."""
    folder = tmp_path_factory.mktemp("related") / "model"
    tiny.model(bert, (*VIEWS, "tag-drug", "cls-text"), max_length=48).save_pretrained(folder)
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def document(text: str, *mentions: tuple[str, str]) -> dict[str, Any]:
    found = [
        {"id": f"T{i}", "type": of, "start": text.index(said), "end": text.index(said) + len(said)}
        for i, (of, said) in enumerate(mentions)
    ]
    return {"id": "d1", "text": text, "mentions": found}


def test_records_with_two_mentions_are_labelled_by_their_task(command: Command, related: Path, tmp_path: Path) -> None:
    rows = tiny.records("rel-mask", 5)
    source = tiny.write_rows(tmp_path / "in.jsonl", rows)
    ended = command("predict", related, source)
    assert ended.code == 0, ended.err
    found = lines(ended.out)
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert [row["entities"] for row in found] == [row["entities"] for row in rows]
    model = MultiTaskModel.from_pretrained(related)
    expected = predict_records(model, dict.fromkeys(VIEWS, rows))
    for i, row in enumerate(found):
        assert sorted(row["tasks"]) == sorted(VIEWS)  # not the tagger and the classification: a pair is asked about
        for name in VIEWS:
            assert row["tasks"][name]["label"] == expected[name][i]["label"]


def test_what_a_mention_lacks_is_filled_in(command: Command, related: Path) -> None:
    entities = [{"type": "Drug", "start": 5, "end": 14}, {"type": "Illness", "start": 20, "end": 29}]
    row = {"text": "pola zalpidine rimu korinosis vono", "entities": entities}
    ended = command("predict", related, stdin=json.dumps(row).encode())
    assert ended.code == 0, ended.err
    (found,) = lines(ended.out)
    assert [(entity["id"], entity["text"]) for entity in found["entities"]] == [
        ("e1", "zalpidine"),
        ("e2", "korinosis"),
    ]


def test_documents_give_a_line_for_each_pair(command: Command, related: Path, tmp_path: Path) -> None:
    text = "Rimu zalpidine pola korinosis. Vono tavrixan fenatitis quariasis."
    mentions = [("Medicine", "zalpidine"), ("Illness", "korinosis"), ("Drug", "tavrixan"), ("Illness", "fenatitis")]
    value = document(text, *mentions, ("illness", "quariasis"), ("Gene", "Vono"))
    source = tiny.write_rows(tmp_path / "in.jsonl", [value, {"id": "d2", "text": "No pair.", "mentions": []}])
    assert source_format(source) == "jsonl"
    ended = command("predict", related, source, "--out", tmp_path / "out.jsonl")
    assert ended.code == 0, ended.err
    found = lines((tmp_path / "out.jsonl").read_text())
    assert [row["id"] for row in found] == ["d1.T0.T1", "d1.T2.T3", "d1.T2.T4"]
    assert {row["doc_id"] for row in found} == {"d1"}
    assert found[1]["text"] == "Vono tavrixan fenatitis quariasis."
    assert all(sorted(row["tasks"]) == sorted(VIEWS) for row in found)


def test_a_pair_is_answered_by_the_tasks_that_ask_about_it(
    command: Command, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {**tiny.RELATED, "relation": {**tiny.RELATED["relation"], "unit": "document"}}
    near = {**whole, "relation": {**whole["relation"], "window": 2}}
    monkeypatch.setattr(tiny, "TASKS", {**tiny.TASKS, "rel-whole": whole, "rel-near": near})
    tiny.model(bert, ("rel-mask", "rel-whole", "rel-near"), max_length=48).save_pretrained(tmp_path / "model")
    text = "Rimu zalpidine pola korinosis. Vono suno tavrixan fenatitis."
    mentions = [("Drug", "zalpidine"), ("Illness", "korinosis"), ("Drug", "tavrixan"), ("Illness", "fenatitis")]
    source = tiny.write_rows(tmp_path / "in.jsonl", [document(text, *mentions)])
    ended = command("predict", tmp_path / "model", source)
    assert ended.code == 0, ended.err
    found = [(row["id"], len(row["text"]), sorted(row["tasks"])) for row in lines(ended.out)]
    one, whole_text = len("Rimu zalpidine pola korinosis."), len(text)
    assert found == [
        ("d1.T0.T1", one, ["rel-mask"]),
        ("d1.T2.T3", whole_text - one - 1, ["rel-mask"]),
        ("d1.T0.T1", whole_text, ["rel-near", "rel-whole"]),
        ("d1.T0.T3", whole_text, ["rel-whole"]),
        ("d1.T2.T1", whole_text, ["rel-whole"]),
        ("d1.T2.T3", whole_text, ["rel-near", "rel-whole"]),
    ]


def test_documents_without_an_argument_s_mentions_are_reported(command: Command, related: Path, tmp_path: Path) -> None:
    value = document("Rimu zalpidine pola korinosis.", ("Compound", "zalpidine"), ("Illness", "korinosis"))
    source = tiny.write_rows(tmp_path / "in.jsonl", [value])
    ended = command("predict", related, source, "--task", "rel-mask")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"biomtl: rel-mask had no pairs: {source} has no mentions of its arguments (drug)\n"


def test_documents_whose_pairs_need_a_word(command: Command, related: Path, tmp_path: Path) -> None:
    text = "Rimu zalpidine pola. Vono korinosis."
    apart = document(text, ("Drug", "zalpidine"), ("Illness", "korinosis"))
    source = tiny.write_rows(tmp_path / "in.jsonl", [apart])
    ended = command("predict", related, source, "--task", "rel-mask")
    said = f"rel-mask had no pairs: {source} has no two mentions that it asks about (unit: sentence)"
    assert (ended.code, ended.out, ended.err) == (0, "", f"biomtl: {said}\n")
    value = document("Rimu zalpidine pola korinosis.", ("Drug", "zalpidine"), ("Illness", "korinosis"))
    for mention in value["mentions"]:
        mention["id"] = "m"
    ended = command("predict", related, tiny.write_rows(source, [value]), "--task", "rel-mask")
    assert [row["id"] for row in lines(ended.out)] == ["d1.T0.T1"]
    assert ended.err.startswith("biomtl: documents with several mentions of one id: 1, the first is 'd1'; their pairs")


def test_mentions_that_are_no_pair(command: Command, related: Path, tmp_path: Path) -> None:
    drug, illness = {"type": "Drug", "start": 5, "end": 14}, {"type": "Illness", "start": 20, "end": 29}
    for one, other, said in (
        (drug, drug, "both mentions are 'zalpidine' at 5-14, expected two mentions"),
        (drug, {**illness, "start": 19, "end": 20}, "mention of blanks at 19-20"),
        (drug, {"start": 20, "end": 29}, "without type, expected type, start and end of both mentions"),
    ):
        record = {"text": "Rimu zalpidine pola korinosis.", "entities": [one, other]}
        source = tiny.write_rows(tmp_path / "in.jsonl", [record])
        ended = command("predict", related, source)
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended
        assert f"{source}:1: " in ended.err
        assert said in ended.err


def test_pairs_that_a_window_cuts_apart_are_counted(command: Command, bert: Path, tmp_path: Path) -> None:
    """Whether their own rows are read or, for `rel-spans`, those of the tagger."""
    tiny.model(bert, ("rel-spans", "rel-markers", "tag-drug"), max_length=16).save_pretrained(tmp_path / "model")
    text = f"Rimu zalpidine korinosis pola {'vono ' * 30}fenatitis."
    value = document(text, ("Drug", "zalpidine"), ("Illness", "korinosis"), ("Illness", "fenatitis"))
    source = tiny.write_rows(tmp_path / "in.jsonl", [value, {**value, "id": "d2"}])
    for name, options in (("predict", ()), ("annotate", ("--keep",))):
        ended = command(name, tmp_path / "model", source, "--out", tmp_path / f"{name}.jsonl", *options)
        assert ended.code == 0, ended.err
        said = "2 pairs are read from two windows, as no row of max_length holds both mentions"
        assert ended.err.count(said) == 2
        assert f"biomtl: rel-spans: {said}" in ended.err


def test_a_model_without_relation_tasks_reads_the_text(command: Command, small_model: Path) -> None:
    row = {
        "text": "pola zalpidine",
        "entities": [{"type": "A", "start": 0, "end": 4}, {"type": "B", "start": 5, "end": 9}],
    }
    ended = command("predict", small_model, stdin=json.dumps(row).encode())
    assert ended.code == 0, ended.err
    assert "tag-drug" in lines(ended.out)[0]["tasks"]


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ([{"type": "Drug", "start": 0, "end": 4}], ":1: 1 entities, expected the two mentions, first argument first"),
        ({"a": 1}, ":1: entities that are not a list"),
        (
            [{"type": "Drug", "start": 0, "end": 4}, {"type": "Drug", "start": 5, "end": 14}],
            ":1: no task of the model takes mentions of types 'Drug' and",
        ),
        ([{"type": "Drug", "start": 0, "end": 4}, {"type": "Illness", "start": 5, "end": 99}], ":1: entity 'e2' at"),
        (
            [{"type": 5, "start": 0, "end": 4}, {"type": "Illness", "start": 5, "end": 9}],
            ":1: entity 'e1': type is a int",
        ),
    ],
)
def test_mentions_that_are_refused(command: Command, related: Path, tmp_path: Path, entities: Any, said: str) -> None:
    source = tiny.write_rows(tmp_path / "in.jsonl", [{"text": "pola zalpidine", "entities": entities}])
    ended = command("predict", related, source)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{source}{said}" in ended.err
