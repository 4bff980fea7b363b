"""The next command removes what a killed one left half-written, but not what a running one is writing."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from biomtl.checkpoints.convert import convert
from biomtl.errors import InputError
from biomtl.storage.files import atomic_file, atomic_folder
from biomtl.training.folder import claim
from old_checkpoints import write_pt

HOLD = """
import sys, time
from pathlib import Path
from biomtl.storage.files import atomic_file, atomic_folder
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
def test_only_what_no_process_holds_is_removed(tmp_path: Path, form: str) -> None:
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


def test_what_belongs_to_a_temporary_folder_is_removed_with_it(tmp_path: Path) -> None:
    """When a folder is written inside a temporary one, its temporary name is derived from that of the outer folder."""
    (tmp_path / "..out.biomtl-abcdefgh.tmp.biomtl-stuvwxyz.tmp").mkdir()
    (tmp_path / "..out.biomtl-abcdefgh.tmp.biomtl-hgfedcba.old/old").mkdir(parents=True)
    write(tmp_path / "out", "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_similar_names_stay(tmp_path: Path) -> None:
    names = (
        ".out.tmp",
        ".out.abc.tmp",
        ".out.biomtl-abcdefgh.bak",
        "out.biomtl-abcdefgh.tmp",
        ".out.backup01.tmp",
        ".out.20260131.tmp",
        ".out.january1.old",
    )
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".out.biomtl-february.old").mkdir()
    (tmp_path / ".out.biomtl-february.old/thesis.txt").write_text("mine")
    write(tmp_path / "out", "folder")
    assert len(list(tmp_path.iterdir())) == len(names) + 2
    assert (tmp_path / ".out.biomtl-february.old/thesis.txt").is_file()


def test_what_a_killed_run_left_inside_its_folder_does_not_stop_overwriting(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name in (
        ".model.biomtl-abcdefgh.tmp/heads/a/.head.json.biomtl-abcdefgh.tmp",
        "predictions/a/.test.jsonl.biomtl-abcdefgh.tmp",
    ):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text("half")
    (run / "recipe.yaml").write_text("encoder: e\nlearning_rate: 1.0\n")
    with claim(run, resume=False, overwrite=True):
        assert sorted(path.name for path in run.rglob("*") if path.is_file()) == ["recipe.yaml"]
    (run / "mine.txt").write_text("mine")
    with (
        pytest.raises(InputError, match=r"mine\.txt: a file that is not part of a run"),
        claim(run, resume=False, overwrite=True),
    ):
        pass


def test_a_converted_model_has_one_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder beside a temporary folder would have a name that no command removes."""
    write_pt(tmp_path / "mt" / "model.pt")
    made: list[str] = []
    original = tempfile.mkdtemp

    def noting(*given: str | None, **named: str | None) -> str:
        name = original(*given, **named)
        made.append(Path(name).name)
        return name

    monkeypatch.setattr(tempfile, "mkdtemp", noting)
    heads = "a=regression:1,b=classification:3,c=tagging:5,d=san-classification:3"
    convert(tmp_path / "mt", tmp_path / "out", tasks=heads)
    assert [name for name in made if name.startswith("..")] == []
    assert any(name.startswith(".out.") for name in made)
