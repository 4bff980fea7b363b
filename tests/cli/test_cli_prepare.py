"""``biomtl prepare`` as a user calls it: the table, and a one-line error with exit code 2 for every bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from biomtl.cli.main import main
from biomtl.corpora import ReadOptions

Run = Callable[..., tuple[int, str, str]]

CPR = "index\tsentence\tlabel\n7.T1.T2\t@CHEMICAL$ blocks @GENE$.\tCPR:4\n8.T1.T2\t@GENE$ is @CHEMICAL$.\tfalse\n"
STS = "index\tsentence1\tsentence2\tscore\n0\tOne cell.\tTwo cells.\t2.4\n"
HOC = "index\tlabels\tsentence\n12_s0\t0_0,1_1\tCells died.\n"
NER = "Zanolin\t11\t0\tB\nhelps\t-\t8\tO\n"
NLI = "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run({name: content}, *arguments)`` -> exit code, stdout, stderr; files lie in ``in``, output in ``out``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run_files(files: dict[str, str | bytes], *arguments: str) -> tuple[int, str, str]:
        for name, text in files.items():
            path = Path("in", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setattr(sys, "argv", ["biomtl", "prepare", "in", "--out", "out", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run_files


def test_table_and_files(run: Run) -> None:
    code, out, err = run({"chemprot/dev.tsv": CPR, "chemprot/test.tsv": CPR})
    assert (code, err) == (0, "")
    assert "1 / 1,094 (-1,093 not explained)" in out
    assert "no data / 19,460" in out
    assert "from BLUE-format files" in out
    assert "0 counts as expected, 0 different and explained, 16 different and not explained." in out
    assert sorted(path.name for path in Path("out/chemprot").iterdir()) == [
        "dev.jsonl",
        "provenance.json",
        "task.yaml",
        "test.jsonl",
    ]
    counts = json.loads(Path("out/counts.json").read_text())
    line = next(line for line in counts["tasks"]["chemprot"]["counts"] if line["label"] == "CPR:4")
    assert (line["split"], line["expected"], line["found"]) == ("train", 2251, None)


def test_options_default_to_those_of_the_readers(run: Run) -> None:
    run({"mednli/dev.tsv": NLI})
    assert json.loads(Path("out/mednli/provenance.json").read_text())["options"] == asdict(ReadOptions())


BAD = {
    "columns": ({"chemprot/dev.tsv": CPR + "9.T1.T2\tfalse\n"}, "in/chemprot/dev.tsv:4: 2 columns, expected 3"),
    "missing column": ({"chemprot/dev.tsv": CPR.replace("label", "class")}, "dev.tsv:1: no column 'label', expected"),
    "no header": ({"mednli/dev.tsv": NLI.partition("\n")[2]}, "dev.tsv:1: no header, expected a header with"),
    "label": (
        {"chemprot/dev.tsv": CPR.replace("CPR:4", "CPR4")},
        "in/chemprot/dev.tsv:2: unknown label 'CPR4', expected one of CPR:3, CPR:4, CPR:5, CPR:6, CPR:9, false",
    ),
    "empty label": ({"mednli/dev.tsv": NLI.replace("\tneutral", "\t")}, "in/mednli/dev.tsv:2: no label"),
    "duplicate": ({"chemprot/dev.tsv": CPR + CPR.splitlines()[1]}, "dev.tsv:4: id '7.T1.T2' occurs twice"),
    "same row twice": ({"mednli/dev.tsv": NLI + NLI.splitlines()[1]}, "dev.tsv:3: id 'p1' occurs twice in dev"),
    "empty text": ({"mednli/dev.tsv": NLI.replace("He smokes.", " ")}, "in/mednli/dev.tsv:2: text_b is empty"),
    "empty id": ({"mednli/dev.tsv": NLI.replace("p1", "")}, "in/mednli/dev.tsv:2: id is empty"),
    "empty split": ({"chemprot/dev.tsv": CPR.splitlines()[0]}, "in/chemprot/dev.tsv: no rows, expected the dev split"),
    "empty file": ({"chemprot/dev.tsv": ""}, "in/chemprot/dev.tsv: an empty file"),
    "NaN": ({"biosses/dev.tsv": STS.replace("2.4", "NaN")}, "in/biosses/dev.tsv:2: score is nan, expected a number"),
    "no number": ({"biosses/dev.tsv": STS.replace("2.4", "high")}, "dev.tsv:2: score 'high', expected a number"),
    "range": ({"biosses/dev.tsv": STS.replace("2.4", "4.2")}, "dev.tsv:2: score 4.2, expected 0 to 4"),
    "UTF-8": (
        {"biosses/dev.tsv": STS.encode() + b"1\tna\xefve\tTwo.\t1\n"},
        "in/biosses/dev.tsv:3: byte 0xef at column 5 is not UTF-8, convert the file to UTF-8",
    ),
    "binary": ({"biosses/dev.tsv": STS.encode() + b"\0\n"}, "in/biosses/dev.tsv:3: a NUL byte"),
    "torn gzip": ({"biosses/dev.tsv.gz": b"\x1f\x8b\x08"}, "in/biosses/dev.tsv:1: can't be unpacked"),
    "torn zip": ({"biosses.zip": b"PK"}, "in/biosses.zip: not a readable zip"),
    "HoC name": ({"hoc/dev.tsv": HOC.replace("0_0,1_1", "immortality")}, "dev.tsv:2: unknown label 'immortality'"),
    "HoC code": ({"hoc/dev.tsv": HOC.replace("1_1", "10_1")}, "dev.tsv:2: unknown label '10_1', expected 0_0"),
    "HoC value": ({"hoc/dev.tsv": HOC.replace("1_1", "1_2")}, "dev.tsv:2: unknown label '1_2'"),
    "HoC both": ({"hoc/dev.tsv": HOC.replace("1_1", "0_1")}, "dev.tsv:2: label 0 is given as both 0 and 1"),
    "offset": ({"clefe/Test.tsv": NER.replace("\t8\t", "\t8.0\t")}, "in/clefe/Test.tsv:2: offset '8.0', expected"),
    "overlap": (
        {"clefe/Test.tsv": NER.replace("\t8\t", "\t3\t")},
        "in/clefe/Test.tsv:1: token 'helps' at 3 starts before",
    ),
    "tag": ({"clefe/Test.tsv": NER.replace("\tB\n", "\tS\n")}, "in/clefe/Test.tsv:1: unknown label 'S'"),
    "same sentence twice": ({"clefe/Test.tsv": f"{NER}\n{NER}"}, "in/clefe/Test.tsv:4: id '11.0' occurs twice"),
    "nothing known": ({"things.tsv": "a"}, "in: no corpus recognised, expected one of: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_a_one_line_error_and_nothing_is_written(run: Run, name: str) -> None:
    files, message = BAD[name]
    code, out, err = run(files)
    assert code == 2
    assert err.startswith("biomtl: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert sorted(path.name for path in Path().iterdir()) == ["in"]


def test_an_unknown_mention_policy_is_refused_whatever_the_task(run: Run) -> None:
    code, out, err = run({"chemprot/dev.tsv": CPR}, "--mentions", "flaten")
    assert (code, out, err) == (2, "", "biomtl: error: mention policy 'flaten', did you mean 'flatten'?\n")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("chemport", "unknown task 'chemport', did you mean 'chemprot'?"),
        ("hoc,mednli", "in: no data of hoc, expected its original distribution or hoc/train.tsv, dev.tsv, test.tsv"),
        ("", "no task named"),
    ],
)
def test_missing_tasks(run: Run, tasks: str, message: str) -> None:
    code, _, err = run({"mednli/dev.tsv": NLI}, "--tasks", tasks)
    assert code == 2
    assert message in err
    assert not Path("out").exists()


def test_plain_files_belong_to_the_task_that_is_named(run: Run) -> None:
    code, _, _ = run({"dev.tsv": CPR}, "--tasks", "chemprot")
    assert code == 0
    assert Path("out/chemprot/dev.jsonl").read_text().count("\n") == 2


def test_missing_source(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run({})
    assert (code, err) == (2, "biomtl: error: in: no such file or folder, check the path\n")


def test_existing_output(run: Run) -> None:
    assert run({"mednli/dev.tsv": NLI})[0] == 0
    before = Path("out/mednli/dev.jsonl").read_bytes()
    code, _, err = run({"mednli/dev.tsv": NLI + "broken"})
    assert (code, err) == (2, "biomtl: error: out: the output already exists, choose another name or add --overwrite\n")
    assert run({}, "--overwrite")[0] == 2  # the bad row: what was there stays
    assert Path("out/mednli/dev.jsonl").read_bytes() == before
    assert run({"mednli/dev.tsv": NLI.replace("p1", "p2")}, "--overwrite")[0] == 0
    assert Path("out/mednli/dev.jsonl").read_bytes() == before.replace(b"p1", b"p2")


def test_overwrite_replaces_nothing_but_a_prepared_suite(run: Run) -> None:
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work")
    code, _, err = run({"mednli/dev.tsv": NLI}, "--overwrite")
    assert code == 2
    assert "out: not a prepared suite" in err
    assert Path("out/thesis.txt").exists()


def test_several_tasks_at_once_stop_at_the_first_error(run: Run) -> None:
    good = {"mednli/dev.tsv": NLI, "hoc/dev.tsv": HOC, "biosses/test.tsv": STS}
    code, out, _ = run(good)
    assert code == 0
    assert [line.strip() for line in out.splitlines() if line.strip() in ("mednli", "hoc", "biosses")] == [
        "biosses",
        "hoc",
        "mednli",
    ]
    code, _, err = run({"clefe/Test.tsv": NER + "bad"}, "--overwrite")
    assert code == 2
    assert "Test.tsv:3: 1 columns" in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["in", "out"]
