"""The tables of docs/results.md and the README are those that the kept scores give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCORES = ROOT / "benchmarks/results/public_six.json"
LEVITATED = ROOT / "benchmarks/results/public_six_levitated.json"


@pytest.fixture(scope="module")
def rows() -> list[str]:
    return rows_of(SCORES)


def rows_of(scores: Path) -> list[str]:
    made = [sys.executable, str(ROOT / "benchmarks/public_six_table.py"), str(scores)]
    printed = subprocess.run(made, check=True, capture_output=True, text=True).stdout
    return [line for line in printed.splitlines() if line.startswith("| ") and "---" not in line]


def test_the_results_page_has_every_row(rows: list[str]) -> None:
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 30
    assert [row for row in rows if row not in page] == []


def test_the_results_page_has_the_rows_with_levitated_markers() -> None:
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8").splitlines()
    rows = [row for row in rows_of(LEVITATED) if "±" in row or row.count(" to ") > 1]
    assert len(rows) == 9
    assert [row for row in rows if row not in page] == []


def test_the_readme_has_the_means() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    test = {row.split(" | ")[0].removeprefix("| "): row for row in reversed(rows_of(LEVITATED)) if "±" in row}
    for arm in (
        "six models, each task alone",
        "joint, balanced weights, distilled",
        "joint, balanced weights, distilled, then each task",
    ):
        means = [cell.split(" ± ")[0] for cell in test[arm].split(" | ")[1:7]]
        assert " | ".join(means) in page, arm
