"""A write that fails is one line with the output's name, whichever library made it, and leaves nothing behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.storage.files import atomic_file, atomic_folder

FAILURES = {
    "tokenizers": Exception("No space left on device (os error 28)"),
    "safetensors": RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    "h5py": RuntimeError("Unable to write (file write failed: time = x, errno = 28, error message = 'No space')"),
    "python": OSError(errno.ENOSPC, "No space left on device"),
}


@pytest.mark.parametrize("library", FAILURES)
@pytest.mark.parametrize("form", [lambda path: atomic_folder(path, "convert"), atomic_file])
def test_the_output_is_named(tmp_path: Path, library: str, form: Callable[[Path], Any]) -> None:
    def write() -> None:
        with form(tmp_path / "out"):
            raise FAILURES[library]

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "out", "convert"):
            raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        write()
