"""What a killed command leaves half-written is cleared away by the next one, what a living one writes is not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from biomtl.files import atomic_file, atomic_folder

HOLD = """
import sys, time
from pathlib import Path
from biomtl.files import atomic_file, atomic_folder
target = Path(sys.argv[1])
with atomic_folder(target, "audit") if sys.argv[2] == "folder" else atomic_file(target) as work:
    (work / "half.json").write_text("half") if sys.argv[2] == "folder" else work.write("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def write(target: Path, form: str) -> None:
    if form == "folder":
        with atomic_folder(target, "audit", overwrite=True) as work:
            (work / "audit.json").write_text("{}")
    else:
        with atomic_file(target) as stream:
            stream.write("{}")


@pytest.mark.parametrize("form", ["folder", "file"])
def test_only_what_nobody_holds_is_cleared(tmp_path: Path, form: str) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out"), form]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        [left] = tmp_path.iterdir()
        write(tmp_path / "out", form)
        assert left.exists(), "its owner is alive"
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        write(tmp_path / "other", form)
        assert left.exists(), "it belongs to another target"
        write(tmp_path / "out", form)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]
    finally:
        owner.kill()
        owner.wait()


def test_a_name_that_only_looks_alike_stays(tmp_path: Path) -> None:
    for name in (".out.tmp", ".out.abc.tmp", ".out.abcdefgh.bak", "out.abcdefgh.tmp"):
        (tmp_path / name).write_text("mine")
    write(tmp_path / "out", "folder")
    assert len(list(tmp_path.iterdir())) == 5
