"""The exceptions that users see, and their messages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path


def visible(text: str, keep: str = "") -> str:
    """``text`` with its control characters, with which a terminal can be made to do things, as escapes.

    Args:
        text: any string, such as a label or a file's name.
        keep: control characters that stay, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


class BiomtlError(Exception):
    """An error that the user can fix. The command line prints it in one line and exits with code 2."""


class InputError(BiomtlError):
    """Bad input, reported as ``FILE:LINE: what was found, what was expected, what to do``.

    Args:
        found: what was found, in a few words.
        path: the file (or ``archive.zip/member``) that holds it.
        line: its 1-based line (or row) number.
        expected: what was expected instead.
        fix: what the user can do.
    """

    def __init__(
        self,
        found: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.found, self.path, self.line, self.expected, self.fix = found, path, line, expected, fix
        where = "" if path is None else f"{path}:" if line is None else f"{path}:{line}:"
        pieces = [found, expected and f"expected {expected}", fix]
        text = f"{where} {', '.join(piece for piece in pieces if piece)}".strip()
        # Always one line: control characters from the input would garble a terminal or log.
        super().__init__(visible(text))


DIVERGED = "training diverged"


class DivergenceError(InputError):
    """A run whose loss became infinite or NaN."""


OnError = Callable[[InputError], None]


def fail(error: InputError) -> None:
    """Raise ``error``: the default for bad rows, unless a reader is given a function that only records the error."""
    raise error


def nearest(name: str, known: Iterable[str]) -> str:
    """A ``did you mean …?`` for a misspelled name, or the known names if none is similar."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
