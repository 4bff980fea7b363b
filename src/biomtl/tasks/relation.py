"""The arguments of a relation task: which pairs of mentions it classifies, and how they are shown to an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Unit = Literal["sentence", "joined-sentences", "passage", "document"]
MaskOrder = Literal["arguments", "text"]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


Types = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), AfterValidator(_lower)]


class RelationArguments(BaseModel):
    """The pairs of mentions that a relation task classifies.

    Types of mentions are compared in lower case. ``types`` translates other names for them, such as those of a tagger
    of the same model, into those of ``first`` and ``second``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: Types = Field(min_length=1, description="types of mentions that may be a relation's first argument")
    second: Types = Field(min_length=1, description="the same for the second argument")
    directed: bool = Field(
        True, description="whether (a, b) and (b, a) are different pairs, if both types may be either argument"
    )
    types: dict[str, str] = Field(
        default_factory=dict, description="other names of these types, such as those of taggers: `Chemical: drug`"
    )
    unit: Unit = Field(
        "sentence",
        description="the text that holds both arguments: a sentence, a passage (or a paragraph), the document; "
        "`joined-sentences` are merged as in BLUE's converter",
    )
    window: int | None = Field(
        None, gt=0, description="under `unit: document`, most words between the two arguments; default no limit"
    )
    ascii: bool = Field(False, description="whether the `mask` view turns the text into plain ASCII first")
    masks: tuple[str, str] = Field(
        ("@{first}$", "@{second}$"),
        description="placeholders of the `mask` view; {first} and {second} stand for the mentions' types",
    )
    overlapping: str = Field("@{first}-{second}$", description="placeholder of two mentions that overlap")
    mask_order: MaskOrder | None = Field(
        None,
        description="which mention the first of `masks` stands for: the first argument (`arguments`, the default of "
        "own tasks), or the one that comes first in the text (`text`, as in BLUE)",
    )

    @model_validator(mode="after")
    def _consistent(self) -> RelationArguments:
        for name, target in self.types.items():
            if target.lower() not in (*self.first, *self.second):
                known = ", ".join(self.names())
                raise ValueError(f"types: {name!r} stands for {target!r}, which is neither argument's type ({known})")
        if self.window is not None and self.unit != "document":
            raise ValueError(f"window {self.window} with unit {self.unit!r}, write `unit: document`")
        return self

    @property
    def same(self) -> bool:
        """Whether either mention may be either argument."""
        return set(self.first) == set(self.second)

    def fits(self, first: str, second: str) -> bool:
        """Whether mentions of these types may be a relation's first and second argument."""
        return self.type_of(first) in self.first and self.type_of(second) in self.second

    def missing(self, types: Iterable[str]) -> tuple[str, ...]:
        """The types of an argument that no mention of these types can be; empty if there is one for both."""
        there = {self.type_of(mention_type) for mention_type in types}
        return next((side for side in (self.first, self.second) if there.isdisjoint(side)), ())

    def names(self) -> tuple[str, ...]:
        """The types of both arguments, each once."""
        return tuple(dict.fromkeys((*self.first, *self.second)))

    def type_of(self, mention_type: str) -> str:
        """The task's name for a mention's type, in lower case."""
        name = mention_type.lower()
        return self._translations().get(name, name)

    def accepted(self) -> Iterator[str]:
        """Every name of a type that a mention may have, in lower case."""
        yield from self.names()
        yield from self._translations()

    def _translations(self) -> dict[str, str]:
        return {name.lower(): target.lower() for name, target in self.types.items()}
