"""``biomtl audit`` on a suite with known overlaps, the checks of ``train``, and losses counted by hand."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from biomtl.audit.audit import Audit, Overlap, audit
from biomtl.audit.minhash import JACCARD, jaccard, near_duplicates, word_pairs
from biomtl.audit.overlap import document_key, normal, shared_rows
from biomtl.audit.truncation import lost, word_starts
from biomtl.cli.audit import overlap_table
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.storage.files import write_jsonl
from biomtl.suite import load_suite
from biomtl.training.overlap import look_for_overlap
from biomtl.training.recipe_io import make_recipe

LONG = "the new drug lowered the pulse of all patients in the second group within two days of treatment"
OTHER = "cells of the third line did not divide after the gene had been silenced by the short strand of rna"
SHORT = "no effect was seen"


def row(number: int, document: str, text: str, label: str = "x") -> dict:
    return {"id": str(number), "doc_id": document, "text": text, "label": label}


def tagged(number: int, document: str, text: str) -> dict:
    tokens = text.split()
    offsets = [
        [sum(len(t) + 1 for t in tokens[:i]), sum(len(t) + 1 for t in tokens[:i]) + len(t)]
        for i, t in enumerate(tokens)
    ]
    return {"id": str(number), "doc_id": document, "tokens": tokens, "offsets": offsets, "tags": ["O"] * len(tokens)}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Two tasks: `a` trains on a document, a text and a near-duplicate that `b` is tested on, and `b` tags."""
    folder = tmp_path / "prepared"
    fill = [
        row(50 + i, f"9900{i}", f"filler number {i} is unlike {i * 7} anything else {i * 31} here", "y")
        for i in range(3)
    ]
    masked = LONG.replace("new drug", "@DRUG$")
    splits = {
        "a": {
            "train": [
                row(0, "10001", "one sentence of a shared paper"),
                row(1, "10002", LONG),
                row(2, "10003", OTHER.upper() + "!"),
                row(3, "10004", SHORT),
                row(4, "7", "the seventh row of a file without pmids"),
                *fill,
            ],
            "dev": [row(0, "10010", "wholly unrelated words stand in this one", "y")],
        },
        "b": {
            "train": [tagged(0, "10020", "nothing of this is anywhere else at all")],
            "test": [
                tagged(1, "10001", "another sentence of the shared paper"),
                tagged(2, "10031", f"{LONG} again"),
                tagged(3, "10032", OTHER),
                tagged(4, "10033", SHORT),
                tagged(5, "7", "what the other seventh row says"),
                tagged(6, "10034", masked),
            ],
        },
    }
    records = {
        "a": {"name": "a", "labels": ["x", "y"], "metric": "accuracy"},
        "b": {
            "name": "b",
            "type": "tagging",
            "inputs": "tokens",
            "labels": ["O", "B-X", "I-X"],
            "metric": "entity_f1_spans",
        },
    }
    for name, of in splits.items():
        for split, rows in of.items():
            write_jsonl(folder / name / f"{split}.jsonl", rows)
        (folder / name / "task.yaml").write_text(yaml.safe_dump(records[name]))
    return folder


def test_normalisation_ignores_case_spacing_masks_and_punctuation() -> None:
    assert (
        normal("GHS-R ( type 1 ) binds @GENE$ .")
        == normal("ghs - r(type 1) binds @CHEM-GENE$")
        == ("ghs", "r", "type", "1", "binds")
    )


def test_what_identifies_a_document() -> None:
    assert document_key("a", {"id": "1", "doc_id": "123"}) != document_key("b", {"id": "1", "doc_id": "123"})
    assert document_key("a", {"id": "1", "doc_id": "12345"}) == document_key("b", {"id": "2", "doc_id": "12345"})
    assert document_key("a", {"id": "a.tsv:7", "doc_id": "a.tsv:7"}) is None


def test_what_is_shared_is_counted(prepared: Path) -> None:
    (found,) = audit(prepared).overlaps
    assert (found.train, found.scored) == ("a", ("b", "test"))
    assert (found.documents, found.same, found.near, found.touched, found.rows) == (1, 1, 2, 4, 6)
    assert found.train_rows == 3
    assert found.share == pytest.approx(4 / 6)


def test_train_sees_exact_overlap_and_drops_it(prepared: Path) -> None:
    suite = load_suite(prepared)
    records = {name: {split: entry.records(split) for split in entry.files} for name, entry in suite.data.items()}
    assert [(s.task, s.id, s.why, s.other) for s in shared_rows(records, ["train"])] == [
        ("a", "0", "document", ("b", "test")),
        ("a", "2", "text", ("b", "test")),
    ]
    same, warned = look_for_overlap(suite, make_recipe({}))
    assert same is suite
    assert "a: 1 of 8 training rows share a text with b test" in warned.warning()
    assert "`exclude_overlap: true` drops them" in warned.warning()
    less, dropped = look_for_overlap(suite, make_recipe({"exclude_overlap": True}))
    assert [r["id"] for r in less["a"].records("train")] == ["1", "3", "4", "50", "51", "52"]
    assert len(less["b"].records("test")) == 6
    assert dropped.facts() == {"exclude_overlap": True, "rows": {"a": 2}}
    assert dropped.warning().startswith("dropped:")
    assert len(suite["a"].records("train")) == 8


def test_train_on_dev_makes_dev_a_training_split(prepared: Path) -> None:
    write_jsonl(prepared / "a" / "test.jsonl", [row(0, "10010", "something else altogether stands in here", "y")])
    recipe = make_recipe({"train_on": "train+dev", "max_steps": 3, "exclude_overlap": True})
    less, _ = look_for_overlap(load_suite(prepared, ["a"]), recipe)
    assert [len(less["a"].records(split)) for split in ("train", "dev", "test")] == [8, 0, 1]


def test_a_task_that_loses_every_row_is_refused(prepared: Path) -> None:
    write_jsonl(prepared / "a" / "train.jsonl", [row(0, "10001", LONG)])
    with pytest.raises(InputError, match="task a: every training row"):
        look_for_overlap(load_suite(prepared), make_recipe({"exclude_overlap": True}))


def test_the_command_writes_a_table_a_json_and_a_plot(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["audit", str(prepared), "--out", str(out)], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "b test" in result.output
    assert "66.7%" in result.output
    written = json.loads((out / "audit.json").read_text())
    assert written["overlaps"][0]["share"] == pytest.approx(4 / 6)
    assert {(s["task"], s["split"], s["rows"]) for s in written["splits"]} >= {("a", "train", 8), ("b", "test", 6)}
    plot = (out / "overlap.svg").read_text()
    assert plot.startswith("<?xml")
    assert ">67<" in plot.replace("\n", "")
    again = CliRunner().invoke(app, ["audit", str(prepared), "--out", str(out)])
    assert isinstance(again.exception, InputError)


def test_a_recipes_own_tasks_are_compared_with_prepared_ones(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text(f"text\tlabel\n{OTHER}\tx\n{SHORT}\ty\n")
    own = "{name: mine, type: classification, files: {train: mine.tsv}}"
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"suite: {prepared}\ntasks:\n- b\n- {own}\n")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["audit", str(recipe), "--out", str(out)])
    assert result.exit_code == 0, result.output
    written = json.loads((out / "audit.json").read_text())
    assert written["settings"]["jaccard"] > 0
    assert [(o["train"], o["scored"], o["same"]) for o in written["overlaps"]] == [("mine", ["b", "test"], 1)]


def test_a_suite_of_one_row_has_nothing_in_common(tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("text\tlabel\nHe coughs.\tx\n")
    recipe = tmp_path / "own.yaml"
    entry = "{name: mine, type: classification, files: {train: one.tsv}, labels: [x, y]}"
    recipe.write_text(f"tasks:\n- {entry}\n")
    result = CliRunner().invoke(app, ["audit", str(recipe), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out/audit.json").read_text())["overlaps"] == []


def test_the_plot_is_the_same_to_the_byte(prepared: Path, tmp_path: Path) -> None:
    from biomtl.report.heatmap import overlap_plot

    report = audit(prepared)
    for name in ("one.svg", "two.svg"):
        overlap_plot(report, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_losses_by_hand() -> None:
    tags = ["B-X", "O", "B-X", "I-X", "I-X", "O"]
    sentence = {"tokens": ["aa", "b", "cc", "d", "e", "f"], "tags": tags}
    short = {"tokens": ["aa"], "tags": ["B-X"]}
    loss = lost([sentence, short], 4, word_starts)
    assert (loss.rows, loss.words, loss.all_words, loss.mentions, loss.all_mentions) == (1, 2, 7, 1, 3)
    entities = [{"end": 4}, {"end": 9}]
    loss = lost([{"text": "@A$ and @B$", "entities": entities}], 3, lambda texts, limit: [8 for _ in texts])
    assert (loss.mentions, loss.all_mentions) == (1, 2)


def test_an_encoders_pieces_are_more_than_words(prepared: Path, bert: Path) -> None:
    from biomtl.cli.audit import _pieces

    assert _pieces(str(bert))(["pola rimu zalpidine", "pola"], 4) == [10, None]


WORDS = st.lists(st.sampled_from([f"w{i}" for i in range(40)]), min_size=6, max_size=25).map(tuple)


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), st.lists(WORDS, min_size=1, max_size=12))
def test_near_duplicates_are_what_brute_force_finds(queries: list, known: list) -> None:
    # Copies with one word changed, so that there is something to find.
    queries = [*queries, *((*words[:-1], "changed") for words in known)]
    pairs = {(q, k): jaccard(word_pairs(q), word_pairs(k)) for q in queries for k in known}
    found = set(near_duplicates(queries, known))
    assert found <= {pair for pair, value in pairs.items() if value >= JACCARD}
    assert found >= {pair for pair, value in pairs.items() if value >= 0.95}


def test_a_folder_without_a_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prepared task"):
        audit(tmp_path)


def test_overlap_of_the_public_corpora(shared: Path, tmp_path: Path) -> None:
    from biomtl.prepare import prepare

    prepare(shared / "data", tmp_path / "prepared", ["hoc", "chemprot", "biosses"])
    found = {(o.train, *o.scored): o for o in audit(tmp_path / "prepared").overlaps}
    assert found["hoc", "chemprot", "dev"].documents == 3
    assert found["chemprot", "hoc", "dev"].documents == 1
    assert found["biosses", "biosses", "test"].same == 8


def test_two_tasks_never_look_the_same_in_a_narrow_table() -> None:
    entries = [
        Overlap("bc5cdr-chem", (name, "test"), 0, 0, 1, 1, 4761, 1) for name in ("bc5cdr-chem", "bc5cdr-disease")
    ]
    output = io.StringIO()
    Console(file=output, width=80).print(overlap_table(Audit(entries, [])))
    cells = [line.split("│")[1].strip() for line in output.getvalue().splitlines() if "│" in line]
    assert "".join(cells) == "bc5cdr-chem testbc5cdr-disease test"


def test_the_tables_fit_a_terminal_and_begin_with_a_summary(
    prepared: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = command("audit", prepared).out.splitlines()
    assert re.match(r"\d tasks?, \d+ rows: \d pairs? of training and scored data overlap", lines[0])
    assert max(map(len, lines)) <= 80
