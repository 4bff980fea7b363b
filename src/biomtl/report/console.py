"""Where tables are printed."""

from __future__ import annotations

import os
import sys

from rich.console import Console

PIPED = 160  # columns: rich takes 80 where there is no terminal, and folds names and addresses that nobody asked it to


def table_console() -> Console:
    """Standard output, as wide as the terminal; a file or a pipe has no edge (``COLUMNS`` gives it one)."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPED if piped else None)
