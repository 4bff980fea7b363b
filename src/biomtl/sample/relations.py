"""Relation rows: every pair of mentions in a sentence, masked as in BLUE.

A slot is one letter. Two capitals have the relation in the template's heading; a pair with a lower-case letter (a
bystander) is negative. So the same words occur in positive and negative rows: what counts is who does what to whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, cycle
from typing import Any

from biomtl.sample.grammar import Piece, Writer, grammar
from biomtl.tasks.task import Task

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
        records = list(_pairs(pieces, rules, heading, task.negative, f"{document}.s{sentence % 2}", document))
        # Compared after masking: without the names, two sentences from one template can become the same text.
        if writer.are_new([record["text"] for record in records]):
            yield from records
            written, sentence = written + len(records), sentence + 1


def _pairs(
    pieces: list[Piece], rules: Any, heading: str, negative: str | None, sentence: str, document: str
) -> Iterator[Record]:
    mentions = [i for i, piece in enumerate(pieces) if piece.slot and len(piece.slot) == 1]
    number = 0
    for left, right in combinations(mentions, 2):
        slots = [str(pieces[i].slot) for i in (left, right)]
        types = [rules["slots"][slot.upper()]["type"] for slot in slots]
        if rules["across_types"] and types[0] == types[1]:
            continue
        # BLUE's ChemProt masks by position: the left mention gets the first argument's placeholder, whatever it is.
        masks = rules["by_position"] or [f"@{mention_type}$" for mention_type in types]
        text, spans = _masked(pieces, {left: masks[0], right: masks[1]})
        related = all(slot.isupper() for slot in slots)
        yield {
            "id": f"{sentence}.p{number}",
            "doc_id": document,
            "text": text,
            "label": heading if related else negative,
            "entities": [
                {
                    "id": f"T{mentions.index(i) + 1}",
                    "type": mention_type,
                    "start": start,
                    "end": end,
                    "text": text[start:end],
                }
                for i, mention_type, (start, end) in zip((left, right), types, spans, strict=True)
            ],
        }
        number += 1


def _masked(pieces: list[Piece], masks: dict[int, str]) -> tuple[str, list[tuple[int, int]]]:
    text, spans = "", []
    for i, piece in enumerate(pieces):
        if i in masks:
            spans.append((len(text), len(text) + len(masks[i])))
        text += masks.get(i, piece.text)
    return text, spans
