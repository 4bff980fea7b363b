"""What BLUE's relation tasks ask about: which mentions of a sentence make a pair, and how a model is shown one.

The corpus readers make their records with it, annotation the candidates of new text, so that a model sees the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from biomtl.formats.model import Mention
from biomtl.text.masking import Masked, Span, mask
from biomtl.text.printable import printable


@dataclass(frozen=True, slots=True)
class Arguments:
    """The types of mentions, in lower case, that may be a relation's first and second argument.

    The names are those of the task's corpus and of the usual other corpora and taggers.
    """

    first: frozenset[str]
    second: frozenset[str]

    def pairs(self, mentions: Sequence[Mention]) -> Iterator[tuple[Mention, Mention]]:
        """Every pair of mentions: in text order where both arguments have the same types, else the first argument
        first. A mention is not paired with another reading of the same words."""
        ordered = sorted(mentions, key=lambda mention: (mention.start, mention.end))
        firsts, seconds = ([m for m in ordered if m.type.lower() in types] for types in (self.first, self.second))
        found = combinations(firsts, 2) if self.first == self.second else product(firsts, seconds)
        for one, other in found:
            if self.first != self.second or (one.start, one.end) != (other.start, other.end):
                yield one, other


_DRUGS = frozenset({"drug", "brand", "group", "drug_n", "chemical"})
_CHEMICALS = frozenset({"chemical", "drug"})
_GENES = frozenset({"gene-y", "gene-n", "gene", "protein", "geneorgeneproduct", "gene_or_gene_product"})
_CONCEPTS = frozenset({"problem", "treatment", "test"})

ARGUMENTS: Mapping[str, Arguments] = {
    "ddi2013": Arguments(_DRUGS, _DRUGS),
    "chemprot": Arguments(_CHEMICALS, _GENES),
    "i2b2-2010": Arguments(_CONCEPTS, _CONCEPTS),
}


def units(task: str, text: str, sentences: Iterable[Span]) -> Iterator[Span]:
    """The stretches of text that hold both arguments: sentences, for ChemProt joined as BLUE joins spaCy's.

    There a boundary stays if the text before it ends in ``.``, ``?`` or ``!`` but not in ``i.v.``, and the text after
    it begins with an upper-case letter.
    """
    if task != "chemprot":
        yield from sentences
        return
    begin = before = -1
    for start, end in sentences:
        if begin < 0:
            begin = start
        elif text[before - 1] in ".?!" and not text.endswith("i.v.", begin, before) and text[start].isupper():
            yield begin, before
            begin = start
        before = end
    if begin >= 0:
        yield begin, before


def mask_entities(task: str, text: str, first: tuple[str, Span], second: tuple[str, Span]) -> Masked:
    """A sentence with both arguments (type, characters of ``text``) hidden, as the task's records have it.

    Args:
        task: a key of `ARGUMENTS`.
        text: the sentence; for ChemProt it becomes plain ASCII first, which may move what follows.
        first: the first argument.
        second: the second one.
    """
    (kind, one), (other_kind, other) = first, second
    if task == "ddi2013":
        return mask(text, one, other, ("@DRUG$", "@DRUG$"), "@DRUG-DRUG$")
    if task == "chemprot":
        ascii = printable(text)
        one, other = (moved(span, text, ascii) for span in (one, other))
        return mask(ascii, one, other, ("@CHEMICAL$", "@GENE$"), "@CHEM-GENE$")
    return mask(text, one, other, (f"@{kind}$", f"@{other_kind}$"), f"@{kind}-{other_kind}$")


def moved(span: Span, text: str, ascii: str) -> Span:
    """A span of ``text`` as one of its ASCII form, whose length rarely differs (in ChemProt by three thetas)."""
    if len(ascii) == len(text):
        return span
    return len(printable(text[: span[0]])), len(printable(text[: span[1]]))
