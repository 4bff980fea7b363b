"""``biomtl check``: what it prints, and the exit code."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from biomtl.cli.check import named_columns
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.storage import files

DATA = Path(__file__).parents[1] / "data/custom"
SAMPLES = {
    "classification.tsv": ["--type", "classification", "--columns", "text=sentence,label=gold"],
    "pairs.csv": ["--type", "classification"],
    "regression.csv": ["--type", "regression"],
    "multilabel.jsonl": ["--type", "multilabel"],
    "tagging.conll": ["--type", "tagging"],
    "tagging.pubtator": ["--type", "tagging", "--labels", "Drug,Illness"],
    "brat": ["--type", "tagging"],
    "ranking.jsonl": ["--type", "ranking"],
    "span.tsv": ["--type", "span", "--columns", "text_a=text,text_b=question"],
    "relation.tsv": ["--type", "relation", "--relation", "{first: Drug, second: Illness}", "--negative", "none"],
}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, InputError):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_good(name: str) -> None:
    code, output = run(str(DATA / name), *SAMPLES[name])
    assert code == 0
    assert ", 0 bad ones" in output
    assert "First record" in output


def test_rows_labels_and_lengths_are_counted() -> None:
    _, output = run(str(DATA / "classification.tsv"), *SAMPLES["classification.tsv"])
    assert "4 good rows, 0 bad ones, read as tsv" in output
    assert "3 labels (benefit, harm, none), inferred from classification.tsv" in output
    assert "50.0%" in output
    assert "words per row: median 8, 95 % up to 9, longest 9" in output
    assert '"text": "The rash cleared after two days of brentolol."' in output


def test_the_task_of_a_compressed_file_is_named_without_suffixes(tmp_path: Path) -> None:
    path = tmp_path / "devel.tsv.gz"
    path.write_bytes(gzip.compress(b"Lemidase\tB\nhelps\tO\n\nNo\tO\n"))
    _, output = run(str(path), "--type", "tagging")
    assert "task devel: 3 labels (O, B, I), inferred from devel.tsv.gz" in output


def test_mentions_are_counted_by_type() -> None:
    _, output = run(str(DATA / "tagging.pubtator"), "--type", "tagging")
    rows = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in output.splitlines() if line.count("│") == 4
    }
    assert rows == {"Drug": "2", "Illness": "1"}


def test_every_bad_row_is_listed_by_number(tmp_path: Path) -> None:
    path = tmp_path / "many.tsv"
    path.write_text(
        "text\tlabel\n" + "".join(f"a text\t{'x' if i % 2 else 'y'}\n" if i % 3 else "torn\n" for i in range(75))
    )
    code, output = run(str(path), "--type", "classification")
    assert code == 2
    assert "50 good rows, 25 bad ones" in output
    listed = [line for line in output.splitlines() if line.startswith(f"  {path}:")]
    assert [int(line.split(":")[1]) for line in listed] == list(range(2, 62, 3))
    assert "… and 5 more: rows 62, 65, 68, 71, 74" in output


def test_rows_of_all_kinds_of_fault_are_found_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"text\tlabel\nfine\tx\n\ty\nna\xefve\tx\nno label known\tz\nalso fine\ty\none\ttwo\tthree\n")
    code, output = run(str(path), "--type", "classification", "--labels", "x,y")
    assert code == 2
    for fault in (":3: text is empty", ":4: byte 0xef", ":5: unknown label 'z'", ":7: 3 column(s)"):
        assert f"{path}{fault}" in output


def test_a_file_of_bad_rows_only_still_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": ["a"], "label": "x"}\nnot json\n')
    code, output = run(str(path), "--type", "classification")
    assert code == 2
    assert "0 good rows, 2 bad ones" in output
    assert f"{path}:1: a list, expected text" in output
    assert f"{path}:2: not JSON" in output


def test_a_line_that_is_too_long_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 20)
    path = tmp_path / "long.tsv"
    path.write_text(f"text\tlabel\none\tx\n{'long ' * 9}\ty\ntwo\ty\nthree\n")
    _, output = run(str(path), "--type", "classification")
    assert "2 good rows, 2 bad ones" in output
    assert f"{path}:3: a line of over 20 bytes" in output
    assert f"{path}:5: 1 column(s)" in output


@pytest.mark.parametrize("name", ["a.conll", "a.pubtator"])
def test_a_file_without_rows_is_not_good(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n")
    with pytest.raises(InputError, match=f"{name}: no rows"):
        run(str(tmp_path / name), "--type", "tagging")


def test_pieces_and_windows_of_an_encoder(bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.conll"
    path.write_text("".join(f"zalpidine\t{'B-Drug' if i == 2 else 'O'}\n" for i in range(40)) + "\npola\tO\n")
    code, output = run(str(path), "--type", "tagging", "--encoder", str(bert), "--max-length", "16")
    assert code == 0
    assert "longer than 16: 1 rows, read in overlapping windows" in output
    reads = [line for line in output.splitlines() if line.startswith("the model reads: [CLS] ")]
    assert len(reads) > 2
    assert "/B-Drug" in reads[0]
    assert not any("/B-Drug" in line for line in reads[1:])


@pytest.mark.parametrize("there", [True, False])
def test_without_an_encoder_the_packaged_one_is_used(bert: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    for module in ("biomtl.packaged", "biomtl.cli.check"):
        monkeypatch.setattr(f"{module}.packaged_encoder", lambda: bert if there else None)
    _, output = run(str(DATA / "pairs.csv"), "--type", "classification", "--max-length", "16")
    assert ("the model reads: [CLS] " in output) is there
    assert ("longer than 16: " in output) is there


def test_special_mentions_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "nested.pubtator"
    rows = "".join(f"7\t{start}\t{end}\t{'left and right atrium'[start:end]}\tX\n" for start, end in ((0, 21), (9, 21)))
    path.write_text(f"7|t|left and right atrium\n7|a|is big\n{rows}")
    _, output = run(str(path), "--type", "tagging")
    assert "of 2 mentions: 1 nested" in output
    _, output = run(str(path), "--type", "tagging", "--mentions", "flatten")
    assert "of 2 mentions: 1 nested, 1 dropped" in output
    code, output = run(str(path), "--type", "tagging", "--mentions", "refuse")
    assert code == 2
    assert "mention T1 'right atrium' is nested" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--type", "clasification"], "did you mean 'classification'?"),
        (["--type", "classification", "--columns", "text"], "--columns 'text', expected our field = your column"),
        (["--type", "classification", "--columns", "label=golden,text=sentence"], "did you mean 'gold'?"),
        (["--type", "classification", "--format", "xls"], "--format 'xls'"),
        (["--type", "ranking"], "no column 'text'"),
    ],
)
def test_unreadable_input_gives_a_one_line_error(arguments: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        run(str(DATA / "classification.tsv"), *arguments)
    assert said in str(caught.value)


def test_columns_are_names_or_numbers() -> None:
    assert named_columns("label=gold, text=2,tags=-1") == {"label": "gold", "text": 2, "tags": -1}
    assert named_columns(None) is None


def test_good_and_bad_rows_are_counted_though_nothing_can_be_inferred(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tscore\none\t1.5\ntwo\tabc\nthree\tnan\n")
    code, output = run(str(tmp_path / "a.tsv"), "--type", "regression")
    assert code == 2
    assert "1 good row, 2 bad ones" in output
    assert "a.tsv:3: 'abc', expected a number" in output
    assert "a.tsv:4: score is nan, expected a number" in output


def test_quoting(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\n"one\ttwo"\tx\nfour\ty\n')
    code, output = run(str(tmp_path / "a.tsv"), "--type", "classification")
    assert code == 2
    assert "`quoting: csv`" in output
    code, output = run(str(tmp_path / "a.tsv"), "--type", "classification", "--quoting", "csv")
    assert code == 0
    assert "one\\ttwo" in output


def test_a_file_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("Aspirin\tB-Drug\nstops\tO\n\npain\tB-Pain\n.\tO\n")
    code, output = run(str(tmp_path / "a.tsv"), "--type", "tagging")
    assert code == 0
    assert "2 good rows, 0 bad ones, read as conll" in output


def test_relations_of_documents(command: Callable[..., Any]) -> None:
    ended = command("check", DATA / "trial", "--type", "relation", "--relation", "first: Drug, second: Illness")
    assert ended.code == 0, ended.err
    assert "2 good rows, 0 bad ones, read as brat" in ended.out
    assert "1 of 2 relations are not covered: 1 between mentions in different units (unit: sentence)" in ended.out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("first: Drug, secnd: Illness", "--relation: unknown key 'secnd', did you mean 'second'?"),
        ("first: Drug", "--relation: no 'second', expected first and second"),
        ("first: Drug, second: Illness, unit: page", "--relation: unit 'page', expected 'sentence'"),
        ("Drug and Illness]", "expected a mapping, such as {first: drug, second: gene}"),
    ],
)
def test_impossible_arguments(command: Callable[..., Any], given: str, said: str) -> None:
    ended = command("check", DATA / "trial", "--type", "relation", "--relation", given)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert said in ended.err


def test_without_a_type_the_types_are_named() -> None:
    with pytest.raises(InputError, match="no --type, expected the task's type: classification, multilabel"):
        run(str(DATA / "classification.tsv"))
