"""What commands print, for any string, terminal and encoding."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import biomtl.cli
from biomtl.cli.say import say, say_json

TEXT = "\x1b[2J\x07\x9b31m\u202e\u2028\x7f α 😀 [/bold] \udcff"


def run(*arguments: str, **keys: object) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "biomtl", *arguments]
    return subprocess.run(words, timeout=120, **{"stderr": subprocess.PIPE, **keys})  # type: ignore[call-overload]


def test_everything_is_printed_by_the_two_functions() -> None:
    """A user's string that is printed unescaped may contain escape codes that the terminal obeys."""
    folder = Path(biomtl.cli.__file__).parent
    past = re.compile(r"typer\.echo\(|(?<![.\w])print\(|std(out|err)\.write\(")
    others = {path.name for path in folder.glob("*.py") if past.search(path.read_text(encoding="utf-8"))}
    assert others == {"say.py", "main.py"}  # main.py prints errors, which hold no such codes


def test_control_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{TEXT}\nsecond line")
    said = capsys.readouterr().out
    assert said == "\\x1b[2J\\x07\\x9b31m\\u202e\\u2028\\x7f α 😀 [/bold] \\udcff\nsecond line\n"


def test_json_stays_the_same_value(capsys: pytest.CaptureFixture[str]) -> None:
    value = {TEXT: [TEXT]}
    say_json(json.dumps(value, ensure_ascii=False, indent=1))
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert said.replace("\n", "").isprintable()
    assert "α 😀" in said


def test_json_in_an_old_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    say_json(json.dumps({"é": "α 😀"}, ensure_ascii=False))
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode("latin-1")) == {"é": "α 😀"}
    assert b"\xe9" in raw.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_under_standard_output() -> None:
    with open("/dev/full", "wb") as full:
        done = run("tasks", stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"biomtl: error: standard output: No space left on device\n"


def test_closed_streams(tmp_path: Path) -> None:
    """Neither a traceback, nor an output file that takes the number of standard output."""
    said = tmp_path / "said"
    shell = 'exec "$0" -m biomtl "$2" "$3" "$4" >&- <&- 2>"$1"'
    done = subprocess.run(["sh", "-c", shell, sys.executable, str(said), "tasks", "--suite", "blue"], timeout=120)
    assert done.returncode == 0
    assert said.read_text() == ""
    done = subprocess.run(["sh", "-c", shell, sys.executable, str(said), "score", "-", "hoc.tsv"], timeout=120)
    assert done.returncode == 2
    assert said.read_text().startswith("biomtl: error: ")
    assert said.read_text().count("\n") == 1


def test_an_old_encoding() -> None:
    done = run("tasks", "α", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith(b"biomtl: error: unknown task '")
    assert done.stderr.count(b"\n") == 1
    done = run("tasks", "hoc", env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_paths_of_any_bytes() -> None:
    for arguments in (["audit", b"/no/\x1b[31m\xff"], ["tasks", b"--\x1b\xff"], [b"\x1b\xff"]):
        words = [
            sys.executable.encode(),
            b"-m",
            b"biomtl",
            *(w if isinstance(w, bytes) else w.encode() for w in arguments),
        ]
        done = subprocess.run(words, capture_output=True, timeout=120)
        assert done.returncode == 2
        assert done.stderr.startswith(b"biomtl: error: ")
        assert done.stderr.rstrip(b"\n").decode("ascii").isprintable()
