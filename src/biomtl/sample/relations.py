"""Relation rows: every pair of mentions in a sentence.

A slot is one letter. Two capitals have the relation in the template's heading; a pair with a lower-case letter (a
bystander) is negative. So the same words occur in positive and negative rows: what counts is who does what to whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, cycle
from typing import Any

from biomtl.sample.grammar import Piece, Writer, grammar
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.relation import relation_of

Record = dict[str, Any]


def relations(task: Task, writer: Writer, rows: int) -> Iterator[Record]:
    """About ``rows`` records of a relation task, two sentences per document."""
    rules = grammar(task.name)
    headings = cycle(heading for label, weight in rules["weights"].items() for heading in [label] * weight)
    sentence = written = 0
    kinds = {slot: rule["word"] for slot, rule in rules["slots"].items()}
    kinds |= {slot.lower(): word for slot, word in kinds.items()}
    while written < rows:
        heading = next(headings)
        document = f"{writer.split}{sentence // 2}"
        template = writer.rng.choice(rules["frames"]).replace("<1>", writer.choose(rules["templates"][heading]))
        pieces = writer.pieces(template, kinds)
        records = list(_pairs(task, pieces, rules, heading, f"{document}.s{sentence % 2}", document))
        # Compared after masking: without the names, two sentences from one template can become the same text.
        if writer.are_new([_masked(task, record) for record in records]):
            yield from records
            written, sentence = written + len(records), sentence + 1


def _pairs(task: Task, pieces: list[Piece], rules: Any, heading: str, sentence: str, document: str) -> Iterator[Record]:
    relation = relation_of(task)
    text, spans = "", []
    for piece in pieces:
        spans.append((len(text), len(text) + len(piece.text)))
        text += piece.text
    mentions = [i for i, piece in enumerate(pieces) if piece.slot and len(piece.slot) == 1]
    number = 0
    for left, right in combinations(mentions, 2):
        slots = [str(pieces[i].slot) for i in (left, right)]
        types = [rules["slots"][slot.upper()]["type"] for slot in slots]
        firsts = [relation.type_of(mention_type) in relation.first for mention_type in types]
        if not relation.same and firsts[0] == firsts[1]:
            continue
        # Of two types the task's first argument comes first, wherever it stands.
        named = zip((left, right), types, strict=True)
        pair = [_entity(text, spans[i], f"T{mentions.index(i) + 1}", mention_type) for i, mention_type in named]
        related = all(slot.isupper() for slot in slots)
        yield {
            "id": f"{sentence}.p{number}",
            "doc_id": document,
            "text": text,
            "label": heading if related else task.negative,
            "entities": pair if firsts[0] else pair[::-1],
        }
        number += 1


def _entity(text: str, span: tuple[int, int], name: str, mention_type: str) -> Record:
    start, end = span
    return {"id": name, "type": mention_type, "start": start, "end": end, "text": text[start:end]}


def _masked(task: Task, record: Record) -> str:
    return type_of(task).text(record, task, HeadChoice(view="mask")).texts[0]
