"""``elmoft``: the old command lines unchanged, and everything around them, on small invented data."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import elmo_data
from biomtl.cli import elmo as command
from biomtl.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "elmoft.md"


def blocks(text: str) -> list[str]:
    """The page's command blocks."""
    return re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))
TASKS = ["clnclsts", "bc5cdr-chem", "ddi", "hoc", "mednli"]


@pytest.fixture(scope="module")
def bilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elmo_data.write_bilm(tmp_path_factory.mktemp("elmo"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elmo_data.write_layout(tmp_path_factory.mktemp("data"), [*TASKS, "biosses"])


@pytest.fixture
def place(tmp_path: Path, bilm: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and the two environment variables that the old page uses."""
    monkeypatch.setattr(os, "environ", {**os.environ, "ELMO_DIR": str(bilm), "DATASET_DIR": str(data)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def elmoft(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run ``elmoft`` in this process; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["elmoft", *words])
    with pytest.raises(SystemExit) as stop:
        main.elmoft()
    return stop.value.code if isinstance(stop.value.code, int) else 0


def words_of(block: str) -> list[str]:
    """A block's words after ``elmoft``, as a shell would pass them."""
    return shlex.split(os.path.expandvars(block.replace("\\\n", " ")))[1:]


def short(task: str, *more: str) -> list[str]:
    files = words_of("elmoft --options_path $ELMO_DIR/options.json --weights_path $ELMO_DIR/weights.hdf5")
    return ["--task", task, *files, "--data_dir", os.environ["DATASET_DIR"], "--seq2vec", "boe", *more]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_pages_commands_are_the_old_ones(shared: Path) -> None:
    (page,) = shared.glob("seeds/004_*.txt")
    old = blocks(page.read_text(encoding="utf-8"))
    assert [block.replace("python elmoft.py", "elmoft") for block in old] == BLOCKS


@pytest.mark.parametrize(
    ("block", "task", "more"),
    [
        (block, task, more)
        for block, task, more in zip(BLOCKS, TASKS, ([], [], ["-g", "0"], ["-q", "0"], []), strict=True)
    ],
    ids=TASKS,
)
def test_the_five_commands(
    block: str, task: str, more: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = words_of(block)
    assert words[words.index("--task") + 1] == task
    assert elmoft(monkeypatch, *words, *more) == 0
    run = place / "runs" / f"elmoft-{task}"
    metrics = json.loads((run / "metrics.json").read_text())
    ((name, scores),) = metrics["tasks"].items()
    assert set(scores) == {"dev", "test"}
    assert metrics["provenance"]["command"].startswith("biomtl elmo --task")
    assert (run / "model" / "manifest.json").is_file()
    for split, score in scores.items():
        perf = rows(run / f"perf_{split}.csv")
        assert float(perf[0]["value"]) == pytest.approx(score["value"])
        assert {row["protocol"] for row in perf} == {"BLUE"}
        predicted = rows(run / f"pred_{split}.csv")
        if task != "bc5cdr-chem":
            assert len(predicted) == elmo_data.ROWS[split]
        assert (run / f"pred_{split}.xlsx").is_file()
    assert len((run / "predictions" / name / "test.jsonl").read_text().splitlines()) == elmo_data.ROWS["test"]
    said = capsys.readouterr()
    assert said.err.count("undersampled in training") == (task == "ddi")
    assert ("undersample, rows per epoch: DDI-false 8 -> 4" in " ".join(said.out.split())) == (task == "ddi")
    assert any((place / ".cache" / "elmo").rglob("data.bin"))


def test_the_old_command_line_unchanged(shared: Path, place: Path) -> None:
    """Through a shell, from a folder with the checkout's ``elmoft.py``; the NER block has ``--maxlen 128\\`` in it."""
    shutil.copy(PAGE.parents[1] / "elmoft.py", place)
    (page,) = shared.glob("seeds/004_*.txt")
    script = "\n".join(blocks(page.read_text(encoding="utf-8"))[1:3])
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, env=with_scripts())
    assert done.returncode == 0
    assert all(line.startswith("biomtl: note: ") for line in done.stderr.splitlines())
    assert {path.name for path in (place / "runs").iterdir()} == {"elmoft-bc5cdr-chem", "elmoft-ddi"}


def test_early_stopping_stops(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = short("ddi", "--earlystop", "--es_patience", "2", "--es_delta", "2", "--epochs", "9", "--lr", "1e-9")
    assert elmoft(monkeypatch, *words) == 0
    log = (place / "runs/elmoft-ddi/log.jsonl").read_text().splitlines()
    assert sum('"split"' in line for line in log) == 3


def test_it_learns_and_epochs_do_not_run_the_bilm(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomtl.encoders.elmo import network

    passes = []
    before = network.Elmo.contextual
    monkeypatch.setattr(network.Elmo, "contextual", lambda self, *a: passes.append(1) or before(self, *a))
    words = short("ddi", "-j", "30", "-z", "6", "--lr", "0.01", "--fchdim", "20", "--pdrop", "0", "--maxlen", "8")
    assert elmoft(monkeypatch, *words) == 0
    assert 0 < len(passes) < 12
    log = [json.loads(line) for line in (place / "runs/elmoft-ddi/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])


def test_scores_of_protocol_reference_are_labelled_and_beside_blues(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert elmoft(monkeypatch, *short("bc5cdr-chem", "--protocol", "reference", "--do_crf", "--verbose")) == 0
    run = place / "runs/elmoft-bc5cdr-chem"
    for split in ("dev", "test"):
        found = rows(run / f"perf_reference_{split}.csv")
        assert {row["protocol"] for row in found} == {"reference (the old program's rules, not comparable with BLUE's)"}
        assert {row["protocol"] for row in rows(run / f"perf_{split}.csv")} == {"BLUE"}
    shown = capsys.readouterr().out
    assert "not comparable with BLUE" in " ".join(shown.split())
    assert "learning_rate: 0.001" in shown
    tokens = rows(run / "pred_test.csv")
    assert [row["token"] for row in tokens].count(".") == 12
    assert sum(row["docid"] != "-" for row in tokens) == 6


def test_resume_scores_and_trains_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert elmoft(monkeypatch, *short("biosses", "--ssfunc", "dist", "-j", "2")) == 0
    run = place / "runs/elmoft-biosses"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert elmoft(monkeypatch, "-u", "biosses", "--data_dir", os.environ["DATASET_DIR"], "--resume", str(run)) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    again = place / "runs/elmoft-biosses-resumed"
    old, new = (json.loads((folder / "metrics.json").read_text())["tasks"]["biosses"] for folder in (run, again))
    for split in ("dev", "test"):
        assert new[split]["value"] == pytest.approx(old[split]["value"], abs=1e-4)
        assert (again / f"pred_{split}.csv").is_file()


def test_kfold(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert elmoft(monkeypatch, *short("mednli", "--kfold", "2", "--weight_class", "--out", "cv")) == 0
    table = rows(place / "cv" / "folds.csv")
    assert [row["fold"] for row in table] == ["1", "2", "mean", "standard deviation"]
    held_out = [row["index"] for k in (1, 2) for row in rows(place / "cv" / f"fold-{k}" / "pred_test.csv")]
    assert sorted(held_out) == sorted(f"n{i}" for i in range(elmo_data.ROWS["train"]))


def test_an_earlier_cross_validation_is_kept_until_the_new_one_is_complete(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from biomtl.elmoft import run

    words = short("ddi", "--kfold", "2", "--out", "cv")
    assert elmoft(monkeypatch, *words) == 0
    first = (place / "cv/folds.csv").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(run, "summary", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            elmoft(monkeypatch, *words, "--overwrite")
    assert (place / "cv/folds.csv").read_bytes() == first
    assert [path.name for path in place.glob(".cv*")] == []
    # As a killed process leaves it: the earlier one aside, a part of the new one in its place.
    (place / "cv").rename(place / ".cv.old")
    shutil.copytree(place / ".cv.old/fold-1", place / "cv/fold-1")
    (place / "cv/.fold-2.lock").touch()
    assert elmoft(monkeypatch, *words) == 2
    assert (place / "cv/folds.csv").read_bytes() == first
    assert [path.name for path in place.glob(".cv*")] == []


def test_a_run_without_its_tables_is_not_finished(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomtl.elmoft import run
    from biomtl.training.folder import is_finished

    monkeypatch.setattr(run, "write_tables", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        elmoft(monkeypatch, *short("ddi", "--out", "one"))
    assert (place / "one/metrics.json").is_file()
    assert not is_finished(place / "one")


def test_kfold_replaces_the_whole_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert elmoft(monkeypatch, *short("ddi", "--kfold", "3", "--out", "cv")) == 0
    assert elmoft(monkeypatch, *short("ddi", "--kfold", "2", "--out", "cv", "--overwrite")) == 0
    assert sorted(path.name for path in (place / "cv").iterdir()) == ["fold-1", "fold-2", "folds.csv", "folds.xlsx"]
    assert elmoft(monkeypatch, *short("ddi", "--out", "runs/one")) == 0
    assert elmoft(monkeypatch, *short("ddi", "--kfold", "2", "--out", "runs/one", "--overwrite")) == 0
    assert not (place / "runs/one/metrics.json").exists()
    assert [path.name for path in (place / "runs").iterdir()] == ["one"]
    (place / "notes").mkdir()
    (place / "notes" / "mine.txt").write_text("keep")
    assert elmoft(monkeypatch, *short("ddi", "--kfold", "2", "--out", "notes", "--overwrite")) == 2
    assert "notes: not a run folder" in capsys.readouterr().err
    assert (place / "notes" / "mine.txt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seq2vec", "bow"], "--seq2vec 'bow'"),
        (["--maxlen", "0"], "--maxlen 0, expected 1 or more"),
        (["--data_dir", "nowhere"], "nowhere/ddi2013-type: no such folder"),
        (["--options_path", "nowhere.json"], "nowhere.json: no such file"),
        (["--weights_path", "nowhere.hdf5"], "nowhere.hdf5: no such file"),
        (["--pretrained", "nowhere"], "nowhere: no such folder"),
        (["--resume", "model.pth"], "model.pth: a file, expected a run or model folder"),
        (["--resume", "nowhere"], "nowhere: not a biomtl model"),
        (["--out", "taken"], "taken: the output already exists"),
    ],
)
def test_bad_input_gives_a_one_line_error(
    words: list[str], message: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (place / "model.pth").write_bytes(b"\x80\x02.")
    (place / "taken").mkdir()
    assert elmoft(monkeypatch, *short("ddi"), *words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"biomtl: error: {message}")
    assert sorted(path.name for path in place.iterdir()) == ["model.pth", "taken"]


def test_installed_as_elmoft(place: Path) -> None:
    """Both names, each in a process of its own; neither needs torch to refuse."""
    done = subprocess.run(["elmoft", "-u", "ddi", "-z", "0"], capture_output=True, text=True, env=with_scripts())
    assert (done.returncode, done.stderr) == (2, "biomtl: error: --bsize 0, expected 1 or more\n")
    code = "import sys; from biomtl.cli.main import elmoft as main; sys.argv = ['elmoft', '--help']"
    code += "\ntry: main()\nfinally: print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "biomtl elmo" in shown
    assert shown.endswith("False\n")


def with_scripts() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_devices_are_chosen_before_torch_looks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomtl.elmoft.flags import Flags

    command.choose_devices(Flags(gpunum=2, gpuq="3,1,0"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,1"
    command.choose_devices(Flags(gpunum=0))
    assert os.environ["ACCELERATE_USE_CPU"] == "true"
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append(words))
    monkeypatch.setattr(sys, "argv", ["biomtl", "elmo", "-u", "ddi", "--distrb", "--np", "2", "-g", "0"])
    command.start_processes(Flags(gpunum=0, np=2, distrb=True))
    assert started[0][1:5] == ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    assert started[0][5:] == ["-m", "--", "biomtl.cli.main", "elmo", "-u", "ddi", "--distrb", "--np", "2", "-g", "0"]
    command.start_processes(Flags(distrb=True))
    assert len(started) == 1
