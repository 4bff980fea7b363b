"""What a run prints if there is no terminal for a progress bar."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from biomtl.training import log
from biomtl.training.accelerator import make_accelerator
from biomtl.training.log import RunLog
from biomtl.training.loop import Step
from biomtl.training.recipe_io import make_recipe


def test_a_line_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    told = RunLog(tmp_path / "log.jsonl", make_accelerator(make_recipe({})), total=1200, keep=10)
    for number in range(11, 101):
        now[0] += 2
        told.step(Step(number, 0.5, 1.0, 10, 12, 3, 3.14e-5, 0.5 + number / 1000, {"a": 0.5}))
    told.note("the score [b] is still 0, " + 30 * "and " + "so on")
    told.close()
    *lines, note = capsys.readouterr().err.splitlines()
    assert note.startswith("biomtl: note: the score [b] is still 0, and ")
    assert lines[0] == "step 25 of 1,200, loss 0.5250, rate 3.14e-05, 0:39:10 left"
    assert [line.split()[1] for line in lines] == ["25", "40", "55", "70", "85", "100"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_names_the_log(tmp_path: Path) -> None:
    told = RunLog(tmp_path / "log.jsonl", make_accelerator(make_recipe({})), total=2)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, told._stream.fileno())
    os.close(full)
    for act in (lambda: told.step(Step(1, 0.5, 1.0, 10, 12, 3, 1e-5, 0.5, {"a": 0.5})), told.close):
        with pytest.raises(OSError, match="No space left on device") as caught:
            act()
        assert caught.value.filename == str(tmp_path / "log.jsonl")
