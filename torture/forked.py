"""A command of biomtl in a fork of this process: what it imports was imported once, so it starts in milliseconds."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 60.0  # seconds of processor time; a command on these inputs takes under three
PATIENCE = 10  # times as long may pass on a busy machine
ADDRESS_SPACE = 6 << 30  # bytes above what the process has: a runaway ends here and not with the machine


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``code`` is minus the signal if one ended it without a word."""

    code: int
    out: str
    err: str
    seconds: float
    peak: int
    """Bytes of memory at most."""
    hung: bool = False


class Started:
    """A command that is running: ``biomtl ARGUMENTS`` in ``folder``, its output in files of ``scratch``.

    Args:
        arguments: the words after ``biomtl``, or a function to call in the new process instead.
        folder: its current folder.
        scratch: where its standard output and error go.
        before: called in the new process just before the command.
    """

    def __init__(
        self,
        arguments: Sequence[str] | Callable[[], None],
        folder: Path,
        scratch: Path,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.outputs = (scratch / "stdout", scratch / "stderr")
        ready, tell = os.pipe()
        sys.stdout.flush()
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ready)
            _become(arguments, folder, self.outputs, before, tell)
        os.close(tell)
        os.read(ready, 1)  # the command begins now
        os.close(ready)
        self.begun = time.monotonic()

    def kill(self, number: int) -> None:
        """Send a signal, unless it is over."""
        os.kill(self.pid, number)

    def wait(self, limit: float = LONGEST) -> Ended:
        """Wait for the end; after ``limit`` seconds of processor time the command is killed and counts as hung."""
        hung, pause = False, 0.001
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            passed = time.monotonic() - self.begun
            if not hung and passed > limit and (passed > PATIENCE * limit or processor_time(self.pid) > limit):
                hung = True
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        seconds = time.monotonic() - self.begun
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self.outputs)
        return Ended(os.waitstatus_to_exitcode(status), out, err, seconds, usage.ru_maxrss * 1024, hung)


def processor_time(pid: int) -> float:
    """Seconds that a process and its ended children have computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def run(arguments: Sequence[str] | Callable[[], None], folder: Path, scratch: Path, limit: float = LONGEST) -> Ended:
    """Run a command to its end."""
    return Started(arguments, folder, scratch).wait(limit)


def left_behind(number: int, patience: float = 5.0) -> list[int]:
    """Processes of a session that outlive its command by more than ``patience`` seconds; they are ended."""
    deadline = time.monotonic() + patience
    while (alive := session(number)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return alive


def session(number: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, _, _, owner = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(owner) == number and state not in "ZX":
                found.append(int(entry))
    return found


def warm_up(commands: Sequence[Sequence[str] | Callable[[], None]], folder: Path, scratch: Path) -> None:
    """Import here what these commands import, so that later ones find it there."""
    for command in commands:
        names = scratch / "modules"

        def note(names: Path = names) -> None:
            atexit.register(lambda: names.write_text("\n".join(sys.modules)))

        Started(command, folder, scratch, note).wait()
        for name in names.read_text().splitlines():
            try:
                importlib.import_module(name)
            except Exception:  # a module that exists only under another's hand
                continue
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared with the parent


def _become(
    arguments: Sequence[str] | Callable[[], None],
    folder: Path,
    outputs: tuple[Path, Path],
    before: Callable[[], None] | None,
    tell: int,
) -> None:
    """The life of the new process; it never returns."""
    code = 1
    try:
        os.setsid()
        for number, path in zip((0, 1, 2), ("/dev/null", *outputs), strict=True):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY, 0o600)
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(folder)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _live(arguments, before, tell)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _live(arguments: Sequence[str] | Callable[[], None], before: Callable[[], None] | None, tell: int) -> int:
    """Run the command as the interpreter does: its exit code, and what it registered for its end."""
    if before is not None:
        before()
    command: Callable[[], object]
    if callable(arguments):
        command = arguments
    else:
        from biomtl.__main__ import leave_quietly
        from biomtl.__main__ import main as command

        sys.argv = ["biomtl", *arguments]
        leave_quietly()  # the first that the program does; until then it isn't ready for signals
    code = 0
    try:
        os.write(tell, b"!")
        os.close(tell)
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code
