"""A tagging corpus's way of splitting text into words, learned from its tokens and applied to new text.

Tagged corpora disagree about hyphens, slashes, brackets and full stops: ``NF-kappa B`` is two words in one corpus and
four in another. A model trained on one way of splitting does badly on the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from biomtl.tasks.words import WordRule
from biomtl.text.alignment import render_tokens
from biomtl.text.base import Span
from biomtl.text.words import words

OURS = WordRule(name="ours")
BLANKS = WordRule(name="blanks")
SENTENCES = 2000  # training sentences that a rule is learned from; more make little difference
ODD = 0.01  # share of tokens that a rule may miss without a warning
SIMPLER = 0.001  # share of tokens by which a more complex rule must be better
MOST_ABBREVIATIONS = 200
FEWEST = 2  # occurrences that a long pattern needs; a single one may be an error in the corpus
_CHUNK = re.compile(r"\S+")
_CLOSING = frozenset(".,;:!?%)]}")  # no blank before these in print,
_OPENING = frozenset("([{")  # none after these,
_LINKING = frozenset("-/'")  # and none on either side of these

Sample = tuple[str, list[Span]]  # a sentence and its words' spans


def cut_words(text: str, rule: WordRule) -> list[Span]:
    """Offsets of the words of a text, in order; only blanks are dropped."""
    if rule.name == "ours":
        return list(words(text))
    chunks = [match.span() for match in _CHUNK.finditer(text)]
    if rule.name == "blanks":
        return chunks
    abbreviations = frozenset(rule.abbreviations)
    return [span for chunk in chunks for span in _divided(text, chunk, rule, abbreviations)]


def _divided(text: str, chunk: Span, rule: WordRule, abbreviations: frozenset[str]) -> Iterator[Span]:
    core = _core(text, chunk)
    if text[slice(*core)] in abbreviations:
        for outer in ((chunk[0], core[0]), core, (core[1], chunk[1])):
            yield from [core] if outer == core else _divided(text, outer, rule, frozenset())
        return
    decisions = _decisions(rule.split, rule.join)
    start, end = chunk
    for place, long, short in _places(text, chunk):
        if decisions.get(long, decisions.get(short, True)):
            yield start, place
            start = place
    if start < end:
        yield start, end


def _core(text: str, chunk: Span) -> Span:
    """A chunk without the brackets and commas around it."""
    start, end = chunk
    while start < end and text[start] in _OPENING:
        start += 1
    while end > start and text[end - 1] in ",;:)]}":
        end -= 1
    return start, end


@cache
def _decisions(split: tuple[str, ...], join: tuple[str, ...]) -> Mapping[str, bool]:
    """Pattern -> whether the text is split there."""
    return {**dict.fromkeys(split, True), **dict.fromkeys(join, False)}


def _places(text: str, chunk: Span) -> Iterator[tuple[int, str, str]]:
    """``(place, long pattern, short pattern)`` between all characters of a chunk that are not both letters or digits.

    Two letters or digits stay together in every rule.
    """
    start, end = chunk
    shape = "".join(map(_shape, text[start:end]))
    if shape.strip("a0") == "":
        return
    shape = f" {shape} "
    for i in range(2, len(shape) - 1):
        if shape[i - 1] in "a0" and shape[i] in "a0":
            continue
        yield start + i - 1, f"{shape[i - 2 : i]}|{shape[i : i + 2]}", f"{shape[i - 1]}|{shape[i]}"


def _shape(character: str) -> str:
    if character.isdigit():
        return "0"
    return "a" if character.isalnum() or character == "_" else character


def learn_words(records: Sequence[Mapping[str, Any]]) -> WordRule:
    """The rule that agrees best with the tokens of a training split.

    The corpus's own rule is learned on every second sentence and compared with ``ours`` and ``blanks`` on the others;
    if it is chosen, it is learned again on all sentences. If no two tokens touch, the tokens were joined by blanks and
    the original text is lost: then a rule must do well both on the joined tokens and on the text as in print.

    Args:
        records: a tagging task's records, with ``tokens`` and ``offsets``.
    """
    step = max(1, len(records) // SENTENCES)
    chosen = list(records[::step])
    joined = not any(_touching(record) for record in chosen)
    texts = [[_sample(record) for record in chosen]]
    if joined:
        texts.append([_printed(record["tokens"]) for record in chosen])
    learned = _learn([sample for text in texts for sample in text[1::2] or text])
    candidates = (OURS, BLANKS, learned)
    agreement = {rule.name: round(min(_agreement(rule, text[::2]) for text in texts), 4) for rule in candidates}
    most = max(agreement.values())
    best = next(rule for rule in candidates if agreement[rule.name] >= most - SIMPLER)
    if best is learned:
        best = _learn([sample for text in texts for sample in text])
    return best.model_copy(update={"agreement": agreement})


def describe(rule: WordRule) -> list[str]:
    """Notes on a learned rule for the user: that it isn't ours, or that it misses more than 1 % of the tokens."""
    lines = []
    if rule.name != "ours":
        how = "at blanks" if rule.name == "blanks" else "by a rule learned from its tokens"
        others = ", ".join(f"`{name}` {share:.1%}" for name, share in rule.agreement.items() if name != rule.name)
        same = f"{rule.agreement[rule.name]:.1%} of the training tokens"
        lines.append(f"text is split {how}; this reproduces {same} ({others})")
    missed = 1 - rule.agreement.get(rule.name, 1.0)
    if missed > ODD:
        lines.append(
            f"warning: the rule misses {missed:.1%} of the training tokens, which lowers accuracy on such words"
        )
    return lines


def _touching(record: Mapping[str, Any]) -> bool:
    offsets = record["offsets"]
    return any(one[1] == other[0] for one, other in pairwise(offsets))


def _sample(record: Mapping[str, Any]) -> Sample:
    return render_tokens(record["tokens"], record["offsets"])


def _printed(tokens: Sequence[str]) -> Sample:
    """Tokens with blanks between them as in print."""
    offsets: list[Span] = []
    end, after = 0, ""
    for token in tokens:
        tight = token[0] in _CLOSING or token in _LINKING or token == "'s" or after in _OPENING or after in _LINKING
        start = end + (bool(offsets) and not tight)
        end = start + len(token)
        offsets.append((start, end))
        after = token
    return render_tokens(tokens, offsets)


def _learn(samples: Sequence[Sample]) -> WordRule:
    """The majority decision for each pattern; a long pattern is kept only if it differs from its short one."""
    abbreviations = _abbreviations(samples)
    known = frozenset(abbreviations)
    counts: dict[str, Counter[bool]] = {}
    shorter: dict[str, str] = {}
    for text, spans in samples:
        starts = {start for start, _ in spans}
        for match in _CHUNK.finditer(text):
            if text[slice(*_core(text, match.span()))] in known:
                continue
            for place, long, short in _places(text, match.span()):
                shorter[long] = short
                for pattern in (long, short):
                    counts.setdefault(pattern, Counter())[place in starts] += 1
    majority = {pattern: count[True] >= count[False] for pattern, count in counts.items()}

    def says_something(pattern: str) -> bool:
        if (short := shorter.get(pattern)) is None:
            return not majority[pattern]  # where no pattern fits, the place is split
        return counts[pattern].total() >= FEWEST and majority[pattern] is not majority[short]

    kept = {pattern: majority[pattern] for pattern in sorted(filter(says_something, majority))}
    split, join = ([pattern for pattern, decision in kept.items() if decision is wanted] for wanted in (True, False))
    return WordRule(name="corpus", split=tuple(split), join=tuple(join), abbreviations=abbreviations)


def _abbreviations(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Words whose full stop is more often part of the word than a token of its own."""
    counts: Counter[str] = Counter()
    for text, spans in samples:
        tokens = set(spans)
        for match in _CHUNK.finditer(text):
            core = _core(text, match.span())
            if (word := text[slice(*core)])[-1:] == "." and len(word) > 1:
                counts[word] += 1 if core in tokens else -1
    return tuple(sorted(word for word, count in counts.most_common(MOST_ABBREVIATIONS) if count >= FEWEST))


def _agreement(rule: WordRule, samples: Sequence[Sample]) -> float:
    """The share of the tokens that the rule reproduces from their text."""
    total = same = 0
    for text, spans in samples:
        same += len(set(spans).intersection(cut_words(text, rule)))
        total += len(spans)
    return same / total if total else 0.0
