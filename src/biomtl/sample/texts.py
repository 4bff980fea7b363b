"""Rows of tasks without mentions: sentence similarity, inference, hallmarks of cancer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

from biomtl.sample.grammar import Writer, grammar
from biomtl.tasks.task import Task

Record = dict[str, Any]
_NAMED = ("drug", "disease", "gene", "symptom")  # slots whose filling a statement is about


def similarity(task: Task, writer: Writer, rows: int) -> Iterator[Record]:
    """``rows`` pairs, each scored by how much of the meaning is kept, as the mean of five annotators.

    A pair starts from one statement. Its partner says the same in other words, leaves out a detail, reverses the
    meaning with nearly the same words, says something else about the same subject, or is unrelated. So shared words
    alone do not predict the score.
    """
    rules = grammar(task.name)
    grades = cycle(rules["grades"].items())
    top = float((task.score_range or (0.0, 4.0))[1])
    number = 0
    while number < rows:
        grade, share = next(grades)
        frame = writer.choose(rules["frames"])
        bound: dict[str, str] = {}
        first = writer.text(writer.rng.choice(frame["same"]), bound)
        if grade == "unrelated":
            frame, bound = writer.rng.choice([other for other in rules["frames"]["known"] if other is not frame]), {}
        if grade == "other_name":
            kept = {slot: word for slot, word in bound.items() if not slot.startswith(_NAMED)}
            if kept == bound:
                continue  # this statement names nothing that could be exchanged
            bound = kept
        source = grade if grade in frame else "same"
        second = writer.text(writer.rng.choice(frame[source]), bound)
        if first == second or not writer.are_new([f"{first}\t{second}"]):
            continue
        marks = [min(max(round(share * top + writer.rng.choice((-1, 0, 0, 0, 1))), 0), top) for _ in range(5)]
        yield {
            "id": f"{writer.split}{number}",
            "doc_id": f"{writer.split}{number}",
            "text_a": first,
            "text_b": second,
            "score": round(sum(marks) / 5, 1),
        }
        number += 1


def inference(task: Task, writer: Writer, rows: int) -> Iterator[Record]:
    """``rows`` premises, each with a hypothesis that follows, contradicts, or does neither."""
    frames = grammar(task.name)["frames"]
    labels = cycle(task.labels)
    number = 0
    while number < rows:
        label = next(labels)
        frame = writer.choose(frames)
        bound: dict[str, str] = {}
        premise = writer.text(writer.rng.choice(frame["premise"]), bound)
        hypothesis = writer.text(writer.rng.choice(frame[label]), bound)
        if not writer.are_new([f"{premise}\t{hypothesis}"]):
            continue
        name = f"{writer.split}{number}"
        yield {"id": name, "doc_id": name, "text_a": premise, "text_b": hypothesis, "label": label}
        number += 1


def hallmarks(task: Task, writer: Writer, rows: int) -> Iterator[Record]:
    """``rows`` sentences, three per document; a sentence makes zero to two claims, a document at least one."""
    rules = grammar(task.name)
    order = cycle(task.labels)
    for number in range(rows):
        place = number % 3
        # The first of three sentences always makes a claim, so that no document is without a label.
        count = (1, writer.rng.choice((0, 2)), writer.rng.choice((0, 0, 1)))[place]
        labels = {next(order) for _ in range(count)}
        while not writer.are_new([text := _claims(writer, rules, sorted(labels))]):
            pass
        document = f"{writer.split}{number // 3}"
        yield {
            "id": f"{document}_s{place}",
            "doc_id": document,
            "text": text,
            "labels": [label for label in task.labels if label in labels],
        }


def _claims(writer: Writer, rules: Any, labels: list[str]) -> str:
    claims = [writer.choose(rules["claims"][label]) for label in labels]
    writer.rng.shuffle(claims)
    if not claims:
        claims = [writer.choose(rules["no_claim"])]
    frame = writer.rng.choice(rules["frames"][len(claims) - 1])
    return writer.text(frame.replace("<1>", claims[0]).replace("<2>", claims[-1]))
