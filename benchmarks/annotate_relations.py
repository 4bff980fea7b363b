"""Annotating ChemProt's test abstracts: chemicals found by a tagger, genes given, and the relations between them.

Before: a relation task with ``view: mask``, which reads every pair as a text of its own. After: one with ``view:
spans``, which reads pairs from the states that the tagger has read; and the same one in two passes, for comparison. The
models take turns, so that changes in the machine's speed affect all; compare the ratios within turns.

    python benchmarks/annotate_relations.py ChemProt_Corpus.zip MASK_MODEL SPANS_MODEL [--documents 500] [--turns 3]

Both models need a tagger of chemicals and the task ``chemprot``; a recipe for each differs in one line:

    encoder: …
    suite: prepared
    tasks: {bc5cdr-chem: {}, chemprot: {view: spans}}
"""

from __future__ import annotations

import argparse
import statistics
import time
import zipfile
from pathlib import Path

from biomtl import Predictor
from biomtl.formats import Document, Mention, Passage
from biomtl.inference.annotate import Annotator
from biomtl.inference.engines.base import Passes


def table(archive: zipfile.ZipFile, ending: str) -> list[list[str]]:
    """The rows of the archive's file with this ending."""
    (name,) = (name for name in archive.namelist() if name.endswith(ending) and "MACOSX" not in name)
    return [line.split("\t") for line in archive.read(name).decode().splitlines()]


def abstracts(corpus: Path, count: int) -> list[Document]:
    """Test abstracts with their genes marked."""
    archive = zipfile.ZipFile(corpus)
    genes: dict[str, list[Mention]] = {}
    for document, mention, kind, start, end, text in table(archive, "chemprot_test_entities_gs.tsv"):
        if kind.startswith("GENE"):
            genes.setdefault(document, []).append(Mention(mention, kind, ((int(start), int(end)),), text))
    documents = []
    for number, title, abstract in table(archive, "chemprot_test_abstracts_gs.tsv")[:count]:
        text = f"{title} {abstract}"
        passages = (Passage("title", 0, len(title)), Passage("abstract", len(title) + 1, len(text)))
        documents.append(Document(number, text, passages, tuple(genes.get(number, ()))))
    return documents


def main() -> None:
    """Print what each way reads and how long it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("spans", type=Path)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    documents = abstracts(arguments.corpus, arguments.documents)
    mask, spans = Predictor(arguments.mask), Predictor(arguments.spans)
    ways = {name: Annotator(predictor, keep=True) for name, predictor in (("mask", mask), ("spans", spans))}
    ways["spans, two passes"] = Annotator(spans, keep=True)
    ways["spans, two passes"].one_pass = []
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    read: dict[str, tuple[Passes, int]] = {}
    for name, annotator in ways.items():
        print(f"{name}: {annotator.plan()}")
    for _ in range(arguments.turns):
        for name, annotator in ways.items():
            annotator.predictor.engine.passes = Passes()
            begin = time.process_time()
            relations = sum(len(document.relations) for document in annotator(documents))
            seconds[name].append(time.process_time() - begin)
            read[name] = annotator.predictor.engine.passes, relations
    print("documents per second of processor time")
    print("| way | passes | rows | real positions | documents/s (median) | times the first | relations |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (passes, relations) in read.items():
        speed = len(documents) / statistics.median(seconds[name])
        ratio = statistics.median(a / b for a, b in zip(seconds["mask"], seconds[name], strict=True))
        counts = f"{passes.batches:,} | {passes.rows:,} | {passes.positions:,}"
        print(f"| {name} | {counts} | {speed:.1f} | {ratio:.2f} | {relations:,} |")


if __name__ == "__main__":
    main()
