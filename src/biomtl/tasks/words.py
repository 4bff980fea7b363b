"""The record of how a tagging task's corpus cuts text into words; `biomtl.text.word_rules` learns and applies it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

WordChoice = Literal["model", "ours", "blanks"]
"""What cuts a text: each task's own rule, or one rule for all tasks."""


class WordRule(BaseModel):
    """How a corpus cuts its text into words.

    ``blanks``: at blanks alone. ``ours``: `biomtl.text.words`, every visible character that is no letter or digit
    a word of its own. ``corpus``: at blanks, and between two neighbouring characters as the corpus itself does.

    A pattern shows the characters around a place, which is marked by ``|``: ``a`` is a letter, ``0`` a digit, a blank
    the edge of what blanks enclose, anything else is itself. ``a|-`` is a letter before a hyphen, ``00|,0`` two digits
    before a comma and a digit. The longest pattern that fits decides. Where none fits, two letters or digits stay
    together and anything else is split. An abbreviation keeps its full stop, whatever the patterns say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["ours", "blanks", "corpus"] = "ours"
    split: tuple[str, ...] = Field((), description="places between two words")
    join: tuple[str, ...] = Field((), description="places inside a word")
    abbreviations: tuple[str, ...] = Field((), description="words that keep their full stop, such as `vs.`")
    agreement: dict[str, float] = Field(
        default_factory=dict, description="rule -> share of the training tokens that it reproduces"
    )
