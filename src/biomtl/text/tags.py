"""Tags of words: their schemes, and the chunks that they mark."""

from __future__ import annotations

from collections.abc import Sequence

Chunk = tuple[int, int, str]  # first token, token after the last, type


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Tags of IOB1, IOB2, IOBES or BILOU as IOB2."""
    result = []
    inside: str | None = None  # the type of the mention that may go on
    for tag in tags:
        prefix, dash, name = tag.partition("-")
        if prefix == "O":
            result.append("O")
            inside = None
            continue
        begins = prefix in "BSU" or inside != name
        result.append(("B" if begins else "I") + dash + name)
        inside = None if prefix in "ESLU" else name
    return result


def parse_tag(tag: str) -> tuple[str, str]:
    """``B-Chemical`` is (``B``, ``Chemical``), ``B`` is (``B``, ``""``); everything after the first ``-`` is type."""
    prefix, _, mention_type = tag.partition("-")
    return prefix, mention_type


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """The chunks of one sentence as the CoNLL-2000 script ``conlleval`` counts them.

    A chunk starts at ``B`` (or ``S``), at ``I`` (or ``E``) after ``O``, ``E``, ``S`` or the sentence start, and where
    the type changes; so ``I`` after ``O`` opens a chunk, and ``B-X I-Y`` are two. The sentence's end closes a chunk.
    """
    closed: list[Chunk] = []
    start = -1
    before, type_before = "O", ""
    for at, tag in enumerate(tags):
        if tag == before == "O" and not type_before:  # as most words are, and nothing changes
            continue
        prefix, chunk_type = parse_tag(tag)
        changed = chunk_type != type_before
        begins = (
            prefix in ("B", "S")
            or (prefix in ("I", "E") and before in ("O", "E", "S"))
            or (changed and prefix not in ("O", "."))
        )
        ends = (
            before in ("E", "S")
            or (before in ("B", "I") and prefix in ("B", "S", "O"))
            or (changed and before not in ("O", "."))
        )
        if start >= 0 and (begins or ends):
            closed.append((start, at, type_before))
            start = -1
        if begins:
            start = at
        before, type_before = prefix, chunk_type
    if start >= 0:
        closed.append((start, len(tags), type_before))
    return closed
