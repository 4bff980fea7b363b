"""Beginnings of the old program's flags, which its parser accepted when only one flag begins so."""

from __future__ import annotations

from collections.abc import Sequence

from biomtl.elmoft.flags import NEW
from biomtl.errors import InputError


def in_full(words: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The command line with every ``--beginning`` replaced by its flag.

    The old program's flags come first, so that its command lines keep their meaning. What no flag begins with is left
    to the parser, which refuses it.

    Args:
        words: the command line.
        flags: the names of all flags that begin with ``--``.

    Raises:
        InputError: several flags begin so.
    """
    new = {f"--{name}" for name in NEW}
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]]
        name, equals, value = word.partition("=")
        if name.startswith("--") and name not in flags:
            begun = [flag for flag in flags if flag.startswith(name)]
            meant = [flag for flag in begun if flag not in new] or begun
            if len(meant) > 1:
                raise InputError(f"flag {name}", expected=f"one of {', '.join(sorted(meant))}", fix="write it in full")
            name = meant[0] if meant else name
        found.append(name + equals + value)
    return found
