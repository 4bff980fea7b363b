"""Own tasks: every sample of docs/own-tasks.md, every format, every kind of bad row."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.audit.overlap import shared_rows
from biomtl.batch import encode_examples
from biomtl.custom import Files, TaskDefinition
from biomtl.custom.config import SEPARATOR
from biomtl.errors import InputError
from biomtl.suite import Suite, load_suite
from biomtl.tasks.types.base import type_names
from biomtl.training.recipe_io import dump_recipe, load_recipe

DATA = Path(__file__).parents[1] / "data/custom"
PAGE = Path(__file__).parents[2] / "docs/own-tasks.md"


def suite_of(path: Path, *overrides: str) -> Suite:
    recipe = load_recipe(path, overrides)
    return load_suite(recipe.suite, list(recipe.tasks), recipe.own_tasks).with_options(recipe.tasks)


def read(files: str | list[str], kind: str = "classification", **given: object) -> list[dict]:
    """The train records of a task."""
    definition = TaskDefinition(type=kind, files=Files(train=files), **given)  # type: ignore[arg-type]
    return load_suite("nowhere", ["mine"], {"mine": definition})["mine"].records("train")


def fault(files: str | list[str], kind: str = "classification", **given: object) -> str:
    """The error of a task."""
    with pytest.raises(InputError) as caught:
        read(files, kind, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


def test_the_page_shows_the_fixtures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = [path for path in sorted(DATA.rglob("*")) if path.is_file()]
    assert len(shown) == 14
    for path in shown:
        assert path.name in page
        assert f"\n{path.read_text(encoding='utf-8').rstrip()}\n```" in page, path.name


def test_the_page_has_every_type() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^## `(\w+)`", page, re.MULTILINE)) == set(type_names())


def test_the_sample_recipe_reads() -> None:
    suite = suite_of(DATA / "own.yaml")
    counts = {name: len(entry.records("train")) for name, entry in suite.data.items()}
    assert counts == {"effect": 4, "certainty": 4, "inference": 4, "similarity": 4, "topics": 4} | {
        "drugs": 6,
        "reaction": 6,
        "answer": 4,
        "where": 4,
    }
    assert suite.tasks["effect"].labels == ("benefit", "harm", "none")
    assert suite.tasks["effect"].metric == "micro_f1_positive"
    assert suite.tasks["similarity"].score_range == (0, 5)
    assert suite.tasks["topics"].labels == ("growth", "spread", "vessels")
    assert suite["effect"].notes == ("task effect: 3 labels (benefit, harm, none), inferred from classification.tsv",)
    pieces = [r["text_a"][r["start"] : r["end"]] for r in suite["where"].records("train")]
    assert pieces == ["Two nurses", "Monday", "halved", "Brentolol"]


def test_documents_become_sentences_with_tags() -> None:
    records = suite_of(DATA / "own.yaml")["drugs"].records("train")
    tagged = [[f"{w}/{t}" for w, t in zip(r["tokens"], r["tags"], strict=True) if t != "O"] for r in records]
    assert tagged == [
        ["Tavrixan/B-Drug", "nausea/B-Illness"],
        [],
        ["Zalpidine/B-Drug"],
        ["renal/B-Illness", "failure/I-Illness", "zalpidine/B-Drug"],
        ["Brentolol/B-Drug"],
        ["rash/B-Illness"],
    ]
    assert [r["doc_id"] for r in records[2:4]] == ["9001", "9001"]
    assert len({r["doc_id"] for r in records[4:]}) == 1
    assert re.fullmatch(r"brat@[0-9a-f]{8}/note", records[4]["doc_id"])
    assert records[3]["offsets"][0] == [25, 28]


def test_two_tasks_over_one_file_encode_each_text_once(bert: Path) -> None:
    from biomtl.encoders import load_processor

    suite = suite_of(DATA / "own.yaml").only(["effect", "certainty"])
    records = {name: suite[name].records("train") for name in suite.tasks}
    examples = encode_examples(load_processor(bert, 32, None), suite.tasks, records, targets=True)
    assert len(examples) == 4
    assert all(example.tasks == {"effect", "certainty"} for example in examples)


def test_several_files_make_one_split_and_all_have_checksums() -> None:
    checksums = suite_of(DATA / "own.yaml").provenance()["drugs"]
    assert [Path(name).name for name in checksums["train"]] == [
        "tagging.conll",
        "tagging.pubtator",
        "note.ann",
        "note.txt",
    ]
    assert list(map(len, checksums["dev"].values())) == [64]


def test_files_are_relative_to_the_original_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(DATA / "own.yaml")
    resolved = tmp_path / "recipe.yaml"
    resolved.write_text(dump_recipe(recipe), encoding="utf-8")
    again = load_recipe(resolved)
    assert again.tasks == recipe.tasks
    assert Path(again.tasks["effect"].files.train[0]) == DATA / "classification.tsv"


def test_own_tasks_beside_a_prepared_suite(small_suite: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    mine = {"name": "mine", "type": "multilabel", "files": {"train": str(DATA / "multilabel.jsonl")}}
    path.write_text(yaml.safe_dump({"suite": str(small_suite), "tasks": ["tag-drug", mine, "cls-text"]}))
    assert list(suite_of(path).tasks) == ["tag-drug", "mine", "cls-text"]


@pytest.mark.parametrize("suffix", ["tsv", "conll", "brat"])
def test_files_of_one_name_hold_different_documents(write, suffix: str) -> None:
    for folder, word in (("one", "here"), ("two", "there")):
        write(f"{folder}/a.tsv", f"text\tlabel\nfive words or more stand {word}\tx\nnone of them\ty\n")
        write(f"{folder}/a.conll", f"Nothing O\nis O\n{word} O\nor O\nanywhere B-X\n")
        write(f"{folder}/brat/a.ann", "T1\tX 0 7\tNothing\n")
        root = Path(write(f"{folder}/brat/a.txt", f"Nothing is {word} or anywhere.")).parents[2]
    name = "brat" if suffix == "brat" else f"a.{suffix}"
    files = Files(train=str(root / "one" / name), dev=str(root / "two" / name))
    kind = "classification" if suffix == "tsv" else "tagging"
    entry = load_suite("nowhere", ["mine"], {"mine": TaskDefinition(type=kind, files=files)})["mine"]
    short = {
        split: [dict(r, tokens=["too", "short"], text="") for r in entry.records(split)] for split in ("train", "dev")
    }
    assert shared_rows({"mine": short}, ["train"]) == []  # type: ignore[dict-item]


def test_a_recipe_serves_as_a_suite_of_its_own_tasks(write) -> None:
    assert list(load_suite(DATA / "own.yaml").tasks) == list(suite_of(DATA / "own.yaml").tasks)
    suite = load_suite(DATA / "own.yaml", ["where", "effect"])
    assert list(suite.tasks) == ["where", "effect"]
    assert suite["where"].records("dev") == suite_of(DATA / "own.yaml")["where"].records("dev")
    with pytest.raises(InputError, match="no task 'were', did you mean 'where'"):
        load_suite(DATA / "own.yaml", ["were"])
    with pytest.raises(InputError, match="no task with files"):
        load_suite(write("r.yaml", "tasks: [ddi2013]\n"))
    with pytest.raises(InputError, match=r"tasks.a.labels.0: True"):
        load_suite(write("r.yaml", "tasks: {a: {type: classification, files: {train: x}, labels: [yes, no]}}\n"))


FORMATS = {
    "a.csv": 'label,text\nx,"one, two"\ny,three\n',
    "a.tsv": "label\ttext\nx\tone, two\ny\tthree\n",
    "a.jsonl": '{"label": "x", "text": "one, two"}\n\n{"label": "y", "text": "three"}\n',
    "a": '{"label": "x", "text": "one, two"}\n{"label": "y", "text": "three"}\n',
    "bom.tsv": "\ufefflabel\ttext\r\nx\tone, two\r\ny\tthree\r\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_recognised_by_name_and_content(write, name: str) -> None:
    assert [(r["label"], r["text"]) for r in read(write(name, FORMATS[name]))] == [("x", "one, two"), ("y", "three")]


def test_columns_by_number_mean_a_table_without_header(write) -> None:
    path = write("a.tsv", "7\tfirst text\tx\n8\tsecond text\ty\n")
    records = read(path, columns={"id": 0, "text": 1, "label": 2})
    assert [(r["id"], r["text"], r["label"]) for r in records] == [("7", "first text", "x"), ("8", "second text", "y")]
    with_header = read(
        write("b.tsv", "n\tt\tl\n7\tfirst text\tx\n8\tsecond\ty\n"), columns={"text": 1, "label": 2}, header=True
    )
    assert [r["id"] for r in with_header] == ["b.tsv:2", "b.tsv:3"]


def test_numbers_and_truth_values_are_labels_too(write) -> None:
    path = write("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": true}\n{"text": "c", "label": 0}\n')
    assert [r["label"] for r in read(path)] == ["1", "true", "0"]


def test_lists_in_cells(write) -> None:
    path = write("a.tsv", "text\tlabels\none\ta|b\ntwo\t\nthree\tb\n")
    assert [r["labels"] for r in read(path, "multilabel")] == [["a", "b"], [], ["b"]]
    path = write("b.tsv", "text\tlabels\none\ta; b\n")
    assert read(path, "multilabel", separator=";")[0]["labels"] == ["a", "b"]
    path = write("c.tsv", "tokens\ttags\nAspirin stops pain\tS-Drug O O\n")
    (record,) = read(path, "tagging")
    assert (record["tags"], record["offsets"]) == (["B-Drug", "O", "O"], [[0, 7], [8, 13], [14, 18]])


def test_conll_columns_are_chosen_by_number(write) -> None:
    path = write("a.conll", "# newdoc id = 22750800\nAspirin NN B-Drug B-X\nstops VB O O\n")
    for column, tag in ((2, "B-Drug"), (-1, "B-X")):
        (record,) = read(path, "tagging", columns={"tags": column})
        assert (record["tags"][0], record["doc_id"]) == (tag, "22750800")


def test_given_labels_select_and_order(write) -> None:
    pubtator = str(DATA / "tagging.pubtator")
    definition = TaskDefinition(type="tagging", files=Files(train=pubtator), labels=["Illness"])
    entry = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
    assert entry.task.labels == ("O", "B-Illness", "I-Illness")
    assert sum(tag == "B-Illness" for r in entry.records("train") for tag in r["tags"]) == 1
    assert "B-Drug" not in {tag for r in entry.records("train") for tag in r["tags"]}
    table = write("a.tsv", "text\tlabel\none\tx\ntwo\tz\n")
    assert "a.tsv:3: unknown label 'z'" in fault(table, labels=["y", "x"])


@pytest.mark.parametrize(
    ("name", "text", "kind", "said"),
    [
        ("a.tsv", "text\tlabel\none\tx\ntwo\n", "classification", "a.tsv:3: 1 column(s), expected 2"),
        ("a.tsv", "text\tlabel\none\tx\n\ty\n", "classification", "a.tsv:3: text is empty"),
        ("a.tsv", "sentence\tlabel\none\tx\n", "classification", "no column 'text' (there are: sentence, label)"),
        ("a.tsv", "text\tlabel\none\tx\ntwo\tx\n", "classification", "1 label (x), expected two or more"),
        ("a.tsv", "", "classification", "a.tsv: task mine: 0 label"),
        ("a.tsv", "text\tlabel\none\tx\ntwo\ty\nthree\t\n", "classification", "a.tsv:4: no label, expected one of"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": NaN}\n', "classification", ":2: no value"),
        ("a.jsonl", f'{{"text": "a", "score": 1}}\n{{"text": "b", "score": 1{"0" * 400}}}', "regression", ":2: 1000"),
        ("a.tsv", "text\tscore\none\t1\ntwo\tmany\nthree\t2\n", "regression", "a.tsv:3: 'many', expected a number"),
        ("a.tsv", "text\tscore\none\t1\n", "regression", "no two different finite scores"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"}\n', "classification", "a.jsonl:2: no 'label'"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n[1]\n', "classification", "a.jsonl:2: a JSON list"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "\\ud800", "label": "y"}\n', "classification", "half a sur"),
        ("a.tsv", "id\ttext\tlabel\n1\ta\tx\n1\tb\ty\n", "classification", "a.tsv:3: id '1' already occurs in"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["O", "O"]}\n', "tagging", "a.jsonl:1: 1 tokens with 2 tags"),
        ("a.conll", "a\tB-X\nb\tnoun\n", "tagging", "a.conll:2: tag 'noun'"),
        ("a.conll", "a\tB-X\n", "classification", "a conll file for a task of type classification"),
        ("a.pubtator", "1|t|ab\n1\t0\t9\tab\tX\tY\n", "tagging", "a.pubtator:2: mention T0 at 0-9"),
        ("a.tsv", b"text\tlabel\none\tx\nna\xefve\ty\n", "classification", "a.tsv:3: byte 0xef at column 3"),
        ("a.tsv", "text\tstart\tend\nabc\t1\t9\n", "span", "a.tsv:2: start 1, end 9"),
        ("a.tsv", "text\tcandidates\tlabel\nabc\ta|b\t2\n", "ranking", "a.tsv:2: label 2"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(write, name: str, text: str | bytes, kind: str, said: str) -> None:
    assert said in fault(write(name, text), kind)


def test_dev_labels_that_train_lacks_are_errors(write) -> None:
    train, dev = write("t.tsv", "text\tlabel\na\tx\nb\ty\n"), write("d.tsv", "text\tlabel\na\tz\n")
    definition = TaskDefinition(type="classification", files=Files(train=train, dev=dev))
    entry = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
    with pytest.raises(InputError, match="unknown label 'z'"):
        entry.records("dev")


RECIPES = {
    "tasks:\n- name: a\n  files: {train: x}\n": ":3: task a has files but no type",
    "tasks:\n- name: a\n  type: span\n": "task a has type but no files",
    "tasks:\n- name: a\n  type: span\n  file: {train: x}\n": ":4: unknown key 'tasks.a.file', did you mean 'files'?",
    "tasks:\n- name: a\n  type: span\n  files: {tran: x}\n": "unknown key 'tasks.a.files.tran', did you mean 'train'?",
    "tasks:\n- name: a\n  type: classification\n  files: {train: x}\n  labels: [yes, no]\n": "so quote it",
    "tasks:\n- name: a\n  type: classification\n  files: {train: x}\n  format: xls\n": "'xls'",
    "tasks:\n- name: a\n  relation: {frist: x, second: y}\n": ":3: unknown key 'tasks.a.relation.frist', did you mean",
    "tasks:\n- name: a\n  relation: {first: x}\n": ":3: no key 'tasks.a.relation.second'",
    "tasks:\n- name: a\n  relation: {first: x, second: y, window: 4}\n": ":3: tasks.a.relation: window 4 with unit",
    "tasks:\n- name: a\n  relation:\n    first: x\n    second: y\n    types: {Z: w}\n": "types: 'Z' stands for 'w'",
}


@pytest.mark.parametrize("text", RECIPES)
def test_impossible_definitions_are_refused_with_their_line(write, text: str) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe(write("r.yaml", text))
    assert RECIPES[text] in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"columns": {"lable": "x"}}, "no field 'lable' in type classification, did you mean 'label'?"),
        ({"columns": {"label": "gold"}}, "no column 'gold' for label"),
        ({"columns": {"label": 7}, "header": True}, "column 7 for label"),
        ({"negative": "z"}, "negative 'z' is not one of its labels"),
        ({"metric": "f2"}, "unknown metric 'f2'"),
        ({"labels": ["x", "y", "x"]}, "task mine: a label is listed twice"),
    ],
)
def test_definitions_that_do_not_fit_their_file(write, given: dict, said: str) -> None:
    from biomtl.scoring.metrics import metrics_of

    path = write("a.tsv", "text\tlabel\none\tx\ntwo\ty\n")
    definition = TaskDefinition(type="classification", files=Files(train=path), **given)

    def use() -> None:
        entry = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
        entry.records("train")
        metrics_of(entry.task)

    with pytest.raises(InputError) as caught:
        use()
    assert said in str(caught.value)


def test_an_unknown_type_is_refused() -> None:
    assert "unknown type 'clasification', did you mean 'classification'?" in fault("x.tsv", "clasification")


def test_missing_files_and_odd_folders(tmp_path: Path) -> None:
    assert "no such file" in fault(str(tmp_path / "a.tsv"))
    assert "a folder of another kind" in fault(str(tmp_path), "tagging")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\0\ufeff"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, st.sampled_from("xyz")), min_size=1, max_size=6))
def test_rows_are_read_back_or_raise_an_input_error(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.tsv"
    path.write_bytes("".join(f"{line}\n" for line in ["text\tlabel", *("\t".join(row) for row in rows)]).encode())
    try:
        records = read(str(path))
    except InputError:
        assert len({label for _, label in rows}) == 1 or any(not text.strip() for text, _ in rows)
    else:
        assert [(r["text"], r["label"]) for r in records] == rows


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["tsv", "csv", "jsonl", "conll", "pubtator", "bioc", "parquet"]))
def test_readers_raise_only_input_errors(tmp_path_factory: pytest.TempPathFactory, content: bytes, format: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read(
            str(path),
            "tagging",
            format=format,
            columns={"tokens": "no such column"} if format in ("tsv", "csv") else None,
        )


def test_the_separator_is_the_documented_one() -> None:
    assert SEPARATOR == "|"
    assert json.dumps(SEPARATOR) == '"|"'


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("files: null", "no task with files, expected a recipe that defines tasks"),
        ("type: classify\n    files: {train: a.tsv}", "task mine: unknown type 'classify', did you mean"),
        ("files: {train: a.tsv}", "task mine: no type, known:"),
    ],
)
def test_errors_in_a_recipe_name_it(tmp_path: Path, task: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"tasks:\n  - name: mine\n    {task}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_suite(path)
    assert str(caught.value).startswith(f"{path}: {message}")
