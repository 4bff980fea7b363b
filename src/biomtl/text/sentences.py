"""Sentences of biomedical abstracts, by rules: no model, the same result on every machine and in every version.

BLUE used a spaCy model of 2019 whose version was not recorded. ``docs/corpora/chemprot.md`` compares these rules, and
libraries that could replace them, with what is known of BLUE's sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = r"[)\]\"'”’»]"
# Possessive and anchored at the first mark of a run, so that a line of a million full stops takes linear time.
_STOP = re.compile(rf"(?<![.?!])[.?!]++{_CLOSERS}*+\s++(?=\S)|(?<=[a-z]{{3}})\.(?=[A-Z][a-z])")
_BEFORE_LAST_WORD = re.compile(r".*[\s(\[/,;]", re.DOTALL)
_REACH = 40  # characters looked at on each side of a stop

# Words (without their final full stop) that never end a sentence, and words that end one only before a capital.
_GOES_ON = re.compile(
    r"-*(approx|ca|cf|dr|e\.g|eg|eqs?|figs?|i\.e|ie|mrs?|nos?|pp|prof|refs?|st|subsp|ssp|var|viz|vol|vs)", re.IGNORECASE
)
_ABBREVIATION = re.compile(r"-*(al|def|etc|exp|est|max|min|obs|resp|spp?|suppl|tab)", re.IGNORECASE)


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Offsets in ``text`` of the sentences between ``start`` and ``end``, without surrounding whitespace, in order.

    A sentence ends at ``.``, ``?`` or ``!`` (and closing brackets or quotes) before a space, unless the context shows
    that it continues: an abbreviation, an initial, a lower-case word that doesn't look like a name (``nAChRs`` does).
    The space may be missing (``disease.The``).
    """
    stop = len(text) if end is None else end
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    for match in _STOP.finditer(text, start, stop):
        if _ends_sentence(text, start, match.start(), match.end()):
            yield start, start + len(text[start : match.end()].rstrip())
            start = match.end()
    if start < stop:
        yield start, stop


def _ends_sentence(text: str, begin: int, mark: int, following: int) -> bool:
    """Whether the sentence that starts at ``begin`` ends at ``mark``, where the text continues at ``following``."""
    nearby = text[following : following + _REACH].split()[0]
    if text[mark] != ".":
        return not nearby[0].islower()
    word = _BEFORE_LAST_WORD.sub("", text[max(begin, mark - _REACH) : mark])
    if _GOES_ON.fullmatch(word) or _is_initial(word):
        return False
    if nearby[0].islower():
        looks_like_name = any(c.isupper() or c.isdigit() or c == "-" for c in nearby)
        return looks_like_name and not _ABBREVIATION.fullmatch(word) and "." not in word
    if _ABBREVIATION.fullmatch(word):
        return nearby[0].isupper()
    enumerates = word.isdigit() and len(word) <= 2 and begin == mark - len(word)  # "1. The effects of …"
    return not enumerates


def _is_initial(word: str) -> bool:
    """``J``, ``h`` or a compound ending in one capital (``8-oxoG``, ``PDE3A``): keeps its full stop, as in spaCy."""
    if len(word) < 2:
        return word.isalpha()
    return word[-1].isupper() and not word[-2].isupper()
