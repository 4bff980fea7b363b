"""Invented distributions of the public corpora, in the layouts of the originals, and a way to read them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.registry import readers
from biomtl.corpora.source import Source

Files = dict[str, bytes]
Rows = list[tuple[str, str, dict[str, Any]]]


def pubtator(pmid: str) -> bytes:
    title, abstract = "Zorubicin-induced tremor in 5-FU users", "It began. Zorubicin's dose was 3 mg (i.v.) daily."
    text = f"{title} {abstract}"
    lines = [f"{pmid}|t|{title}", f"{pmid}|a|{abstract}"]
    for covered, kind, after in (
        ("Zorubicin", "Chemical", 0),
        ("tremor", "Disease", 0),
        ("5-FU", "Chemical", 0),
        ("Zorubicin", "Chemical", 20),
    ):
        start = text.index(covered, after)
        lines.append(f"{pmid}\t{start}\t{start + len(covered)}\t{covered}\t{kind}\t-1")
    return ("\n".join([*lines, f"{pmid}\tCID\tD1\tD2"]) + "\n").encode()


@cache
def bc5cdr() -> Files:
    names = ("CDR_TrainingSet", "CDR_DevelopmentSet", "CDR_TestSet")
    return {f"CDR/{name}.PubTator.txt": pubtator(f"9{i}") + b"\n" + pubtator(f"8{i}") for i, name in enumerate(names)}


def ddi_document(document: str, sentences: list[tuple[str, str, list[str], list[str]]]) -> bytes:
    """``sentences``: number, text, ``charOffset`` of each entity, attributes of each pair."""
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<document id="{document}">']
    for number, text, offsets, pairs in sentences:
        here = f"{document}.s{number}"
        parts.append(
            f'<sentence id="{here}" text={quoteattr(text).replace(chr(10), "&#xa;").replace(chr(13), "&#xd;")}>'
        )
        for i, offset in enumerate(offsets):
            pieces = [tuple(map(int, piece.split("-"))) for piece in offset.split(";")]
            covered = " ".join(text[start : end + 1] for start, end in pieces)
            parts.append(f'<entity id="{here}.e{i}" charOffset="{offset}" type="drug" text={quoteattr(covered)}/>')
        parts += [f'<pair id="{here}.p{i}" {pair}/>'.replace("@", f"{here}.") for i, pair in enumerate(pairs)]
        parts.append("</sentence>")
    return "\n".join([*parts, "</document>"]).encode()


@cache
def ddi2013() -> Files:
    one, other = 'e1="@e0" e2="@e1" ddi="false"', 'e1="@e0" e2="@e1" ddi="true" type="effect"'
    plain = ("Abc raises xyz. \r\n", ["0-2", "11-13"])
    lists = [("3", *plain, [one]), ("6", *plain, [other]), ("87", *plain, [one])]  # s3 is one of BLUE's dev sentences
    hard = ("B1 and B2 vitamins, xyz", ["0-1;10-17", "7-17"])
    return {
        "DDI/README.txt": b"invented",
        "DDI/Train/DrugBank/b c_ddi.xml": ddi_document("DDI-DrugBank.d64", lists),
        "DDI/Train/DrugBank/a.xml": ddi_document("DDI-DrugBank.d9999", [("10", *plain, [one]), ("2", *hard, [other])]),
        "DDI/Train/MedLine/m.xml": ddi_document("DDI-MedLine.d0x", [("0", *plain, ['e1="@e0" e2="@e1" ddi="true"'])]),
        "DDI/Test/Test for DDI Extraction task/MedLine/t.xml": ddi_document("DDI-MedLine.d1x", [("0", *plain, [one])]),
        "DDI/Test/Test for DrugNER task/MedLine/n.xml": b"<document id='not ours'/>",
    }


@cache
def chemprot() -> Files:
    title, abstract = "Effects of α-zorin (θ form) on BRKX.", "Zorin inhibits BRKX. Zorin-BRKX was seen. Nothing else"
    text = f"{title} {abstract}"
    entities, first = [], title.index("BRKX")
    for name, kind, covered, after in (
        ("T1", "CHEMICAL", "α-zorin", 0),
        ("T4", "GENE-Y", "BRKX", first),
        ("T2", "CHEMICAL", "Zorin", first),
        ("T3", "GENE-N", "BRKX", first + 4),
        ("T5", "CHEMICAL", "Zorin", first + 20),
        ("T6", "GENE-Y", "-BRKX", first + 20),
    ):
        start = text.index(covered, after)
        entities.append(f"77\t{name}\t{kind}\t{start}\t{start + len(covered)}\t{covered}\n")
    gold = "77\tCPR:4\tArg1:T2\tArg2:T3\n77\tCPR:9\tArg1:T2\tArg2:T3\n77\tCPR:3\tArg1:T1\tArg2:T3\n"
    files = {}
    for part, end in (("training", ""), ("development", ""), ("test", "_gs")):
        folder = f"chemprot_{part}{end}/chemprot_{part}"
        files[f"{folder}_abstracts{end}.tsv"] = f"77\t{title}\t{abstract}\n78\tEmpty.\tNothing.\n".encode()
        files[f"{folder}_entities{end}.tsv"] = "".join(entities).encode()
        files[f"{folder}_gold_standard.tsv"] = gold.encode()
    return files


@cache
def hoc() -> Files:
    files = {f"{split}_docid.txt": f"1{i}\n".encode() for i, split in enumerate(("train", "dev", "test"))}
    for i in range(4):  # the fourth document is in no list
        files[f"HoC/text/1{i}.txt"] = f"Cells of kind {i} died .\nNone grew .\nVessels did .\n".encode()
        labels = (
            "Drop this < Resisting cell death--Apoptosis-- ANDInducing angiogenesis-- <  NULL < Cellular energetics--\n"
        )
        files[f"HoC/labels/1{i}.txt"] = labels.encode()
    return files


def docx(rows: list[list[str]], change: Callable[[bytes], bytes] = bytes) -> bytes:
    cells = "".join(
        "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{escape(cell)}</w:t></w:r></w:p></w:tc>" for cell in row) + "</w:tr>"
        for row in rows
    )
    body = f'<w:document xmlns:w="http://example.org/w"><w:body><w:tbl>{cells}</w:tbl></w:body></w:document>'
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("word/document.xml", change(body.encode()))
    return content.getvalue()


def biosses_pairs() -> list[tuple[int, str, str, list[int]]]:
    return [(n, f"Cell\u00a0 {n} grew .", f"Cell {n} <did> not .", [n % 5, 1, 2, 3, 4]) for n in range(1, 101)]


@cache
def biosses() -> Files:
    pairs = [["", "Sentence 1", "Sentence 2"], *([str(n), a, b] for n, a, b, _ in biosses_pairs())]
    scores = [["No", *"ABCDE"], *([str(n), *map(str, marks)] for n, _, _, marks in biosses_pairs())]
    return {"raw/Annotation-Pairs.docx": docx(pairs), "raw/Annotator-Scores.docx": docx(scores)}


DISTRIBUTIONS: dict[str, Callable[[], Files]] = {
    "BC5CDR": bc5cdr,
    "DDI2013": ddi2013,
    "ChemProt": chemprot,
    "HoC": hoc,
    "Biosses": biosses,
}


def lay(files: Files, folder: Path, zipped: bool) -> Path:
    """Write the files below ``folder``, zipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    if zipped:
        with zipfile.ZipFile(folder / "corpus.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return folder
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def reader_of(name: str) -> Reader:
    return next(reader for reader in readers() if type(reader).__name__ == name)


class Corpora:
    """What the tests of this folder need from this module (they can't import it)."""

    names = tuple(DISTRIBUTIONS)
    ddi_document = staticmethod(ddi_document)
    docx = staticmethod(docx)
    biosses_pairs = staticmethod(biosses_pairs)
    lay = staticmethod(lay)
    reader = staticmethod(reader_of)

    @staticmethod
    def files(name: str) -> Files:
        """An invented distribution of the corpus, file by file."""
        return dict(DISTRIBUTIONS[name]())

    @staticmethod
    def read(name: str, path: Path, options: ReadOptions | None = None) -> Rows:
        """All records of the corpus at ``path``."""
        source = Source(path)
        reader = reader_of(name)
        return list(reader.read(source, reader.detect(source), options or ReadOptions()))


@pytest.fixture(scope="session")
def corpora() -> Corpora:
    return Corpora()
