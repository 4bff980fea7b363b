"""Devices and sockets are refused as input in one line; the shell's pipes are read."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.storage.files import read_lines

Command = Callable[..., Any]


@pytest.mark.parametrize(
    "words", [["predict", "M", "F"], ["embed", "M", "F", "--out", "O"], ["annotate", "M", "F", "--out", "O"]]
)
def test_commands_refuse_a_device(command: Command, small_model: Path, tmp_path: Path, words: list[str]) -> None:
    names = {"M": str(small_model), "F": "/dev/zero", "O": str(tmp_path / "o.jsonl")}
    ended = command(*(names.get(word, word) for word in words))
    assert ended.code == 2
    assert "/dev/zero: a device" in ended.err
    assert ended.err.count("\n") == 1


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
        with pytest.raises(InputError, match="s: a socket, expected a file"):
            list(read_lines("s"))


def test_the_pipes_of_a_shell_are_read() -> None:
    source, sink = os.pipe()
    os.write(sink, b"pola\nrimu\n")
    os.close(sink)
    try:
        assert [text for _, text in read_lines(f"/dev/fd/{source}")] == ["pola", "rimu"]
    finally:
        os.close(source)
