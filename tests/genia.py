"""Invented sentences whose words hold hyphens, slashes and full stops, as in GENIA and JNLPBA."""

from __future__ import annotations

import random
from typing import Any

NAMES = ("NF-pola B gene", "RI-2/RI-4 receptor", "5'-zalpidine", "vono.1", "c-milo-1", "1,25-dasuol", "p65/p50")
PLAIN = ("binds", "the", "in", "of", "cells", "was", "0.5", "2,500", "shown")
ENDS = ((".",), (",", "by", "day", "3", "."), ("(", "n", "=", "12", ")", "."), ("[", "vs.", "rimu", "]", "."))


def tokens(rng: random.Random) -> tuple[list[str], list[str]]:
    """The tokens and tags of a sentence."""
    words: list[str] = []
    tags: list[str] = []
    for _ in range(rng.randint(1, 3)):
        before = rng.choices(PLAIN, k=rng.randint(1, 3))
        name = rng.choice(NAMES).split()
        words += [*before, *name]
        tags += ["O"] * len(before) + ["B-Gene", *["I-Gene"] * (len(name) - 1)]
    end = rng.choice(ENDS)
    return [*words, *end], [*tags, *["O"] * len(end)]


def printed(words: list[str]) -> tuple[str, list[list[int]]]:
    """The sentence as it is printed, and where its tokens are."""
    text, offsets = "", []
    for word in words:
        tight = not text or word[0] in ".,)]" or text[-1] in "(["
        start = len(text) + (not tight)
        text = f"{text}{'' if tight else ' '}{word}"
        offsets.append([start, start + len(word)])
    return text, offsets


def records(count: int, seed: int = 0, *, joined: bool = True) -> list[dict[str, Any]]:
    """Tagging records: tokens joined by blanks, as a file of tokens has them, or with offsets in their text."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        words, tags = tokens(rng)
        offsets = printed(words)[1]
        if joined:
            starts = [sum(len(word) + 1 for word in words[:i]) for i in range(len(words))]
            offsets = [[start, start + len(word)] for start, word in zip(starts, words, strict=True)]
        row = {"id": f"g{number}", "doc_id": f"g{number}", "tokens": words, "offsets": offsets, "tags": tags}
        rows.append(row)
    return rows
