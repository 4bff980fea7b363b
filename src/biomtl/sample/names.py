"""Invented names of drugs, diseases and genes, built from syllables; each split has its own."""

from __future__ import annotations

import random
from dataclasses import dataclass

from biomtl.tasks.task import Split

_CLUSTERS = (
    "bl",
    "br",
    "dr",
    "fl",
    "gl",
    "gr",
    "kl",
    "kr",
    "pl",
    "pr",
    "scr",
    "sk",
    "sl",
    "sp",
    "st",
    "tr",
    "vr",
    "zl",
)
_ONSETS = (*"bdfgjklmnprstvwyz", *_CLUSTERS)
_VOWELS = "aeiou"
_CLOSES = ("l", "m", "n", "r", "v", "x", "z", "lm", "rv", "nd", "rg", "lk")

_DRUG_ENDS = ("idrol", "exane", "ozane", "ivast", "uramide", "amycil", "etrine", "olone", "afenib")
_DISEASE_ENDS = ("itis", "osis", "emia", "algia", "opathy", "oma", "uria", "asthenia")
_COUNTS: dict[Split, int] = {"train": 90, "dev": 45, "test": 45}  # roots of each kind


@dataclass(frozen=True)
class Lexicon:
    """The names that one split may use. ``roots`` are the invented stems; no two splits share one."""

    drugs: tuple[str, ...]
    diseases: tuple[str, ...]
    genes: tuple[str, ...]
    labels: tuple[str, ...]  # trials, scales and kits: capitalised names that no task tags
    roots: frozenset[str]


def lexicons(seed: int) -> dict[Split, Lexicon]:
    """The lexicon of every split, sampled from one stream so that no two splits share a root."""
    rng = random.Random(f"{seed}/names")
    seen: set[str] = set()
    return {split: _lexicon(rng, seen, count) for split, count in _COUNTS.items()}


def _lexicon(rng: random.Random, seen: set[str], count: int) -> Lexicon:
    start = set(seen)
    drugs = tuple(_drug(_root(rng, seen), rng) for _ in range(count))
    diseases = tuple(_disease(_root(rng, seen), rng) for _ in range(count))
    genes = tuple(_gene(_root(rng, seen), rng) for _ in range(count // 2))
    labels = tuple(_root(rng, seen).capitalize() for _ in range(count // 3))
    return Lexicon(drugs, diseases, genes, labels, frozenset(seen - start))


def _root(rng: random.Random, seen: set[str]) -> str:
    """A new two-syllable stem that neither contains an earlier one nor is contained in one."""
    while True:
        root = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(2)) + rng.choice(_CLOSES)
        if not any(root in other or other in root for other in seen):
            seen.add(root)
            return root


def _drug(root: str, rng: random.Random) -> str:
    form = rng.randrange(10)
    if form == 0:
        return f"{root}ic acid"
    if form == 1:
        return f"{rng.choice(('sodium', 'calcium'))} {root}ate"
    if form == 2:
        return f"{rng.randrange(2, 7)}-{rng.choice(('hydroxy', 'methyl'))}{root}ane"
    return root + rng.choice(_DRUG_ENDS)


def _disease(root: str, rng: random.Random) -> str:
    form = rng.randrange(10)
    if form == 0:
        return f"{root.capitalize()} syndrome"
    if form == 1:
        return f"{root}ic {rng.choice(('fever', 'palsy', 'anemia'))}"
    if form in (2, 3):
        return f"{rng.choice(('renal', 'hepatic', 'pulmonary', 'cutaneous'))} {root}{rng.choice(_DISEASE_ENDS)}"
    return root + rng.choice(_DISEASE_ENDS)


def _gene(root: str, rng: random.Random) -> str:
    form = rng.randrange(4)
    if form == 0:
        return f"{root}ase"
    if form == 1:
        return f"{root}in receptor"
    return f"{root[:4].upper()}{rng.randrange(1, 10)}"
