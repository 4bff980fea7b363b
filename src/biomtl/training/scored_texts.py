"""Texts that a run is scored on, looked for in other text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from biomtl.audit.overlap import FEWEST_WORDS, comparable, normal
from biomtl.suite import Suite
from biomtl.tasks.task import Split
from biomtl.training.recipe import Recipe
from biomtl.training.splits import training_splits

Words = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A scored text inside other text.

    Attributes:
        task: its task.
        split: its split.
        words: its words, as they are compared.
        line: the line in which it begins.
    """

    task: str
    split: Split
    words: Words
    line: int


class ScoredTexts:
    """The texts of all splits that aren't trained on, found inside longer text by their words.

    Args:
        suite: the tasks' records.
        recipe: says which splits are trained on.
    """

    def __init__(self, suite: Suite, recipe: Recipe) -> None:
        self.places: dict[Words, dict[Words, tuple[str, Split]]] = {}  # by the first words, none of them has fewer
        trained = training_splits(recipe)
        for name, entry in suite.data.items():
            for split in entry.files:
                if split not in trained:
                    for words in _all(entry.records(split)):
                        self.places.setdefault(words[:FEWEST_WORDS], {}).setdefault(words, (name, split))

    def first_in(self, lines: Iterable[tuple[int, str]]) -> Found | None:
        """The first scored text that is complete, also one that continues over several lines.

        Args:
            lines: numbered lines of one text or corpus.
        """
        begun: list[tuple[Found, Words]] = []  # with the words that haven't come yet
        recent: list[tuple[str, int]] = []  # the last words with their lines: too few to look a text up by
        for number, line in lines:
            words = normal(line)
            begun = [(found, rest[len(words) :]) for found, rest in begun if rest[: len(words)] == words[: len(rest)]]
            numbered = [*recent, *((word, number) for word in words)]
            begun += self._beginning(numbered)
            for found, rest in begun:
                if not rest:
                    return found
            recent = numbered[-(FEWEST_WORDS - 1) :]
        return None

    def _beginning(self, numbered: list[tuple[str, int]]) -> Iterator[tuple[Found, Words]]:
        """Scored texts that begin here and agree up to their end or that of the words, and what they lack."""
        words = tuple(word for word, _ in numbered)
        for start in range(len(words) - FEWEST_WORDS + 1):
            for scored, place in self.places.get(words[start : start + FEWEST_WORDS], {}).items():
                here = words[start : start + len(scored)]
                if here == scored[: len(here)]:
                    yield Found(*place, scored, numbered[start][1]), scored[len(here) :]


def _all(records: Iterable[Mapping[str, object]]) -> Iterator[Words]:
    for record in records:
        yield from comparable(record)
