"""Papers in one command: the plan, continuing after a kill, and the verdict."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import elmo_data
from biomtl.errors import InputError
from biomtl.reproduce.plan import plan, planned_runs
from biomtl.reproduce.run import reproduce
from biomtl.training.log import RunLog

QUIET = Console(quiet=True)
TASKS = ["medsts", "mednli"]
SMALL = ["suite=sample", "max_length=48", "num_threads=1", *(f"tasks.{task}.max_rows=8" for task in TASKS)]
SHORT = "stages=[{joint: {num_train_epochs: 1}}, {each: {num_train_epochs: 1, heads: fresh}}]"


class KilledError(Exception):
    """The process ends here."""


def small(name: str, encoder: Path, out: Path, *more: str, **options: Any) -> Any:
    """A reproduction on a few rows of two tasks of the sample suite."""
    return plan(name, out, [f"encoder={encoder}", *SMALL, *more], tasks=options.pop("tasks", TASKS), **options)


@pytest.mark.slow
def test_mt_bluebert_from_plan_to_verdict_killed_on_the_way(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = small("mt-bluebert", bert, tmp_path / "out", SHORT, group="clinical")
    labels = [run.label for run in planned_runs(planned)]
    assert labels == ["alone: medsts", "alone: mednli", "joint", "each: medsts", "each: mednli"]
    original, steps = RunLog.step, iter(range(100))

    def stopping(self: RunLog, done: Any) -> None:
        original(self, done)
        if next(steps) == 2:  # in the joint run
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "step", stopping)
        with pytest.raises(KilledError):
            reproduce(planned, QUIET)
    assert [run.finished for run in planned_runs(planned)] == [True, True, False, False, False]
    before = (tmp_path / "out/runs/alone/medsts/metrics.json").stat().st_mtime_ns
    found = {figure.what: figure for figure in reproduce(planned, QUIET)}
    assert (tmp_path / "out/runs/alone/medsts/metrics.json").stat().st_mtime_ns == before
    assert all(run.finished for run in planned_runs(planned))

    single = found["medsts alone, BlueBERT base P+M"]
    assert (single.expected, single.tolerance, single.metric) == (84.8, 2.0, "pearson")
    metrics = json.loads((tmp_path / "out/runs/alone/medsts/metrics.json").read_text())
    assert single.ours == pytest.approx(100 * metrics["tasks"]["medsts"]["test"]["value"])
    assert single.verdict == "not judged"  # the sample is not the benchmark
    assert "pairs where the benchmark has 318" in single.remarks
    gain = found["mean gain of each over alone, 2 tasks"]
    assert (gain.expected, gain.tolerance) == (1.3, 1.5)
    assert gain.remarks == "other data: medsts, mednli; without i2b2-2010, shareclefe"
    each = [
        json.loads((tmp_path / f"out/runs/{stage}/{task}/metrics.json").read_text())["tasks"][task]["test"]["value"]
        for stage in ("each", "alone")
        for task in TASKS
    ]
    assert gain.ours == pytest.approx(50 * (sum(each[:2]) - sum(each[2:])))
    values = json.loads((tmp_path / "out/verdict.json").read_text())
    assert values["changed"] == [key for key in (*SMALL, SHORT) if not key.startswith(("suite", "num_threads"))]
    assert len(list(csv.DictReader((tmp_path / "out/verdict.csv").open()))) == len(values["figures"]) == len(found)
    page = (tmp_path / "out/verdict.md").read_text()
    assert "arXiv 2005.02799, abstract" in page
    assert "| win/tie/loss |" in page  # the table of the stages
    with pytest.raises(InputError, match=r"another recipe \(.*seed.*\), resume with the recipe as it was"):
        reproduce(small("mt-bluebert", bert, tmp_path / "out", SHORT, "seed=7", group="clinical"), QUIET)
    with pytest.raises(InputError, match="another reproduction"):
        reproduce(small("blue-bert", bert, tmp_path / "out"), QUIET)


@pytest.mark.slow
def test_pairs_and_their_heat_map(bert: Path, tmp_path: Path) -> None:
    planned = small("mt-bluebert-pairwise", bert, tmp_path / "out", "num_train_epochs=1")
    assert [run.label for run in planned_runs(planned)] == ["medsts", "mednli", "medsts + mednli"]
    (figure,) = reproduce(planned, QUIET)
    assert figure.what == "ordered pairs, of 2, in which the first task gains"
    assert figure.verdict == "not judged"
    assert (tmp_path / "out/study/transfer.svg").is_file()
    assert "| gain of" in (tmp_path / "out/verdict.md").read_text()


@pytest.mark.slow
def test_blue_on_a_bilm(tmp_path: Path) -> None:
    bilm = elmo_data.write_bilm(tmp_path / "bilm")
    folder = f"activations_folder={tmp_path / 'kept'}"
    planned = small("blue-elmo", bilm, tmp_path / "out", folder, "num_train_epochs=1", tasks=["mednli"])
    (figure,) = reproduce(planned, QUIET)
    assert (figure.what, figure.expected) == ("mednli alone, ELMo (PubMed, frozen)", 71.4)


@pytest.mark.slow
def test_blue_with_an_encoder_of_another_name(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    words = ["blue-bert", f"encoder={bert}", *SMALL[:3], "tasks.mednli.max_rows=8", "--tasks", "mednli"]
    words += ["stages=[{alone: {num_train_epochs: 1}}]", "--out", tmp_path / "out"]
    shown = command("reproduce", *words, "--dry-run")
    assert shown.code == 0, shown.err
    assert "on this machine (cpu)" in shown.out
    assert not (tmp_path / "out").exists()
    done = command("reproduce", *words)
    assert done.code == 0, done.err
    figures = json.loads((tmp_path / "out/verdict.json").read_text())["figures"]
    assert {figure["verdict"] for figure in figures} == {"not judged"}
    assert all("of another encoder (--system says which)" in figure["remarks"] for figure in figures)
    named = command("reproduce", *words, "--system", "BioBERT")
    (figure,) = json.loads((tmp_path / "out/verdict.json").read_text())["figures"]
    assert (named.code, figure["what"]) == (0, "mednli alone, BioBERT")
    assert "another encoder" not in figure["remarks"]
