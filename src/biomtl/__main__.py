"""``python -m biomtl``, and what the installed commands run: a signal is heeded before the imports are done."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


def main() -> None:
    """The command ``biomtl``."""
    open_streams()
    leave_quietly()
    from biomtl.cli.main import main

    main()


def elmoft() -> None:
    """The command ``elmoft``: ``biomtl elmo`` by its old name."""
    open_streams()
    leave_quietly()
    from biomtl.cli.main import elmoft

    elmoft()


def open_streams() -> None:
    """Give a closed standard stream (``biomtl … >&-``) a place: else the next file opened is taken for it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def leave_quietly() -> None:
    """End at once, in a line, when a signal comes: nothing is written yet, and imports can't be interrupted cleanly."""

    def leave(number: int, frame: Any) -> None:
        os.write(2, b"biomtl: interrupted\n" if number == signal.SIGINT else b"biomtl: terminated\n")
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


if __name__ == "__main__":
    main()
