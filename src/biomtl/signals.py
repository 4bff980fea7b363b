"""Ending the program when the user, a batch system or a shell asks: one line, and nothing half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

SAID: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
Handler = Callable[[int, Any], Any] | int | None


class Ended(BaseException):
    """Raised when SIGINT or SIGTERM asks the program to end.

    Args:
        number: the signal.
        said: the message for the user; empty if another process prints it.
    """

    def __init__(self, number: int, said: str | None = None) -> None:
        self.number = number
        super().__init__(SAID[number] if said is None else said)

    @property
    def code(self) -> int:
        """The exit code, following the shells' convention."""
        return 128 + self.number


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within this block SIGINT and SIGTERM raise ``Ended``, so that half-written files are removed.

    A second SIGINT ends the program immediately.
    """
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            os._exit(128 + number)
        elif not received:
            received.append(number)
            raise Ended(number)

    def unraisable(lost: Any) -> None:
        """Python dropped ``Ended`` where nothing may be raised (in a callback, for example): send the signal again."""
        if isinstance(lost.exc_value, Ended):
            received.clear()
            threading.Timer(0.02, os.kill, (os.getpid(), lost.exc_value.number)).start()
        else:
            before(lost)

    before, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        with handled(handle):
            yield
    except Exception as error:  # a library may wrap what interrupts it
        if received:
            raise Ended(received[0]) from error
        raise
    finally:
        sys.unraisablehook = before


class Noted:
    """Within ``noted()``: the first signal received, or ``None``."""

    received: int | None = None


@contextlib.contextmanager
def noted() -> Iterator[Noted]:
    """Within this block the first SIGINT or SIGTERM is only noted; a second SIGINT acts as before."""
    note = Noted()

    def handle(number: int, frame: Any) -> None:
        if note.received is None:
            note.received = number
        elif number == signal.SIGINT:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    with handled(handle) as before:
        yield note


@contextlib.contextmanager
def handled(handler: Handler) -> Iterator[dict[int, Handler]]:
    """Within this block SIGINT and SIGTERM have this handler; yields the previous ones.

    A signal that is ignored (SIGINT in the background of a script) stays so. Python lets only the main thread handle
    signals; in others nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    heard = [number for number in SAID if main and signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {int(number): signal.signal(number, handler) for number in heard}
    try:
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)
