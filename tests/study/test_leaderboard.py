"""Runs beside published scores: their place, their notes, and which are refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.errors import InputError
from biomtl.study.board_tables import csv_table, latex, markdown
from biomtl.study.leaderboard import leaderboard
from scored import score, write_run


def test_a_run_is_shown_among_the_published_scores(tmp_path: Path, command: Callable[..., Any]) -> None:
    run = write_run(
        tmp_path / "mine", {"chemprot": score("chemprot", 0.73, rows=17275), "ddi2013": score("ddi2013", 0.8)}
    )
    board = leaderboard([str(run)])
    columns = {(place.task, place.metric): place for place in board.columns}
    assert list(columns) == [
        ("chemprot", "micro_f1_positive"),
        ("ddi2013", "macro_f1_positive"),
        ("ddi2013", "micro_f1_positive"),
    ]
    order = [entry.system for entry in columns["chemprot", "micro_f1_positive"].entries]
    assert order.index("BlueBERT base P (re-run)") < order.index("mine") < order.index("BlueBERT base P")
    ours = next(entry for entry in columns["chemprot", "micro_f1_positive"].entries if entry.ours)
    assert ours.remarks == "17,275 rows where the benchmark has 16,943"
    gu = next(e for e in columns["ddi2013", "micro_f1_positive"].entries if e.system == "PubMedBERT base")
    assert "trained on train only" in gu.remarks
    assert "BLURB's split" in gu.remarks
    assert board.means["mine"] == pytest.approx((73 + 80) / 2)
    assert "PubMedBERT base" not in board.means  # it has no macro-F1 of DDI
    rows = list(csv.DictReader(csv_table(board).splitlines()))
    assert {row["system"] for row in rows if row["ours"] == "yes"} == {"mine"}
    assert "| mine | **73.00** [" in markdown(board)
    assert r"mine & \textbf{73.00}\textsuperscript{" in latex(board)
    shown = command("leaderboard", run, "--to", "json")
    assert json.loads(shown.out) == json.loads(json.dumps(board.to_dict()))
    assert "BLUE benchmark, README table" in command("leaderboard", run).out


def test_seeds_and_their_training_are_noted(tmp_path: Path) -> None:
    for seed, value in ((1, 0.90), (2, 0.92)):
        run = write_run(tmp_path / "seeds" / str(seed), {"bc5cdr-chem": score("bc5cdr-chem", value)}, seed)
        tiny.write_recipe(run / "recipe.yaml", Path("e"), Path("s"), tasks=["bc5cdr-chem"], train_on="train+dev")
    board = leaderboard([f"twice={tmp_path / 'seeds'}"])
    (place,) = board.columns
    ours = next(entry for entry in place.entries if entry.ours)
    assert (ours.value, ours.sd) == (pytest.approx(91), pytest.approx(2**0.5))
    assert ours.remarks == "trained on train + dev; mean of 2 runs"


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    small = write_run(tmp_path / "small", {"chemprot": score("chemprot", 0.9, rows=60)})
    with pytest.raises(
        InputError, match=r"small: chemprot: scored on other data .*60 rows where the benchmark has 16,943"
    ):
        leaderboard([str(small)])
    micro = score("ddi2013", 0.9)
    metrics = {"micro_f1_positive": micro.metrics["micro_f1_positive"]}
    other = write_run(
        tmp_path / "micro", {"ddi2013": micro.model_copy(update={"metrics": metrics, "main": "micro_f1_positive"})}
    )
    with pytest.raises(InputError, match="scored by micro_f1_positive, but the column is macro_f1_positive"):
        leaderboard([str(other)])
    first = write_run(tmp_path / "a", {"mednli": score("mednli", 0.8)})
    second = write_run(tmp_path / "b", {"mednli": score("mednli", 0.8)}, mednli="another file")
    with pytest.raises(InputError, match="were scored on other data"):
        leaderboard([str(first), str(second)])
    with pytest.raises(InputError, match="two systems named 'BioBERT'"):
        leaderboard([f"BioBERT={first}"])
    with pytest.raises(InputError, match="no run scored hoc"):
        leaderboard([str(first)], ["hoc"])
    with pytest.raises(InputError, match="no run and no task"):
        leaderboard([])
