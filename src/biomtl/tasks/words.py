"""How a tagging task's corpus splits text into words; `biomtl.text.word_rules` learns and applies the rule."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

WordChoice = Literal["model", "ours", "blanks"]
"""The rule that splits a text: each task's own, or one for all tasks."""


class WordRule(BaseModel):
    """How a corpus splits its text into words.

    ``blanks``: at blanks only. ``ours``: `biomtl.text.words`, where every visible character other than letters and
    digits is a word of its own. ``corpus``: at blanks, and between two characters wherever the corpus does so.

    A pattern shows the characters around a position, which is marked by ``|``: ``a`` is a letter, ``0`` a digit, a
    blank the beginning or end of a chunk between blanks, and anything else itself. ``a|-`` is a letter before a hyphen,
    ``00|,0`` two digits before a comma and a digit. The longest matching pattern decides. If none matches, two letters
    or digits stay together and anything else is split. An abbreviation keeps its full stop, whatever the patterns say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["ours", "blanks", "corpus"] = "ours"
    split: tuple[str, ...] = Field((), description="places between two words")
    join: tuple[str, ...] = Field((), description="places inside a word")
    abbreviations: tuple[str, ...] = Field((), description="words that keep their full stop, such as `vs.`")
    agreement: dict[str, float] = Field(
        default_factory=dict, description="rule -> share of the training tokens that it reproduces"
    )
