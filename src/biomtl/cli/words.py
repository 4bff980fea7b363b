"""The option ``--words`` of the commands that label raw text."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer


class WordChoice(StrEnum):
    """How taggers cut text into words."""

    model = "model"
    ours = "ours"
    blanks = "blanks"


WORDS: Any = typer.Option(
    "--words",
    help="How taggers cut text: `model`, each as its training corpus; `ours`, punctuation apart; `blanks`.",
)
