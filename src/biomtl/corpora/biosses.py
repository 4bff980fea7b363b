"""BIOSSES (Sogancioglu et al. 2017) from its two Word tables, or from the clean table made from them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError
from biomtl.formats.xml import Element, elements
from biomtl.tasks.task import SPLITS, Split

_PAIRS, _SCORES, _TABLE, _ARCHIVE = "Annotation-Pairs.docx", "Annotator-Scores.docx", "biosses.tsv", "BIOSSES*.rar"
_ANNOTATORS = 5
_MAX_XML = 1 << 26  # bytes; the real ones have less than 1 MB

Row = tuple[str, str, float]


class Biosses:
    """One record per pair, in BLUE's order; id = its row (from 0) in BLUE's file, doc_id ``biosses.NUMBER`` (1 to 100).

    Whitespace is normalised (a run of spaces, tabs and no-break spaces becomes one space); the score is the mean of
    five annotators.
    """

    name = "BIOSSES, original tables"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task of BLUE and of BLURB, if the Word tables, the clean table, or the archive is present."""
        return ("biosses", "blurb-biosses") if source.find(_PAIRS, _SCORES, _TABLE, _ARCHIVE) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream BLUE's 64, 16 and 20 pairs."""
        if source.find(_PAIRS, _SCORES):
            rows, where = _from_word(source)
        elif names := source.find(_TABLE):
            name = one_copy(source, names, _TABLE)
            rows, where = _from_table(source, name), source.where(name)
        else:
            problem = "a RAR archive, which Python can't read"
            fix = f"unpack it (unrar, 7-Zip): {_PAIRS} and {_SCORES} are inside"
            raise InputError(problem, path=source.where(source.find(_ARCHIVE)[0]), fix=fix)
        for split in SPLITS:
            for index, number in enumerate(ids(f"biosses_{split}")):
                if int(number) not in rows:
                    raise InputError(f"no pair {number}", path=where, expected="100 pairs")
                first, second, score = rows[int(number)]
                texts = {"text_a": first, "text_b": second}
                for task in tasks:
                    yield task, split, {"id": str(index), "doc_id": f"biosses.{number}", **texts, "score": score}


def _from_word(source: Source) -> tuple[dict[int, Row], str]:
    """Pair number -> row, and the file to name if a pair is missing."""
    name = one_copy(source, source.find(_PAIRS), _PAIRS)
    pairs = {_number(row, where): row[1:3] for where, row in _word_rows(source, name, 3)}
    scores_name = one_copy(source, source.find(_SCORES), _SCORES)
    scores = {_number(row, where): _mean(row[1:], where) for where, row in _word_rows(source, scores_name, 6)}
    if missing := set(pairs) ^ set(scores):
        raise InputError(
            f"pair {min(missing)} is only in one of {_PAIRS} and {_SCORES}", path=source.where(scores_name)
        )
    return {number: (first, second, scores[number]) for number, (first, second) in pairs.items()}, source.where(name)


def _word_rows(source: Source, name: str, columns: int) -> Iterator[tuple[str, list[str]]]:
    """(``FILE, row N``, cells) of every row except the first in a Word document's tables."""
    where = source.where(name)
    try:
        with (
            zipfile.ZipFile(io.BytesIO(source.read_bytes(name))) as archive,
            archive.open("word/document.xml") as member,
        ):
            content = member.read(_MAX_XML + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, ValueError, RuntimeError) as error:
        raise InputError(f"not a readable Word file ({error})", path=where, expected="a .docx") from error
    if len(content) > _MAX_XML:
        raise InputError(f"over {_MAX_XML:,} bytes unpacked", path=where)
    for number, row in enumerate(elements(io.BytesIO(content), "w:tr", where), start=1):
        cells = [" ".join(_text(cell).split()) for cell in row.all("w:tc")]
        if len(cells) != columns:
            raise InputError(f"table row {number} has {len(cells)} cells", path=where, expected=str(columns))
        if number > 1:
            yield f"{where}, table row {number}", cells


def _text(element: Element) -> str:
    if element.tag == "w:t":
        return element.text
    gap = " " if element.tag in ("w:p", "w:tab", "w:br") else ""
    return "".join(map(_text, element.children)) + gap


def _from_table(source: Source, name: str) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    for line, text in source.lines(name):
        cells = [" ".join(cell.split()) for cell in text.split("\t")]
        where = f"{source.where(name)}:{line}"
        if line == 1 and cells[:4] != ["index", "sentence1", "sentence2", "score"]:
            raise InputError(f"header {text[:60]!r}", path=where, expected="index, sentence1, sentence2, score, …")
        if line == 1 or not text.strip():
            continue
        if len(cells) != 4 + _ANNOTATORS:
            raise InputError(f"{len(cells)} tab-separated columns", path=where, expected=str(4 + _ANNOTATORS))
        rows[_number(cells, where)] = cells[1], cells[2], _mean(cells[4:], where)
    return rows


def _number(cells: list[str], where: str) -> int:
    if not (cells[0].isascii() and cells[0].isdigit() and len(cells[0]) < 9):
        raise InputError(f"{cells[0][:40]!r} for a pair's number", path=where, expected="a whole number")
    if not all(cells):
        raise InputError("an empty cell", path=where, expected="text")
    return int(cells[0])


def _mean(scores: list[str], where: str) -> float:
    """Mean of the annotators' scores, whole numbers from 0 to 4."""
    for score in scores:
        if score not in ("0", "1", "2", "3", "4"):
            raise InputError(f"score {score[:40]!r}", path=where, expected="0, 1, 2, 3 or 4")
    return sum(map(int, scores)) / len(scores)
