"""The interface of views: what an encoder reads of a pair of mentions, and which positions stand for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.relation import RelationArguments
from biomtl.text.base import EncodedRow, Span, TextInput


@dataclass(frozen=True, slots=True)
class Argument:
    """A mention of a record: its type, in the task's own words, and its characters of the text."""

    type: str
    span: Span


@dataclass(frozen=True, slots=True)
class Pair:
    """Two mentions of a text, as a task's records have them."""

    text: str
    first: Argument
    second: Argument
    relation: RelationArguments

    @classmethod
    def of(cls, record: Mapping[str, Any], relation: RelationArguments) -> Pair:
        """The pair of a record with two ``entities``, first argument first.

        Where order means nothing, it is that of the text, as in pairs of documents.
        """
        first, second = (
            Argument(relation.type_of(entity["type"]), (entity["start"], entity["end"]))
            for entity in record["entities"]
        )
        if not relation.directed and second.span < first.span and relation.fits(second.type, first.type):
            first, second = second, first
        return cls(record["text"], first, second, relation)


class View(ABC):
    """One way to show a pair of mentions to an encoder."""

    name: ClassVar[str]
    shared: ClassVar[bool] = False
    """Whether pairs are read from the states of the text as it stands, however they came to be asked about."""
    typed: ClassVar[bool] = False
    """Whether the head has a vector for each type of mention, by its place among the task's."""
    markers: ClassVar[tuple[int, ...]] = ()
    """Which of the ``positions`` have a marker of the pair's own beside the text, those of the first mention first."""

    @property
    def one_row(self) -> bool:
        """Whether all pairs of a text are read from the same row of the encoder."""
        return self.shared or bool(self.markers)

    @abstractmethod
    def text(self, pair: Pair) -> TextInput:
        """The encoder's input for a pair."""

    def positions(self, pair: Pair, rows: Sequence[EncodedRow]) -> NDArray[np.int32] | None:
        """``[1, k, 2]``: row and position of the pieces that stand for the pair; ``None`` if the whole text does."""
        return None

    def places(self, pair: Pair, rows: Sequence[EncodedRow]) -> NDArray[np.int32] | None:
        """``[1, k, 2]``: row and position of what shows the mentions, where the whole text stands for the pair."""
        return None

    def features(self, pair: Pair) -> NDArray[np.int64] | None:
        """``[1, n]`` numbers that the head reads besides; ``None`` if there are none."""
        return None
