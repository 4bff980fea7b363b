"""All corpus readers: the entry points of the group ``biomtl.corpora``, ours and those of other packages."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from biomtl.corpora.reader import Reader
from biomtl.errors import InputError

GROUP = "biomtl.corpora"


@cache
def readers() -> tuple[Reader, ...]:
    """An instance of every reader, in order of preference: the first that finds a task's training data reads it.

    Raises:
        InputError: no reader at all, which means that the package was not installed (again) from its source tree.
    """
    instances = [entry.load()() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    if not instances:
        raise InputError(f"no entry point of the group {GROUP}", fix="install biomtl again (pip install -e .)")
    return tuple(sorted(instances, key=lambda reader: reader.preference))
