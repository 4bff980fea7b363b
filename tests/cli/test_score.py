"""``biomtl score`` as a user calls it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.cli.main import main
from biomtl.suite import load_suite

TASK = """name: own
labels: ["yes", "no"]
metric: accuracy
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def _run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biomtl", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        code = stop.value.code
        return (code if isinstance(code, int) else 0), out, err

    return _run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    gold, predicted = tmp_path / "gold.jsonl", tmp_path / "predicted.tsv"
    labels = ["CPR:3", "CPR:3", "CPR:4", "false"]
    rows = [{"id": f"1.T{i}.T9", "doc_id": str(i % 2), "text": "x", "label": label} for i, label in enumerate(labels)]
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = ["CPR:3", "false", "CPR:4", "false"]
    lines = [f"{row['id']}\t{label}\n" for row, label in zip(rows, found, strict=True)]
    predicted.write_text("index\tlabel\n" + "".join(lines), encoding="utf-8")
    return gold, predicted


def test_tables(run: Any, files: tuple[Path, Path]) -> None:
    code, out, err = run("score", "--task", "chemprot", *files)
    assert (code, err) == (0, "")
    assert "micro-averaged F1 without the negative class" in out
    assert "0.8000" in out  # 2 right of 3 gold and 2 predicted
    assert "1,000 resamples of 2 documents, seed 0" in out
    assert "CPR:9" in out
    assert "gold \\ predicted" in out
    assert "labels in neither gold nor prediction count as 0" in out


def test_json(run: Any, files: tuple[Path, Path]) -> None:
    code, out, _ = run("score", "--task", "ChemProt", *files, "--json", "--seed", 3, "--resamples", 200)
    result = json.loads(out)
    assert code == 0
    assert (result["task"], result["main"], result["seed"], result["resamples"]) == (
        "chemprot",
        "micro_f1_positive",
        3,
        200,
    )
    main_metric = result["metrics"]["micro_f1_positive"]
    assert main_metric["value"] == pytest.approx(0.8)
    assert main_metric["low"] <= 0.8 <= main_metric["high"]
    assert result["confusion"]["counts"][0] == [1, 0, 0, 0, 0, 1]


def test_no_intervals(run: Any, files: tuple[Path, Path]) -> None:
    code, out, _ = run("score", "--task", "chemprot", *files, "--resamples", 0)
    assert code == 0
    assert "bootstrap" not in out


def test_a_users_task_from_its_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id":"1","label":"yes"}\n{"id":"2","label":"no"}\n', encoding="utf-8")
    code, out, _ = run("score", "--task", tmp_path / "task.yaml", rows, rows)
    assert code == 0
    assert "accuracy" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "1 of 4 gold ids have no prediction, first '1.T3.T9'"),
        (lambda lines: [*lines, lines[-1]], "id '1.T3.T9' is predicted more often than gold has it"),
        (lambda lines: [*lines, "7.T1.T2\tfalse\n"], "unknown id '7.T1.T2'"),
        (lambda lines: [*lines[:-1], "1.T3.T9\tCPR:7\n"], "unknown label 'CPR:7', expected one of CPR:3, CPR:4"),
        (lambda lines: [*lines[:-1], "1.T3.T9\n"], "1 columns, expected 2 columns"),
        (lambda lines: lines[1:], "no header"),
        (lambda lines: [], "an empty file"),
        (lambda lines: ["index\tlabels \udcff\n"], "byte 0xff"),
    ],
)
def test_bad_predictions_are_one_line_and_exit_code_2(
    run: Any, files: tuple[Path, Path], change: Any, message: str
) -> None:
    gold, predicted = files
    lines = predicted.read_text(encoding="utf-8").splitlines(keepends=True)
    predicted.write_bytes("".join(change(lines)).encode("utf-8", "surrogateescape"))
    code, out, err = run("score", "--task", "chemprot", gold, predicted)
    assert code == 2
    assert out == ""
    assert err.startswith(f"biomtl: error: {predicted}:")
    assert err.count("\n") == 1
    assert message in err


def test_missing_file_unknown_task_and_nan(run: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    gold, predicted = files
    code, _, err = run("score", "--task", "chemprot", gold, tmp_path / "none.tsv")
    assert (code, err.count("\n")) == (2, 1)
    assert "no such file" in err
    code, _, err = run("score", "--task", "chemprott", gold, predicted)
    assert (code, err) == (2, "biomtl: error: unknown task 'chemprott', did you mean 'chemprot'?\n")
    scores = tmp_path / "scores.tsv"
    scores.write_text("index\tscore\n0\t1.0\n1\tNaN\n", encoding="utf-8")
    code, _, err = run("score", "--task", "biosses", scores, scores)
    assert (code, err) == (2, f"biomtl: error: {scores}:3: score nan, expected a finite number\n")


def test_neither_score_nor_tasks_imports_torch(files: tuple[Path, Path]) -> None:
    """Scoring has to start at once, on machines that have no torch at all."""
    script = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # an import of either would raise
from biomtl.cli.main import main
for arguments in (["score", "--task", "chemprot", *sys.argv[1:]], ["tasks"], ["tasks", "hoc"], ["--help"]):
    sys.argv = ["biomtl", *arguments]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, arguments
assert sys.modules["torch"] is None
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "micro-averaged F1" in done.stdout


def test_an_interval_from_few_units_is_marked(run: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    _, out, _ = run("score", "--task", "chemprot", *files)
    assert re.search(r"0\.\d{4} - \d\.\d{4}\*", out)
    assert "* interval from 2 documents only" in out
    assert json.loads(run("score", "--task", "chemprot", *files, "--json")[1])["few_units"] is True
    _, out, _ = run("score", "--task", "chemprot", *files, "--resamples", 0)
    assert "*" not in out
    gold, predicted = tmp_path / "g.jsonl", tmp_path / "p.jsonl"
    for path in (gold, predicted):
        rows = [{"id": f"{i}", "doc_id": f"{i}", "text": "x", "label": "CPR:3"} for i in range(10)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, out, _ = run("score", "--task", "chemprot", gold, predicted)
    assert "*" not in out
    assert json.loads(run("score", "--task", "chemprot", gold, predicted, "--json")[1])["few_units"] is False


def test_a_pipe_is_read_once(files: tuple[Path, Path], tmp_path: Path) -> None:
    program = ["-m", "biomtl.cli.main", "score", "--task", "chemprot", "--json", str(files[0])]
    outputs = []
    for name, feed in (("-", files[1]), ("/dev/stdin", files[1]), (str(files[1]), None)):
        given = feed.read_bytes() if feed else b""
        ran = subprocess.run([sys.executable, *program, name], input=given, capture_output=True)
        assert ran.returncode == 0, ran.stderr
        outputs.append(ran.stdout)
    assert outputs[0] == outputs[1] == outputs[2]
    rows = b'{"id": "1.T0.T9", "label": "CPR:3"}\nnot JSON\n'
    ran = subprocess.run([sys.executable, *program, "-"], input=rows, capture_output=True)
    assert ran.returncode == 2
    assert b"standard input:2: not JSON" in ran.stderr
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    ran = subprocess.run([sys.executable, *program, str(fifo)], capture_output=True, timeout=60)
    assert ran.returncode == 2
    assert b"pipe: a pipe, expected a file" in ran.stderr


OWN = Path(__file__).parents[1] / "data/custom/own.yaml"


def predictions(rows: list[dict[str, Any]], path: Path, key: str = "label") -> Path:
    path.write_text("".join(json.dumps({"id": row["id"], key: row[key]}) + "\n" for row in rows))
    return path


def test_a_task_of_a_recipe(run: Any, tmp_path: Path) -> None:
    gold = load_suite(OWN)["effect"].records("train")
    predicted = predictions(gold, tmp_path / "p.jsonl")
    code, out, err = run("score", OWN, predicted, "--task", "effect", "--split", "train", "--json")
    assert code == 0, err
    assert json.loads(out)["metrics"]["micro_f1_positive"]["value"] == 1
    file = tmp_path / "gold.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in gold))
    code, named, err = run("score", file, predicted, "--task", f"{OWN}:effect", "--json")
    assert code == 0, err
    assert json.loads(named)["metrics"] == json.loads(out)["metrics"]
    code, _, err = run("score", OWN, predicted)
    assert code == 2
    assert "add --task with one of: effect" in err
    code, _, err = run("score", file, predicted, "--task", str(OWN))
    assert "name one, as in own.yaml:effect" in err
    code, _, err = run("score", OWN, predicted, "--task", "efect")
    assert "did you mean 'effect'" in err
    code, _, err = run("score", file)
    assert (code, err.count("\n")) == (2, 1)


def test_a_run_and_its_own_predictions(run: Any, tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "suite", ("cls-text", "tag-drug"))
    folder = tmp_path / "run"
    (folder / "predictions" / "tag-drug").mkdir(parents=True)
    tiny.write_recipe(folder / "recipe.yaml", tmp_path, suite)
    gold = [json.loads(line) for line in (suite / "tag-drug" / "test.jsonl").read_text().splitlines()]
    predictions(gold, folder / "predictions" / "tag-drug" / "test.jsonl", "tags")
    code, out, err = run("score", folder, "--task", "tag-drug", "--json")
    assert code == 0, err
    assert json.loads(out)["metrics"]["entity_f1_spans"]["value"] == 1
    code, _, err = run("score", folder, "--task", "cls-text")
    assert code == 2
    assert "predictions/cls-text/test.jsonl" in err
    code, _, err = run("score", suite, "--task", "tag-drug")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run("score", tmp_path / "nowhere", "--task", "tag-drug")
    assert (code, err) == (2, f"biomtl: error: {tmp_path / 'nowhere'}: no such file or folder, check the path\n")


@pytest.mark.parametrize("names", [("-", "-"), ("-", "/dev/stdin"), ("/dev/stdin", "/dev/stdin")])
def test_standard_input_holds_one_file(command: Callable[..., Any], names: tuple[str, str]) -> None:
    ended = command("score", "--task", "hoc", *names)
    assert ended.code == 2
    assert ended.err.startswith("biomtl: error: standard input for both files, expected one of them")
