"""Devices, sockets and named pipes are refused as input in one line; the shell's pipes are read."""

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


COMMANDS = (
    "predict MODEL IN",
    "predict MODEL IN --out OUT",
    "embed MODEL IN --out OUT",
    "annotate MODEL IN --out OUT",
    "annotate MODEL IN --out OUT --from text",
    "check IN --type classification",
    "score GOLD IN --task hoc",
    "score IN GOLD --task hoc",
    "prepare IN --out OUT",
    "train IN",
    "train RECIPE",
    "audit IN",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_waits_for_a_pipe_or_reads_a_device(
    command: Command, small_model: Path, tmp_path: Path, line: str
) -> None:
    os.mkfifo(tmp_path / "in.tsv")
    recipe, gold = tmp_path / "recipe.yaml", tmp_path / "gold.jsonl"
    gold.write_text('{"id": "1", "text": "pola", "labels": []}\n')
    names = {"MODEL": small_model, "OUT": tmp_path / "out.jsonl", "RECIPE": recipe, "GOLD": gold}
    for source, what in (("/dev/zero", "a device"), (str(tmp_path / "in.tsv"), "a pipe")):
        recipe.write_text(
            f"output: {tmp_path / 'run'}\ntasks:\n  own: {{type: classification, files: {{train: {source}}}}}\n"
        )
        ended = command(*(str(names.get(word, word.replace("IN", source))) for word in line.split()))
        assert ended.code == 2
        assert f"{source}: {what}, expected a file" in ended.err
        assert ended.err.count("\n") == 1


def test_a_socket_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
