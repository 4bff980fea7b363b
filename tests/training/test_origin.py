"""The provenance of scores: git's files and the energy counters, in the forms found on machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from biomtl.training import origin
from biomtl.training.origin import Energy, git_revision


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_the_revision_that_is_checked_out(tmp_path: Path) -> None:
    assert git_revision(tmp_path / "nowhere") is None or (tmp_path / ".git").exists() is False
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q")
    (main / ".git" / "HEAD").write_text("ref: refs/heads/none-yet\n")
    assert git_revision(main) is None
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    head = git(main, "rev-parse", "HEAD")
    (main / "deep" / "er").mkdir(parents=True)
    assert git_revision(main / "deep" / "er") == head
    git(main, "pack-refs", "--all")
    assert git_revision(main) == head
    git(main, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "second")
    assert git_revision(tmp_path / "side") == git(tmp_path / "side", "rev-parse", "HEAD") != head
    git(main, "checkout", "-q", "--detach")
    assert git_revision(main) == head
    (main / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert git_revision(main) is None


def counter(folder: Path, name: str, value: int) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{value}\n")
    (folder / name / "max_energy_range_uj").write_text("10000000000\n")


def test_energy_of_all_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter(tmp_path, "intel-rapl:0", 9_000_000_000)
    counter(tmp_path, "intel-rapl:1", 0)
    counter(tmp_path, "intel-rapl:0:0", 5)  # a part of the first
    energy = Energy(tmp_path)
    counter(tmp_path, "intel-rapl:0", 1_600_000_000)  # began again
    energy.read()
    assert energy._used == 0, "not every step reads the counters"
    monkeypatch.setattr(origin, "LONGEST_PAUSE", 0)
    energy.read()
    counter(tmp_path, "intel-rapl:0", 2_600_000_000)
    counter(tmp_path, "intel-rapl:1", 3_600_000_000)
    assert energy.watt_hours() == pytest.approx((2_600_000_000 + 1_000_000_000 + 3_600_000_000) / 3.6e9, abs=1e-3)


def test_a_system_without_energy_counters(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("secret")
    energy = Energy(tmp_path)
    energy.read()
    assert energy.watt_hours() is None
