"""A user's strings are shown as they are: never markup, never a terminal's escape codes."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from biomtl.report.console import PlainConsole


@pytest.mark.parametrize("text", ["[/bold]", "[red]x", "[link=http://x]y[/link]", ":smile:", "a[1]"])
def test_no_markup(text: str) -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, width=80)
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    console.print(text)
    console.print(table)
    assert stream.getvalue().count(text) == 5


def test_no_escape_codes() -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, width=80, force_terminal=True, color_system=None)
    table = Table("label")
    table.add_row("\x1b[2J\x07\x9b31m")
    console.print(table)
    console.print("\x1b]0;title\x07")
    assert not any(character in stream.getvalue() for character in "\x1b\x07\x9b")
    assert "\\x1b[2J\\x07\\x9b31m" in stream.getvalue()
