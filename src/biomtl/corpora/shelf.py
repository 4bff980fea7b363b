"""Strings kept in a temporary file, so that what must be known of every file and row takes no memory."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator

from biomtl.errors import BiomtlError

CACHE = 512  # KiB of the file that are kept in memory; with more, ids in random order go in no faster


class Shelf:
    """A sorted map of strings to strings on disk, in a nameless file that is gone with the object.

    Raises:
        BiomtlError: by every method, if the system's folder for temporary files can't be written or is full.
    """

    def __init__(self) -> None:
        # The collector may let go of a shelf in another thread than the one that used it.
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, connection.close)
        self._connection = connection
        for statement in (
            f"PRAGMA cache_size = -{CACHE}",
            "PRAGMA journal_mode = OFF",
            "CREATE TABLE shelf (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID",
            "BEGIN",  # never ended: nothing has to be safe from a crash
        ):
            self._run(statement)

    def add(self, key: str, value: str = "") -> bool:
        """Put a string in, unless there is one under that key; says whether there was none."""
        return self._run("INSERT OR IGNORE INTO shelf VALUES (?, ?)", key, value).rowcount > 0

    def get(self, key: str) -> str | None:
        """The string under a key."""
        found = self._run("SELECT value FROM shelf WHERE key = ?", key).fetchone()
        return None if found is None else _text(found[0])

    def items(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """(Key, string) of all keys that begin with ``prefix``, in the order of the keys."""
        begin = _bytes(prefix)
        for key, value in self._run("SELECT key, value FROM shelf WHERE key >= ? ORDER BY key", prefix):
            if not key.startswith(begin):
                return
            yield _text(key), _text(value)

    def __iter__(self) -> Iterator[str]:
        for (key,) in self._run("SELECT key FROM shelf ORDER BY key"):
            yield _text(key)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        count: int = self._run("SELECT count(*) FROM shelf").fetchone()[0]
        return count

    def _run(self, statement: str, *strings: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, tuple(map(_bytes, strings)))
        except sqlite3.Error as error:
            raise BiomtlError(f"the folder for temporary files (TMPDIR) can't be used: {error}") from error


# As bytes, strings sort as they do in Python; file names may hold halves of surrogate pairs.
def _bytes(string: str) -> bytes:
    return string.encode("utf-8", "surrogatepass")


def _text(string: bytes) -> str:
    return string.decode("utf-8", "surrogatepass")
