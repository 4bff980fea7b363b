"""Signals end a program in one line, and leave nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from biomtl.signals import Ended, noted, raised

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
PREAMBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
number = int(sys.argv.pop())
"""
IMPORTING = """
import builtins
from biomtl.__main__ import main
original = builtins.__import__
def signalled(name, *rest, **more):
    if name == "typer":
        os.kill(os.getpid(), number)
    return original(name, *rest, **more)
builtins.__import__ = signalled
sys.argv = ["biomtl", "--help"]
main()
"""
WRITING = """
import biomtl.prepare
module = sys.modules["biomtl.prepare.prepare"]
module.write_json = lambda *_: os.kill(os.getpid(), number)
from biomtl.__main__ import main
sys.argv = ["biomtl", "prepare", *sys.argv[1:]]
main()
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """SIGINT as in the foreground: a shell ignores it for what runs in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, former)


def program(code: str, number: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PREAMBLE + code, *map(str, arguments), str(int(number))]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


@BOTH
def test_while_the_command_line_is_imported(number: signal.Signals) -> None:
    done = program(IMPORTING, number)
    assert done.returncode == 128 + number
    assert done.stderr == f"biomtl: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert done.stdout == ""


@BOTH
def test_while_an_output_is_written(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "mednli").mkdir()
    for split in ("train", "dev"):
        rows = "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n"
        (tmp_path / "mednli" / f"{split}.tsv").write_text(rows)
    arguments = (tmp_path / "mednli", "--out", tmp_path / "out", "--tasks", "mednli")
    done = program(WRITING, number, *arguments)
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr == f"biomtl: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mednli"]


@BOTH
def test_a_signal_is_raised(number: signal.Signals) -> None:
    with pytest.raises(Ended) as ended, raised():
        signal.raise_signal(number)
    assert ended.value.code == 128 + number


def wrapped() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException as error:
        raise ImportError("numpy._core.multiarray failed to import") from error


def dropped() -> None:
    class Careless:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    thing = Careless()
    del thing
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_library_that_wraps_the_interruption_does_not_hide_it() -> None:
    with pytest.raises(Ended), raised():
        wrapped()
    with pytest.raises(ImportError), raised():
        raise ImportError("an error of its own")


def test_what_python_drops_is_sent_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Ended), raised():
        dropped()
    assert "Traceback" not in capfd.readouterr().err


@BOTH
def test_the_first_is_noted_and_a_second_sigint_ends_at_once(number: signal.Signals) -> None:
    seen = []

    def signalled() -> None:
        with noted() as signals:
            for sent in (number, signal.SIGTERM, signal.SIGINT):
                seen.append(signals.received)
                signal.raise_signal(sent)

    with pytest.raises(Ended) as ended, raised():
        signalled()
    assert seen == [None, number, number]
    assert ended.value.number == signal.SIGINT


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with raised(), noted() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    assert signals.received is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_a_thread_nothing_is_changed() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def inside() -> object:
        with raised(), noted() as signals:
            return signals.received, signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == (None, signal.getsignal(signal.SIGTERM))
