"""Wrong arguments and options: a one-line error with exit code 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

from biomtl.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "biomtl: error: No such command 'nonsense', see `biomtl --help`"),
        (["train"], "biomtl: error: Missing argument 'recipe', see `biomtl train --help`"),
        (["elmo", "--zzzz"], "biomtl: error: No such option: --zzzz, see `biomtl elmo --help`"),
        (["elmo", "--maxlen", "many"], "biomtl: error: Invalid value for '--maxlen'"),
        (["elmo", "--task"], "biomtl: error: Option '--task' requires an argument"),
    ],
)
def test_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["biomtl", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.splitlines()
    assert (ended.value.code, len(said)) == (2, 1)
    assert said[0].startswith(message)


def test_no_command_is_help() -> None:
    done = subprocess.run([sys.executable, "-m", "biomtl.cli.main"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Usage" in done.stdout + done.stderr
    assert "error" not in done.stderr
