"""Prepared suites: their tasks, the order of these, and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from biomtl.errors import InputError
from biomtl.storage.checksums import sha256
from biomtl.suite import load_suite, read_records
from biomtl.tasks.head import HeadChoice
from biomtl.training.recipe_tasks import TaskOptions


def test_a_prepared_suite(small_suite: Path) -> None:
    suite = load_suite(small_suite)
    assert list(suite.tasks) == sorted(tiny.FOUR)
    assert suite.tasks["tag-drug"] == tiny.task("tag-drug")
    assert suite["tag-drug"].records("dev") == tiny.records("tag-drug", 6, 1)
    assert "test" in suite["cls-text"]
    assert suite.provenance()["cls-text"]["train"] == sha256(small_suite / "cls-text" / "train.jsonl")
    assert list(load_suite(small_suite, ["tag-drug", "cls-text"]).tasks) == ["tag-drug", "cls-text"]
    assert list(suite.only(["reg-pair"]).tasks) == ["reg-pair"]


def named(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "task.yaml").write_text(yaml.safe_dump({"name": name, **tiny.TASKS["cls-text"]}))
    tiny.write_rows(place / "train.jsonl", tiny.records("cls-text", 2))
    return place


def test_blue_comes_first_and_aliases_are_understood(tmp_path: Path) -> None:
    for name in ("aaa", "hoc", "mednli"):
        named(tmp_path, name)
    assert list(load_suite(tmp_path).tasks) == ["hoc", "mednli", "aaa"]
    assert list(load_suite(tmp_path, ["MedNLI", "aaa"]).tasks) == ["mednli", "aaa"]
    with pytest.raises(InputError, match="no task 'hocc', did you mean 'hoc'"):
        load_suite(tmp_path, ["hocc"])


def test_relation_tasks_that_were_prepared_with_masked_texts(tmp_path: Path) -> None:
    named(tmp_path, "ddi2013")
    with pytest.raises(InputError, match=r"task ddi2013 with masked texts, .*, run `biomtl prepare` again"):
        load_suite(tmp_path)


def test_a_folder_whose_task_has_another_name(tmp_path: Path) -> None:
    named(tmp_path, "hoc").rename(tmp_path / "hoc-small")
    with pytest.raises(InputError, match="a task named 'hoc', expected the folder's name 'hoc-small'"):
        load_suite(tmp_path)


def test_no_suite(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_suite(tmp_path / "nothing")
    with pytest.raises(InputError, match="no prepared task"):
        load_suite(tmp_path)


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    place = named(tmp_path, "mine")
    record = {"name": "mine", **tiny.TASKS["cls-text"], "files": {"dev": "other.jsonl"}}
    (place / "task.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(InputError, match=r"other\.jsonl: no such file, expected the dev split of mine"):
        load_suite(tmp_path)


def test_a_missing_split(tmp_path: Path) -> None:
    named(tmp_path, "mine")
    with pytest.raises(InputError, match="task mine has no dev split, expected one of: train"):
        load_suite(tmp_path)["mine"].records("dev")


def change(key: str, value: Any) -> dict[str, Any]:
    row = {**tiny.records("cls-text", 3)[2]}
    row[key] = value
    return row


@pytest.mark.parametrize(
    ("third", "message"),
    [
        (change("label", "durg"), "f.jsonl:3: unknown label 'durg', expected one of none, drug, did you mean 'drug'?"),
        (change("id", "cls-text.0"), 'f.jsonl:3: id "cls-text.0" already occurs in line 1'),
        (change("text", 7), "f.jsonl:3: text is a int"),
        ({"id": "x"}, "f.jsonl:3: a record without 'doc_id'"),
        ("{broken", "f.jsonl:3: not JSON"),
        ("[1]", "f.jsonl:3: a JSON list"),
        (b"\xff\xfe", "f.jsonl:3: byte 0xff at column 1 is not UTF-8"),
        ('{"id": "a", "doc_id": "a", "text": "\\ud800", "label": "drug"}', "f.jsonl:3: half a surrogate pair"),
    ],
)
def test_bad_rows(tmp_path: Path, third: Any, message: str) -> None:
    path = tiny.write_rows(tmp_path / "f.jsonl", tiny.records("cls-text", 2))
    line = third if isinstance(third, bytes) else (third if isinstance(third, str) else json.dumps(third)).encode()
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError) as caught:
        read_records(path, tiny.task("cls-text"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"3"', "9", "null"])
def test_invalid_scores(tmp_path: Path, value: str) -> None:
    rows = tiny.records("reg-text", 2)
    path = tiny.write_rows(tmp_path / "f.jsonl", rows)
    path.write_text(path.read_text().replace(f'"score": {rows[1]["score"]}', f'"score": {value}', 2))
    with pytest.raises(InputError, match=r"f\.jsonl:[12]: score"):
        read_records(path, tiny.task("reg-text"))


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_split(tmp_path: Path, content: str) -> None:
    (tmp_path / "f.jsonl").write_text(content)
    with pytest.raises(InputError, match="no records, expected at least one line"):
        read_records(tmp_path / "f.jsonl", tiny.task("cls-text"))


def test_predictions_need_no_gold(tmp_path: Path) -> None:
    path = tiny.write_rows(tmp_path / "f.jsonl", [{"text": "a"}, {"text": "b"}])
    assert len(read_records(path, tiny.task("cls-text"), gold=False)) == 2


def test_options_of_a_recipe(small_suite: Path) -> None:
    suite = load_suite(small_suite)
    changed = suite.with_options({"reg-pair": TaskOptions(pairs="apart", head="mlp", head_options={"hidden": 2})})
    assert changed.heads["reg-pair"] == HeadChoice(name="mlp", options={"hidden": 2}, pairs="apart")
    assert suite.heads["reg-pair"] == HeadChoice()
    assert changed.heads["cls-text"] == HeadChoice()
    assert changed.tasks["cls-text"] == suite.tasks["cls-text"]
    # What a trained model does holds where the recipe says nothing.
    assert suite.with_options({}, changed.heads).heads == changed.heads
    together = suite.with_options({"reg-pair": TaskOptions(pairs="together")}, changed.heads).heads["reg-pair"]
    assert together == HeadChoice(name="mlp", options={"hidden": 2})
    wider = suite.with_options({"reg-pair": TaskOptions(head_options={"size": 9})}, changed.heads).heads["reg-pair"]
    assert wider.options == {"hidden": 2, "size": 9}
    default = suite.with_options({"reg-pair": TaskOptions(head="default")}, changed.heads).heads["reg-pair"]
    assert default == HeadChoice(pairs="apart")


def test_options_of_older_recipes(small_suite: Path, tmp_path: Path) -> None:
    """The head's name in the task's record, its options under the recipe's ``head``, by their old names."""
    shutil.copytree(small_suite, tmp_path / "suite")
    with (tmp_path / "suite" / "cls-text" / "task.yaml").open("a") as file:
        file.write("head: stack\nhead_options: {reducer: max, hidden: 4}\n")
    suite = load_suite(tmp_path / "suite")
    assert suite.heads["cls-text"] == HeadChoice(name="mlp", options={"seq2vec": "max", "hidden": 4})
    options = TaskOptions.model_validate({"head": {"reducer": "gru"}})
    assert options == TaskOptions(head_options={"reducer": "gru"})
    changed = suite.with_options({"cls-text": options})
    assert changed.heads["cls-text"] == HeadChoice(name="mlp", options={"seq2vec": "gru", "hidden": 4})


def test_names_that_a_recipe_gives_to_arguments(small_suite: Path, tmp_path: Path) -> None:
    suite = load_suite(tiny.write_suite(tmp_path / "suite", ("rel-spans", "cls-text")))
    named = suite.with_options({"rel-spans": TaskOptions(argument_types={"Chemical": "DRUG"})})
    relation = named.tasks["rel-spans"].relation
    assert relation is not None
    assert (relation.type_of("chemical"), relation.type_of("MEDICINE")) == ("drug", "drug")
    # A trained model keeps its own.
    again = suite.with_options({}, None, named.tasks)
    assert again.tasks["rel-spans"].relation == relation
    assert again.tasks["cls-text"] == suite.tasks["cls-text"]
    message = r"task rel-spans: argument_types: 'Chemical' stands for 'gene', which is neither argument's type"
    with pytest.raises(InputError, match=message):
        suite.with_options({"rel-spans": TaskOptions(argument_types={"Chemical": "gene"})})
    with pytest.raises(InputError, match="task cls-text: argument_types for type classification"):
        suite.with_options({"cls-text": TaskOptions(argument_types={"Chemical": "drug"})})
