"""Records of papers: which recipe is theirs, what it needs, and which figures are to be expected."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from biomtl.errors import InputError, nearest
from biomtl.storage.structured import read_yaml, validated

FOLDER = Path(__file__).parent / "papers"


class Strict(BaseModel):
    """A frozen part of a record without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Expected(Strict):
    """A published figure that isn't a task's score.

    Attributes:
        value: the figure, in points for a gain.
        tolerance: how far ours may be from it.
        source: where it was published.
    """

    value: float
    tolerance: float = Field(ge=0)
    source: str


class Gain(Expected):
    """The mean gain of a stage over another."""

    stage: Literal["alone", "joint", "each"]
    over: Literal["alone", "joint", "each"]


class Variant(Strict):
    """What is run under one name of ``--group``, or without it.

    Attributes:
        keys: recipe keys on top of the paper's.
        systems: published systems by the encoder's hub name; the first encoder is the paper's own.
        gain: the expected gain of a stage.
        pairs_that_gain: the expected number of ordered pairs of tasks in which the first gains from the second.
    """

    keys: dict[str, Any] = Field(default_factory=dict)
    systems: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gain: Gain | None = None
    pairs_that_gain: Expected | None = None


class Paper(Strict):
    """A paper's record, a YAML file in ``papers/``.

    Attributes:
        title: what is reproduced.
        citation: the paper.
        recipe: the packaged recipe.
        study: ``stages`` of the recipe, or all pairs of its tasks.
        keys: recipe keys that differ from the recipe.
        alone_as: the stage whose keys single-task runs get, if the paper compares with such.
        weights: which encoder the user brings, and where it is found.
        elmo: whether the encoder is a biLM.
        any_encoder: whether an encoder of another name is as good, so that nothing is expected of it unless named.
        parameters: of the encoder without its embeddings, for the cost where there is no encoder to be timed.
        tolerance: points by task within which a score counts as expected.
        differences: how our protocol differs from the paper's.
        variants: by name; ``all`` is the default.
    """

    title: str
    citation: str
    recipe: str
    study: Literal["stages", "pairs"] = "stages"
    keys: dict[str, Any] = Field(default_factory=dict)
    alone_as: Literal["each"] | None = None
    weights: str
    elmo: bool = False
    any_encoder: bool = False
    parameters: int
    tolerance: dict[str, float] = Field(default_factory=dict)
    differences: tuple[str, ...] = ()
    variants: dict[str, Variant]


@cache
def papers() -> dict[str, Paper]:
    """All records, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        value, _ = read_yaml(path)
        found[path.stem] = validated(Paper, value, path, "a paper's record")
    return found


def get_paper(name: str) -> Paper:
    """A paper by name.

    Raises:
        InputError: unknown name; the message suggests the nearest.
    """
    if name not in papers():
        raise InputError(f"nothing to reproduce named {name!r}", fix=nearest(name, papers()))
    return papers()[name]


def get_variant(name: str, group: str | None) -> Variant:
    """A variant of a paper.

    Raises:
        InputError: the paper has no such group, or none at all.
    """
    variants = get_paper(name).variants
    if group is not None and len(variants) == 1:
        raise InputError(f"--group {group}: {name} has no groups", fix="leave it out, or choose tasks with --tasks")
    if (chosen := group or "all") not in variants:
        raise InputError(f"--group {chosen}", fix=nearest(chosen, variants))
    return variants[chosen]
