"""MedSTS / ClinicalSTS (Wang et al. 2018, 2020) from the tables of the shared tasks, gold in separate files.

Rows are ``sentence1<TAB>sentence2[<TAB>score]``; without a score, line n of the ``.gs`` file is the score of row n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.sample import sample
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split

_DEV_SHARE = 0.1  # BLUE: 75 of 750 training pairs; which ones was not published
_EXPECTED = "sentence1, sentence2 and, unless a .gs file holds it, the score, separated by tabs"


class MedSTS:
    """One record per pair; id ``train.N`` or ``test.N``, where N is the row, from 1."""

    name = "MedSTS / ClinicalSTS, the shared task's train and test tables"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there is a training or test table (``clinicalSTS*train*.txt``, ``MedSTS*test*.tsv`` …)."""
        return ("medsts",) if _find(source, "train", gold=False) or _find(source, "test", gold=False) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the training pairs in file order, a tenth sampled as dev by ``options.seed``; then test."""
        dev = sample((str(number) for number, _ in _rows(source, "train")), _DEV_SHARE, options.seed)
        for source_split in ("train", "test"):
            for number, record in _rows(source, source_split):
                split: Split = "test" if source_split == "test" else "dev" if str(number) in dev else "train"
                yield "medsts", split, record


def _find(source: Source, source_split: str, *, gold: bool) -> list[str]:
    """The tables of one part; BLUE's own files (``clinicalSTS/train.tsv``) name the corpus only in the folder."""
    patterns = [
        f"*{corpus}*{source_split}*.{suffix}" for corpus in ("clinicalsts", "medsts") for suffix in ("txt", "tsv")
    ]
    named = {name for name in source.find(*patterns) if _says(PurePosixPath(name).name.lower(), source_split)}
    fitting = (name for name in named if (".gs" in PurePosixPath(name).name.lower()) is gold)
    return sorted(name for name in fitting if not _is_canonical(source, name))


def _is_canonical(source: Source, name: str) -> bool:
    """Whether it is a file of MT-DNN (index, score, two sentences), which `BlueFiles` reads."""
    cells = next((line.split("\t") for _, line in source.lines(name) if line.strip()), [])
    try:
        return len(cells) == 4 and math.isfinite(float(cells[1]))
    except ValueError:
        return False


def _says(file: str, source_split: str) -> bool:
    return source_split in file and ("clinicalsts" in file or "medsts" in file)


def _rows(source: Source, source_split: str) -> Iterator[tuple[int, Located]]:
    name = one_copy(source, _find(source, source_split, gold=False), f"clinicalSTS.{source_split}.txt")
    where = source.where(name)
    gold = _find(source, source_split, gold=True)
    scores = _scores(source, one_copy(source, gold, f"gold scores of {source_split}")) if gold else iter(())
    count = 0
    for number, line in source.lines(name):
        if not line.strip():
            continue
        count += 1
        cells = line.split("\t")
        if len(cells) not in (2, 3):
            raise InputError(f"{len(cells)} column(s)", path=where, line=number, expected=_EXPECTED)
        if len(cells) == 3:
            score = _score(cells[2], where, number)
        elif (following := next(scores, None)) is not None:
            score = following
        else:
            fix = f"put the .gs file of {source_split} beside it" if not gold else "the .gs file has too few lines"
            raise InputError("a pair without a score", path=where, line=number, expected=_EXPECTED, fix=fix)
        texts = {"text_a": cells[0].strip(), "text_b": cells[1].strip()}
        identifier = f"{source_split}.{count}"
        yield count, Located((where, number), id=identifier, doc_id=identifier, score=score, **texts)
    if len(list(scores)) not in (0, count):  # a table with its own scores uses none of them
        raise InputError(f"more than {count} gold scores", path=source.where(gold[0]), expected="one per pair")


def _scores(source: Source, name: str) -> Iterator[float]:
    for number, line in source.lines(name):
        if line.strip():
            yield _score(line.split("\t")[-1], source.where(name), number)


def _score(cell: str, where: str, number: int) -> float:
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 5:
        raise InputError(f"score {cell[:40]!r}", path=where, line=number, expected="a number from 0 to 5")
    return score
