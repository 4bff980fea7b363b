"""A failed write gives a one-line error that names the output, whichever library made it, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
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


def test_other_errors_are_unchanged(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "out", "convert"):
            raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        write()


@pytest.mark.parametrize("inner", ["", "config.json", "heads/a/head.json"])
def test_a_part_of_the_output_is_named_by_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    """Never a temporary name, which is gone when the message is read, whether names are relative or absolute."""
    monkeypatch.chdir(tmp_path)

    def write() -> None:
        with atomic_folder("out", "convert") as work:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.path.abspath(work / inner))

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert caught.value.filename == "out"


def test_other_files_keep_their_names(tmp_path: Path) -> None:
    def read() -> None:
        with atomic_folder(tmp_path / "out", "convert"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(tmp_path / "in"))

    with pytest.raises(FileNotFoundError) as caught:
        read()
    assert caught.value.filename == str(tmp_path / "in")


def test_no_room_for_another_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without room for another file name."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / ".out.biomtl-abcdefgh.tmp"))

    monkeypatch.setattr("tempfile.mkdtemp", full)
    monkeypatch.setattr("tempfile.mkstemp", full)
    for form in (lambda: atomic_folder(tmp_path / "out", "convert"), lambda: atomic_file(tmp_path / "out")):
        with pytest.raises(OSError, match="No space left") as caught, form():
            pass
        assert caught.value.filename == str(tmp_path / "out")
