"""Mentions as tags, and policies for mentions that one tag per token can't express.

Three kinds of mention are special: *discontinuous* (two or more pieces), *nested* (all its characters are inside
another mention; of two equal ones, the later) and *overlapping* (shares characters with another, neither inside the
other). A named policy decides what happens to them:

- ``keep``: as in BLUE. Every mention is tagged, in the corpus's order; its first token is ``B``, all further tokens of
  all pieces are ``I``, even after an ``O``; a later mention overwrites an earlier one. Nothing is added, but
  scorers that read chunks (conlleval) see each further piece as a separate chunk.
- ``flatten``: one mention, one chunk. A discontinuous mention becomes its full extent, from its first start to its last
  end; of mentions that then share a character the longest is kept (the first of equally long ones), others are dropped.
- ``refuse``: an error names the first such mention.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from biomtl.errors import InputError, nearest
from biomtl.formats.model import Document, Mention, Span
from biomtl.text.concepts import concepts_of

Policy = Literal["keep", "flatten", "refuse"]


def check_policy(policy: str) -> None:
    """Refuse an unknown policy."""
    if policy not in get_args(Policy):
        raise InputError(f"mention policy {policy!r}", fix=nearest(policy, get_args(Policy)))


def apply_policy(document: Document, policy: str, where: str | Path) -> tuple[Document, Counter[str]]:
    """The document after applying the policy, and counts of its special mentions.

    Returns:
        The document and counts under ``mentions``, ``discontinuous``, ``nested``, ``overlapping``, ``dropped`` and
        ``dropped relations`` (relations that lost an argument); the cases are counted before the policy is applied.

    Raises:
        InputError: an unknown policy, or ``refuse`` and a special mention.
    """
    check_policy(policy)
    cases = special(document.mentions)
    counts = Counter(case for names in cases.values() for case in names)
    counts["mentions"] = len(document.mentions)
    if policy == "keep" or not cases:
        return document, counts
    if policy == "refuse":
        mention = document.mentions[min(cases)]
        problem = (
            f"document {document.id}: mention {mention.id} {mention.text[:60]!r} is {' and '.join(cases[min(cases)])}"
        )
        raise InputError(problem, path=where, fix="choose the mention policy 'keep' or 'flatten'")
    mentions = _flatten(document)
    lost = _named(document.mentions) - _named(mentions)
    relations = tuple(r for r in document.relations if not any(_is_lost(value, lost) for _, value in r.arguments))
    counts["dropped"] = len(document.mentions) - len(mentions)
    counts["dropped relations"] = len(document.relations) - len(relations)
    return replace(document, mentions=mentions, relations=relations), counts


def _named(mentions: Sequence[Mention]) -> set[str]:
    """What relations may call these mentions: their ids and concepts."""
    return {name for mention in mentions for name in (mention.id, *concepts_of(mention.identifiers))}


def _is_lost(argument: str, lost: set[str]) -> bool:
    return argument in lost or not lost.isdisjoint(concepts_of([argument]))


def special(mentions: Sequence[Mention]) -> dict[int, list[str]]:
    """Index of every special mention -> its cases: ``discontinuous``, ``nested``, ``overlapping``."""
    nested: set[int] = set()
    overlapping: set[int] = set()
    active: list[int] = []
    for i in sorted(range(len(mentions)), key=lambda i: (mentions[i].start, -mentions[i].end, i)):
        active = [j for j in active if mentions[j].end > mentions[i].start]
        for j in active:
            if _inside(mentions[i], mentions[j]):
                nested.add(i)
            elif _inside(mentions[j], mentions[i]):
                nested.add(j)
            elif _share(mentions[i], mentions[j]):
                overlapping |= {i, j}
        active.append(i)
    pieces = {i for i, mention in enumerate(mentions) if len(mention.spans) > 1}
    cases = {"discontinuous": pieces, "nested": nested, "overlapping": overlapping}
    return {i: [case for case, indices in cases.items() if i in indices] for i in sorted(pieces | nested | overlapping)}


def _inside(inner: Mention, outer: Mention) -> bool:
    return all(any(s <= start and end <= e for s, e in outer.spans) for start, end in inner.spans)


def _share(one: Mention, other: Mention) -> bool:
    return any(start < e and s < end for start, end in one.spans for s, e in other.spans)


def _flatten(document: Document) -> tuple[Mention, ...]:
    extents = [(mention.start, mention.end) for mention in document.mentions]
    kept: list[tuple[int, int, int]] = []  # sorted and disjoint, so the two neighbours decide
    for i in sorted(range(len(extents)), key=lambda i: (extents[i][0] - extents[i][1], extents[i][0], i)):
        start, end = extents[i]
        at = bisect_left(kept, (start, end, i))
        if (at == 0 or kept[at - 1][1] <= start) and (at == len(kept) or kept[at][0] >= end):
            insort(kept, (start, end, i))
    return tuple(
        replace(document.mentions[i], spans=(extents[i],), text=document.text[slice(*extents[i])])
        for i in sorted(i for _, _, i in kept)
    )


def iob_tags(
    offsets: Sequence[Span], mentions: Sequence[Mention], where: str | Path, *, typed: bool = True
) -> list[str]:
    """One tag per token of a document: ``O``, ``B-Type``, ``I-Type`` (or ``B``, ``I``).

    A mention's tokens are those completely inside one of its pieces, or containing one (BLUE's rule); if there are
    none, those that it overlaps. Later mentions overwrite earlier ones.

    Args:
        offsets: start and end (exclusive) of each token, in text order, not overlapping.
        mentions: in the corpus's order, after `apply_policy`.
        where: the file's name for errors.
        typed: whether the mention's type is part of the tag.

    Raises:
        InputError: a mention that overlaps no token.
    """
    tags = ["O"] * len(offsets)
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    for mention in mentions:
        tokens = [i for span in mention.spans for i in _tokens(span, starts, ends, whole=True)]
        tokens = tokens or [i for span in mention.spans for i in _tokens(span, starts, ends, whole=False)]
        if not tokens:
            problem = f"mention {mention.id} {mention.text[:60]!r} at {mention.start} covers no token"
            raise InputError(problem, path=where, fix="check its offsets")
        suffix = f"-{mention.type}" if typed and mention.type else ""
        for i in tokens:
            tags[i] = ("B" if i == tokens[0] else "I") + suffix
    return tags


def _tokens(span: Span, starts: list[int], ends: list[int], *, whole: bool) -> list[int]:
    """Tokens that overlap ``span``; if ``whole``, only those inside it or containing it."""
    start, end = span
    first = bisect_left(ends, start + 1)
    last = bisect_left(starts, end)
    if not whole:
        return list(range(first, last))
    return [
        i
        for i in range(first, last)
        if (start <= starts[i] and ends[i] <= end) or (starts[i] <= start and end <= ends[i])
    ]


class CountedRecord(dict[str, Any]):
    """A tagging record with its document's counts from `apply_policy`, for the counts table.

    Only the first record of a document has them.
    """

    def __init__(self, cases: Mapping[str, int], **fields: Any) -> None:
        super().__init__(**fields)
        self.cases = cases
