"""The console for tables."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from biomtl.errors import visible

PIPED = 160  # columns: without a terminal rich assumes 80 and folds names and addresses


class PlainConsole(Console):
    """A console on which a user's strings (labels, task names, file names) are shown as they are.

    They are neither taken for markup, such as ``[/bold]``, nor for emoji codes; control characters, with which a
    terminal can be made to do things, are shown as escapes.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """The string as text of one style; its line ends stay."""
        return super().render_str(visible(text, keep="\n"), **settings)


def table_console() -> Console:
    """Standard output, as wide as the terminal; a file or pipe has a fixed width (or that of ``COLUMNS``)."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return PlainConsole(width=PIPED if piped else None)
