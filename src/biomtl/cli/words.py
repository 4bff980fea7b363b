"""The option ``--words`` of the commands that label raw text."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer


class WordChoice(StrEnum):
    """How taggers split text into words."""

    model = "model"
    ours = "ours"
    blanks = "blanks"


WORDS: Any = typer.Option(
    "--words",
    help="How taggers split text: `model` (as in each training corpus), `ours` (punctuation split off) or `blanks`.",
)
