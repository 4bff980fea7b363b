"""The forms in which commands show a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from rich.console import RenderableType

from biomtl.cli.say import say, say_json
from biomtl.report.console import table_console


class Form(StrEnum):
    """A table for the terminal, or a format."""

    table = "table"
    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"


class Shown(Protocol):
    """What can be shown."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        ...


T = TypeVar("T", bound=Shown)


def show(
    found: T, to: Form, console: Callable[[T], RenderableType], formats: Mapping[Form, Callable[[T], str]]
) -> None:
    """Print a result in one of the forms.

    Args:
        found: the result.
        to: the form.
        console: makes the table for the terminal.
        formats: make the text of every other form but JSON.
    """
    if to is Form.table:
        table_console().print(console(found))
    elif to is Form.json:
        say_json(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
    else:
        say(formats[to](found).rstrip("\n"))
