"""Which copy of a distribution to read when a folder holds several."""

from __future__ import annotations

from collections.abc import Iterable

from biomtl.corpora.source import Source
from biomtl.errors import InputError


def one_copy(source: Source, candidates: Iterable[str], what: str) -> str:
    """The one of ``candidates`` (file or folder names) to read: an unpacked copy is preferred to one in an archive.

    Raises:
        InputError: none, or several of the same kind, because a silent choice might be wrong.
    """
    names = sorted(set(candidates))
    names = [name for name in names if ".zip/" not in name.lower()] or names
    if not names:
        raise InputError(f"no {what}", path=source.path, fix="is the distribution complete?")
    if len(names) > 1:
        copies = f"{len(names)} copies of {what}: {names[0]!r} and {names[1]!r}"
        raise InputError(copies, path=source.path, expected="one", fix="give the folder that holds only one of them")
    return names[0]
