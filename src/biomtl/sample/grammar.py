"""The small grammar behind the sample suite: templates with choices and slots.

``[one|two|]`` picks one of its alternatives (they nest); ``{slot}`` is filled with a name or word. A digit or letter at
the end distinguishes slots of the same kind: ``{drug}`` and ``{drug2}`` never get the same name within one sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import yaml

from biomtl.sample.names import Lexicon
from biomtl.tasks.task import Split

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"[\w']+|[^\w\s]")  # BLUE's tokens: runs of word characters, single punctuation marks
HELD_OUT_SHARE = 0.4  # of dev and test sentences, written with templates that train never uses


class Piece(NamedTuple):
    """A piece of a sentence and the slot it fills (None for the template's own words)."""

    text: str
    slot: str | None


@cache
def grammar(name: str) -> Any:
    """The templates of ``grammar/<name>.yaml``."""
    file = resources.files("biomtl.sample") / "grammar" / f"{name}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@dataclass
class Writer:
    """Writes the sentences of one split of one task, with its own random stream, names and templates."""

    split: Split
    rng: random.Random
    lexicon: Lexicon
    seen: set[str] = field(default_factory=set)

    def choose(self, options: dict[str, list[Any]]) -> Any:
        """One of ``options["known"]`` or, outside train, sometimes one of ``options["held_out"]``."""
        held_out = self.split != "train" and self.rng.random() < HELD_OUT_SHARE
        return self.rng.choice(options["held_out" if held_out else "known"])

    def pieces(
        self, template: str, kinds: dict[str, str] | None = None, bound: dict[str, str] | None = None
    ) -> list[Piece]:
        """Resolve choices, fill slots, and start with a capital letter.

        Args:
            template: the text with choices and slots.
            kinds: slot -> kind of word, if the slot's name doesn't give it.
            bound: slot -> filling; names chosen here are added, so that a second text can mention the same things.
        """
        while match := _CHOICE.search(template):
            template = template[: match.start()] + self.rng.choice(match[1].split("|")) + template[match.end() :]
        bound = {} if bound is None else bound
        pieces = [Piece(*filled) for filled in self._fill(template, kinds or {}, bound) if filled[0]]
        first = pieces[0]
        return [Piece(first.text[0].upper() + first.text[1:], first.slot), *pieces[1:]]

    def text(self, template: str, bound: dict[str, str] | None = None) -> str:
        """A filled template as plain text."""
        return "".join(piece.text for piece in self.pieces(template, bound=bound))

    def are_new(self, texts: Collection[str]) -> bool:
        """Whether none of ``texts`` has been written for this task before, in any split; records them as written."""
        if len(set(texts)) < len(texts) or not self.seen.isdisjoint(texts):
            return False
        self.seen.update(texts)
        return True

    def _fill(self, template: str, kinds: dict[str, str], bound: dict[str, str]) -> Iterator[tuple[str, str | None]]:
        end = 0
        for match in _SLOT.finditer(template):
            slot = match[1]
            yield template[end : match.start()], None
            yield bound.get(slot) or self._bind(slot, kinds.get(slot, slot.rstrip("0123456789")), bound), slot
            end = match.end()
        yield template[end:], None

    def _bind(self, slot: str, word_class: str, bound: dict[str, str]) -> str:
        free = [word for word in self._words(word_class) if word not in bound.values()]
        bound[slot] = self.rng.choice(free)
        return bound[slot]

    def _words(self, word_class: str) -> Sequence[str]:
        names = {
            "drug": self.lexicon.drugs,
            "disease": self.lexicon.diseases,
            "gene": self.lexicon.genes,
            "label": self.lexicon.labels,
            "problem": (*self.lexicon.diseases, *grammar("words")["symptom"]),
            "treatment": (*self.lexicon.drugs, *grammar("words")["remedy"]),
        }
        return names[word_class] if word_class in names else grammar("words")[word_class]


def tokens(text: str, start: int = 0) -> list[tuple[str, int, int]]:
    """``text`` cut into (token, start, end); offsets count from ``start``."""
    return [(match[0], start + match.start(), start + match.end()) for match in _TOKEN.finditer(text)]
