"""Entity metrics: conlleval's chunks in sentences, and BLUE's exact spans in documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from biomtl.scoring.labels import LabelCounts, count_sets
from biomtl.scoring.measure import Floats, Ints
from biomtl.text.tags import chunks, parse_tag


@dataclass(frozen=True)
class EntityKey:
    """What must match for a mention to be right: document, type and character spans (several if discontinuous)."""

    doc_id: str
    type: str
    spans: tuple[tuple[int, int], ...]


def conlleval_counts(
    types: tuple[str, ...], gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], unit_of: Ints
) -> LabelCounts:
    """Chunks per unit and type; a predicted chunk is correct if gold has one with the same tokens and type."""
    units = int(unit_of.max()) + 1 if len(unit_of) else 0
    column = {mention_type: at for at, mention_type in enumerate(types)}
    tables = np.zeros((3, units, len(types)))
    for unit, gold_tags, predicted_tags in zip(unit_of.tolist(), gold, predicted, strict=True):
        gold_chunks, predicted_chunks = set(chunks(gold_tags)), set(chunks(predicted_tags))
        for table, some in zip(tables, (gold_chunks, predicted_chunks, gold_chunks & predicted_chunks), strict=True):
            for chunk in some:
                table[unit, column[chunk[2]]] += 1
    return LabelCounts(types, tables[0], tables[1], tables[2])


def word_counts(
    types: tuple[str, ...], gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], unit_of: Ints
) -> LabelCounts:
    """Words per unit and type; a word is correct if gold has it with the same type, whatever chunks they form."""
    column = {mention_type: at for at, mention_type in enumerate(types)}

    def of(tags: Sequence[str]) -> list[set[int]]:
        named = (parse_tag(tag) for tag in tags)
        return [{column[name]} if prefix not in ("O", ".") else set() for prefix, name in named]

    first, second = ([word for row in side for word in of(row)] for side in (gold, predicted))
    return count_sets(types, first, second, np.repeat(unit_of, [len(row) for row in gold]))


def tagged_mentions(rows: Iterable[tuple[str, Sequence[tuple[int, int]], Sequence[str]]]) -> list[EntityKey]:
    """Mentions from (document, token offsets, tags) of sentences, in any order.

    A mention that crosses a sentence boundary is one mention, as in BLUE's gold: ``I-X`` at a sentence start continues
    the mention of type X that ends the previous sentence of the same document. Otherwise this is :func:`chunks`.
    A discontinuous gold mention written as tags becomes one mention per run of tags.
    """
    mentions: list[EntityKey] = []
    carry: tuple[str, str] | None = None  # document and type of a mention that ends its sentence
    for doc_id, offsets, tags in sorted(rows, key=lambda row: (row[0], *row[1][:1])):
        for start, end, mention_type in chunks(tags):
            span = (offsets[start][0], offsets[end - 1][1])
            if start == 0 and carry == (doc_id, mention_type) and parse_tag(tags[0])[0] in ("I", "E"):
                span = (mentions.pop().spans[0][0], span[1])
            mentions.append(EntityKey(doc_id, mention_type, (span,)))
        if tags:
            prefix, mention_type = parse_tag(tags[-1])
            carry = (doc_id, mention_type) if prefix in ("B", "I") else None
    return mentions


def span_counts(
    types: tuple[str, ...],
    documents: Sequence[str],
    gold: Sequence[EntityKey],
    predicted: Sequence[EntityKey],
    *,
    typed: bool = True,
) -> LabelCounts:
    """Mentions per document and type, as in BLUE's ``eval_ner``: same number of spans, equal starts and ends in order.

    ``correct`` = gold mentions with a match; ``predicted`` = these plus the predictions without a match, so that a
    repeated correct prediction is neither right nor wrong, as in BLUE. With ``typed`` the types must also match (BLUE
    doesn't compare them, which makes no difference for its single-type tasks).
    """
    unit = {doc_id: at for at, doc_id in enumerate(documents)}
    column = {mention_type: at for at, mention_type in enumerate(types)}

    def key(mention: EntityKey) -> EntityKey:
        return mention if typed else EntityKey(mention.doc_id, "", mention.spans)

    def table(counts: Counter[tuple[str, str]]) -> Floats:
        filled = np.zeros((len(unit), len(types)))
        for (doc_id, mention_type), number in counts.items():
            filled[unit[doc_id], column[mention_type]] = number
        return filled

    gold_keys, predicted_keys = {key(m) for m in gold}, {key(m) for m in predicted}
    correct = table(Counter((m.doc_id, m.type) for m in gold if key(m) in predicted_keys))
    wrong = table(Counter((m.doc_id, m.type) for m in predicted if key(m) not in gold_keys))
    return LabelCounts(types, table(Counter((m.doc_id, m.type) for m in gold)), correct + wrong, correct)
