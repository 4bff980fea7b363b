"""Near-duplicate texts: MinHash finds the candidates, their Jaccard index decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from biomtl.errors import InputError

Words = tuple[str, ...]
Pairs = frozenset[str]

JACCARD = 0.7  # of word bigrams: changing one name in a sentence of twenty words changes two bigrams of twenty
PERMUTATIONS = 128
SEED = 1


def word_pairs(words: Words) -> Pairs:
    """The word bigrams."""
    return frozenset(f"{a} {b}" for a, b in pairwise(words))


def jaccard(one: Pairs, other: Pairs) -> float:
    """The Jaccard index: intersection over union."""
    return len(one & other) / max(len(one | other), 1)


def near_duplicates(
    queries: Iterable[Words], known: Iterable[Words], threshold: float = JACCARD
) -> Iterator[tuple[Words, Words]]:
    """Pairs of a query and a known text, equal ones included, whose word bigrams have a Jaccard index of ``threshold``
    or more.

    MinHash with banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3) proposes candidates and
    the exact index decides, so there are no false positives. With 128 permutations a pair at the threshold is missed
    about one time in ten, one well above it hardly ever.

    Raises:
        InputError: datasketch isn't installed.
    """
    try:
        from datasketch import MinHashLSH
    except ImportError as error:
        raise InputError("near-duplicates need datasketch", fix="pip install biomtl[audit]") from error
    kept = list(dict.fromkeys(known))
    shingles = [word_pairs(words) for words in kept]
    # The weights favour few missed pairs: a wrong candidate costs only one exact comparison.
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.2, 0.8))
    for number, sketch in enumerate(_sketches(shingles)):
        index.insert(number, sketch, check_duplication=False)
    wanted = list(dict.fromkeys(queries))
    asked = [word_pairs(words) for words in wanted]
    for words, pairs, sketch in zip(wanted, asked, _sketches(asked), strict=True):
        for number in sorted(index.query(sketch)):
            if jaccard(pairs, shingles[number]) >= threshold:
                yield words, kept[number]


def _sketches(shingles: Iterable[Pairs]) -> Iterator[Any]:
    from datasketch import MinHash

    encoded = ([pair.encode() for pair in pairs] for pairs in shingles)
    return MinHash.generator(encoded, num_perm=PERMUTATIONS, seed=SEED)
