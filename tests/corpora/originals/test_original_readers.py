"""The readers of original distributions, on invented corpora in the exact layouts."""

from __future__ import annotations

import io
import itertools
import os
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError

NAMES = ("BC5CDR", "DDI2013", "ChemProt", "HoC", "Biosses")


@pytest.fixture
def read(corpora: Any, tmp_path: Path) -> Any:
    """Reads a corpus made of the given files; further arguments are options."""

    fresh = itertools.count()

    def read(name: str, files: dict[str, bytes] | None = None, *, zipped: bool = False, **options: Any) -> Any:
        folder = tmp_path / f"corpus{next(fresh)}"
        corpora.lay(corpora.files(name) if files is None else files, folder, zipped)
        return corpora.read(name, folder, replace(ReadOptions(), **options))

    return read


def of(rows: Any, task: str, split: str) -> list[dict[str, Any]]:
    return [record for found, part, record in rows if (found, part) == (task, split)]


@pytest.mark.parametrize("name", NAMES)
def test_zipped_or_not_the_records_are_the_same(name: str, corpora: Any, tmp_path: Path) -> None:
    plain = corpora.read(name, corpora.lay(corpora.files(name), tmp_path / "plain", False))
    zipped = corpora.read(name, corpora.lay(corpora.files(name), tmp_path / "zipped", True))
    archive = corpora.read(name, tmp_path / "zipped" / "corpus.zip")
    assert plain == zipped == archive
    assert {split for _, split, _ in plain} == {"train", "dev", "test"}


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_recognises_only_its_own_layout(name: str, corpora: Any, tmp_path: Path) -> None:
    for other in NAMES:
        found = corpora.reader(name).detect(Source(corpora.lay(corpora.files(other), tmp_path / other, True)))
        assert bool(found) == (name == other)


@pytest.mark.parametrize("name", NAMES)
def test_an_unpacked_copy_beside_its_archive_is_read_once(name: str, corpora: Any, tmp_path: Path) -> None:
    corpora.lay(corpora.files(name), tmp_path, True)
    alone = corpora.read(name, tmp_path)
    assert corpora.read(name, corpora.lay(corpora.files(name), tmp_path, False)) == alone


@pytest.mark.parametrize("name", NAMES)
def test_two_unpacked_copies_are_refused(name: str, corpora: Any, tmp_path: Path) -> None:
    for copy in ("one", "two"):
        corpora.lay(corpora.files(name), tmp_path / copy, False)
    with pytest.raises(InputError, match="2 copies of"):
        corpora.read(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_missing_file_is_named(name: str, corpora: Any, tmp_path: Path) -> None:
    files = corpora.files(name)
    needed = [file for file in files if "DrugNER" not in file and "README" not in file and "docid" not in file]
    needed = [file for file in needed if not (name == "DDI2013" and "Train/" in file) and "13.txt" not in file]
    for number, missing in enumerate(needed):
        left = {file: content for file, content in files.items() if file != missing}
        folder = corpora.lay(left, tmp_path / str(number), False)
        with pytest.raises(InputError) as error:
            corpora.read(name, folder)
        wanted = "test" if name == "DDI2013" else Path(missing).name.split(".")[0].removesuffix("_gs")
        assert wanted in str(error.value)


def test_bc5cdr_records(read: Any) -> None:
    rows = read("BC5CDR")
    chemicals, diseases = of(rows, "bc5cdr-chem", "train"), of(rows, "bc5cdr-disease", "train")
    assert [record["id"] for record in chemicals] == ["90.0", "90.39", "90.49", "80.0", "80.39", "80.49"]
    assert [{**record, "tags": 0} for record in chemicals] == [{**record, "tags": 0} for record in diseases]
    title = chemicals[0]
    assert title["tokens"] == ["Zorubicin", "-", "induced", "tremor", "in", "5", "-", "FU", "users"]
    chemical = ["B-Chemical", "O", "O", "O", "O", "B-Chemical", "I-Chemical", "I-Chemical", "O"]
    assert title["tags"] == chemical
    assert diseases[0]["tags"] == ["O", "O", "O", "B-Disease", "O", "O", "O", "O", "O"]
    dose = chemicals[2]
    assert dose["tokens"][:2] == ["Zorubicin", "'s"]
    assert dose["offsets"][0] == [49, 58]
    assert dose["tags"][:2] == ["B-Chemical", "O"]


def test_bc5cdr_counts_special_mentions(read: Any, corpora: Any) -> None:
    """A second, shorter Zorubicin inside the first: counted once, at its document's first sentence."""
    inner = b"98\t0\t3\tZor\tChemical\t-1\n"
    files = corpora.files("BC5CDR")
    name = "CDR/CDR_TrainingSet.PubTator.txt"
    document = files[name].split(b"\n\n")[0] + b"\n"
    files[name] = document + inner.replace(b"98", document.split(b"|")[0])
    rows = [record for task, split, record in read("BC5CDR", files) if (task, split) == ("bc5cdr-chem", "train")]
    assert [record.cases["nested"] for record in rows] == [1, *[0] * (len(rows) - 1)]
    assert len(rows) > 1


def test_bc5cdr_refuses_a_mention_of_another_type(read: Any, corpora: Any) -> None:
    files = {name: content.replace(b"\tDisease\t", b"\tGene\t") for name, content in corpora.files("BC5CDR").items()}
    with pytest.raises(InputError, match="'tremor' of type 'Gene', expected Chemical or Disease"):
        read("BC5CDR", files)


def test_ddi_rows_order_and_splits(read: Any) -> None:
    rows = read("DDI2013")
    assert [record["id"] for record in of(rows, "ddi2013", "train")] == [
        "DDI-DrugBank.d9999.s10.p0",
        "DDI-DrugBank.d9999.s2.p0",
    ]
    assert [record["id"] for record in of(rows, "ddi2013", "dev")] == ["DDI-DrugBank.d64.s3.p0"]
    assert of(rows, "ddi2013", "test") == [
        {
            "id": "DDI-MedLine.d1x.s0.p0",
            "doc_id": "DDI-MedLine.d1x",
            "text": "Abc raises xyz.",
            "label": "DDI-false",
            "entities": [
                {"id": "DDI-MedLine.d1x.s0.e0", "type": "drug", "start": 0, "end": 3, "text": "Abc"},
                {"id": "DDI-MedLine.d1x.s0.e1", "type": "drug", "start": 11, "end": 14, "text": "xyz"},
            ],
        }
    ]


def test_ddi_dev_follows_the_list_beside_the_corpus(read: Any, corpora: Any) -> None:
    listed = b"DDI-DrugBank.d9999.s2\r\n\r\nDDI-DrugBank.d9999.s10\n"
    rows = read("DDI2013", {**corpora.files("DDI2013"), "dev_sentence_ids.txt": listed})
    assert [r["id"] for r in of(rows, "ddi2013", "dev")] == ["DDI-DrugBank.d9999.s10.p0", "DDI-DrugBank.d9999.s2.p0"]
    assert [r["id"] for r in of(rows, "ddi2013", "train")] == ["DDI-DrugBank.d64.s3.p0"]


def test_ddi_dev_has_the_pairs_that_blue_has_of_a_sentence_in_the_list(read: Any, corpora: Any) -> None:
    pairs = [f'e1="@e{i}" e2="@e{j}" ddi="false"' for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))]
    sentence = ("8", "Aa, Bb, Cc, Dd", ["0-1", "4-5", "8-9", "12-13"], pairs)
    document = corpora.ddi_document("DDI-MedLine.d104", [sentence])
    files = {**corpora.files("DDI2013"), "DDI/Train/MedLine/m.xml": document}
    for listed, expected in ((b"DDI-MedLine.d104.s8\n", ["p0", "p3", "p4", "p5"]), (b"other\n", [])):
        rows = read("DDI2013", {**files, "dev_sentence_ids.txt": listed})
        assert [r["id"].rpartition(".")[2] for r in of(rows, "ddi2013", "dev")] == expected


def test_ddi_masks_a_discontinuous_mention_over_its_full_extent(read: Any) -> None:
    record = of(read("DDI2013"), "ddi2013", "train")[1]
    assert (record["text"], record["label"]) == ("B1 and B2 vitamins, xyz", "DDI-effect")
    assert tiny.masked("ddi2013", record) == "@DRUG-DRUG$, xyz"
    assert [entity["text"] for entity in record["entities"]] == ["B1 and B2 vitamins", "B2 vitamins"]


def test_ddi_list_sentences_are_kept_on_demand(read: Any) -> None:
    kept = of(read("DDI2013", keep_list_sentences=True), "ddi2013", "train")
    assert [record["id"] for record in kept if ".d64." in record["id"]] == [
        "DDI-DrugBank.d64.s6.p0",
        "DDI-DrugBank.d64.s87.p0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'ddi="false"', b'ddi="no"', r"a\.xml:6: ddi='no', expected true or false"),
        (b'type="effect"', b'type="efect"', r"a\.xml:\d+: a pair of type 'efect', did you mean 'effect'"),
        (b'charOffset="0-2"', b'charOffset="0-99"', r"a\.xml:4: charOffset '0-99' in a sentence of 18"),
        (b'charOffset="0-2"', b'charOffset="2-0"', r"a\.xml:4: charOffset '2-0'"),
        (b'charOffset="0-2"', b'charOffset="1-3"', r"a\.xml:4: entity 'Abc', expected 'bc ' as in the text"),
        (b'charOffset="0-2"', b'charOffset="x"', r"a\.xml:4: charOffset 'x', expected START-END"),
        (b'e2="DDI', b'e2="', r"expected an entity of the same sentence"),
        (b'ddi="false"', b"", r"a\.xml:6: <pair> without 'ddi'"),
        (b"</sentence>", b"", r"a\.xml:\d+: broken XML \(mismatched tag\)"),
        (b'<document id="DDI-DrugBank.d9999">', b"<document>", r"a\.xml:1: no document id"),
        (b"DDI-DrugBank.d9999", b"DDI-DrugBank.d64", r"document DDI-DrugBank\.d64 again"),
        (b"<document", b'<!DOCTYPE d [<!ENTITY a "b">]><document', r"a\.xml:2: a declaration of the entity 'a'"),
    ],
)
def test_ddi_errors_name_file_and_line(old: bytes, new: bytes, message: str, read: Any, corpora: Any) -> None:
    files = corpora.files("DDI2013")
    files["DDI/Train/DrugBank/a.xml"] = files["DDI/Train/DrugBank/a.xml"].replace(old, new)
    with pytest.raises(InputError, match=message):
        read("DDI2013", files)


def test_chemprot_rows(read: Any) -> None:
    rows = of(read("ChemProt"), "chemprot", "train")
    assert [(record["id"], tiny.masked("chemprot", record), record["label"]) for record in rows] == [
        ("77.T1.T4", "Effects of @CHEMICAL$ (th form) on @GENE$.", "false"),
        ("77.T2.T3", "@CHEMICAL$ inhibits @GENE$.", "CPR:9"),  # two gold labels: the last line first
        ("77.T2.T3#2", "@CHEMICAL$ inhibits @GENE$.", "CPR:4"),
        ("77.T5.T6", "@CHEM-GENE$ was seen.", "false"),  # they touch
    ]
    assert {record["doc_id"] for record in rows} == {"77"}
    kinds = [[(entity["id"], entity["type"]) for entity in record["entities"]] for record in rows]
    assert kinds[1] == [("T2", "CHEMICAL"), ("T3", "GENE-N")]


def test_chemprot_given_sentences_apply_to_the_splits_they_cover(read: Any, tmp_path: Path) -> None:
    spans = tmp_path / "spans.tsv"
    spans.write_text("docid\tstart\tend\n79\t0\t5\n")
    with pytest.raises(InputError, match="which is in no split"):
        read("ChemProt", sentence_spans=spans)
    spans.write_text("docid\tstart\tend\n77\t0\t57\n")
    rows = of(read("ChemProt", sentence_spans=spans), "chemprot", "train")
    genes_first = [record["id"] for record in rows]
    assert genes_first == ["77.T1.T3", "77.T1.T4", "77.T2.T3", "77.T2.T3#2", "77.T2.T4"]
    assert rows[0]["label"] == "CPR:3"
    backwards = rows[-1]  # T4, the gene, stands left of T2: placeholders go by place, not by type
    assert backwards["text"] == "Effects of α-zorin (θ form) on BRKX. Zorin inhibits BRKX."
    assert tiny.masked("chemprot", backwards) == "Effects of a-zorin (th form) on @CHEMICAL$. @GENE$ inhibits BRKX."
    assert [(entity["id"], entity["text"]) for entity in backwards["entities"]] == [
        ("T2", "Zorin"),
        ("T4", "BRKX"),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("docid\tbegin\tend\n", "spans.tsv:1: header"),
        ("docid\tstart\tend\n77\t0\n", "spans.tsv:2: 2 tab-separated columns, expected 3"),
        ("docid\tstart\tend\n77\t0\tx\n", "spans.tsv:2: 'x' for an offset"),
        ("docid\tstart\tend\n77\t0\t50\n77\t40\t60\n", "spans.tsv:3: sentence 40-60"),
        ("docid\tstart\tend\n77\t0\t9999\n", "a sentence of 77 beyond its 91 characters"),
    ],
)
def test_chemprot_refuses_impossible_sentences(table: str, message: str, read: Any, tmp_path: Path) -> None:
    spans = tmp_path / "spans.tsv"
    spans.write_text(table)
    with pytest.raises(InputError, match=message):
        read("ChemProt", sentence_spans=spans)


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("abstracts", "77\tAgain\tx", r":3: document '77' again"),
        ("abstracts", "79\tNo abstract", r":3: 2 tab-separated columns, expected 3"),
        ("entities", "80\tT1\tCHEMICAL\t0\t1\tE", r":7: document '80', expected one of the abstracts"),
        ("entities", "77\tT9\tGENE\t0\t7\tEffects", r":7: an entity of type 'GENE', did you mean 'GENE-Y'|'GENE-N'"),
        ("entities", "77\tT1\tGENE-Y\t0\t7\tEffects", r":7: entity 'T1' of document 77 again"),
        ("entities", "77\tT9\tGENE-Y\t0\t7\tEffect", r":7: entity 'Effect', expected 'Effects' as in the text"),
        ("entities", "77\tT9\tGENE-Y\t0\t٣\tEff", r":7: '٣' for an offset"),
        ("gold_standard", "77\tCPR:1\tArg1:T1\tArg2:T3", r":4: label 'CPR:1', did you mean"),
        ("gold_standard", "77\tCPR:3\tArg1:T3\tArg2:T1", r":4: arguments 'Arg1:T3' \(GENE-N\) and 'Arg2:T1'"),
        ("gold_standard", "77\tCPR:3\tArg1:T1\tArg2:T99", r":4: .*'Arg2:T99' \(nothing\)"),
    ],
)
def test_chemprot_errors_name_file_and_line(kind: str, line: str, message: str, read: Any, corpora: Any) -> None:
    files = corpora.files("ChemProt")
    name = f"chemprot_development/chemprot_development_{kind}.tsv"
    files[name] += f"{line}\n".encode()
    with pytest.raises(InputError, match=f"chemprot_development_{kind}.tsv{message}"):
        read("ChemProt", files)


def test_hoc_rows(read: Any) -> None:
    rows = read("HoC")
    assert [(split, record["doc_id"]) for _, split, record in rows][::3] == [
        ("train", "10"),
        ("dev", "11"),
        ("test", "12"),
    ]
    assert [record["id"] for record in of(rows, "hoc", "train")] == ["10_s0", "10_s1", "10_s2"]
    assert [record["labels"] for record in of(rows, "hoc", "train")] == [
        ["inducing angiogenesis", "resisting cell death"],
        [],
        ["cellular energetics"],
    ]


def test_hoc_without_lists_asks_for_blues_documents(read: Any, corpora: Any) -> None:
    files = {name: content for name, content in corpora.files("HoC").items() if "docid" not in name}
    with pytest.raises(InputError, match=r"no such file, expected document '\d+' of BLUE's document list"):
        read("HoC", files)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("HoC/labels/11.txt", "< Cellular energy-- < <", r"11\.txt:1: label 'cellular energy', did you mean"),
        ("HoC/labels/11.txt", "< Cellular energetics-- <", r"11\.txt:1: labels for 2 sentences, expected 3"),
        ("HoC/text/11.txt", "One .\n", r"11\.txt:1: labels for 3 sentences, expected 1"),
        ("dev_docid.txt", "11\n99\n", r"99\.txt: no such file, expected document '99' of .*dev_docid\.txt:2"),
    ],
)
def test_hoc_errors(name: str, content: str, message: str, read: Any, corpora: Any) -> None:
    with pytest.raises(InputError, match=message):
        read("HoC", corpora.files("HoC") | {name: content.encode()})


def test_biosses_rows(read: Any, corpora: Any) -> None:
    rows = read("Biosses")
    assert [len(of(rows, "biosses", split)) for split in ("train", "dev", "test")] == [64, 16, 20]
    assert of(rows, "biosses", "train")[0] == {
        "id": "0",
        "doc_id": "biosses.78",
        "text_a": "Cell 78 grew .",
        "text_b": "Cell 78 <did> not .",
        "score": 2.6,
    }
    table = "index\tsentence1\tsentence2\tscore\ta\tb\tc\td\te\n"
    for number, first, second, marks in corpora.biosses_pairs():
        table += "\t".join([str(number), first, second, "9.9", *map(str, marks)]) + "\n"
    assert read("Biosses", {"biosses.tsv": table.encode()}) == rows


def test_biosses_archive_is_not_read_but_explained(read: Any) -> None:
    with pytest.raises(InputError, match=r"a RAR archive, .*unpack it"):
        read("Biosses", {"BIOSSES-Dataset.rar": b"Rar!"})


def test_biosses_errors(read: Any, corpora: Any) -> None:
    files = corpora.files("Biosses")
    name = "raw/Annotator-Scores.docx"
    for rows, message in (
        ([["No", *"ABCDE"], ["1", "5", *"1111"]], r"table row 2: score '5', expected 0, 1, 2, 3 or 4"),
        ([["No", *"ABCDE"], ["x", *"11111"]], r"table row 2: 'x' for a pair's number"),
        ([["No", *"ABCDE"], ["1", *"1111"]], r"table row 2 has 5 cells, expected 6"),
        ([["No", *"ABCDE"], ["1", *"11111"]], r"pair 2 is only in one of"),
    ):
        with pytest.raises(InputError, match=message):
            read("Biosses", files | {name: corpora.docx(rows)})
    with pytest.raises(InputError, match=r"Annotator-Scores\.docx: not a readable Word file"):
        read("Biosses", files | {name: b"PK\x03\x04"})


def test_ids_are_unique_within_a_split(read: Any) -> None:
    for name in NAMES:
        rows = sorted((task, split, record["id"]) for task, split, record in read(name, zipped=True))
        assert all(one != other for one, other in itertools.pairwise(rows))


def test_zips_inside_zips_have_one_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomtl.corpora.source.MAX_NESTED", 25_000)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", b"a" * 10_000)
    for count in (2, 3):
        with zipfile.ZipFile(tmp_path / f"{count}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(count):
                archive.writestr(f"{number}.zip", inner.getvalue())
    assert len(list(Source(tmp_path / "2.zip").names)) == 2
    with pytest.raises(InputError, match=r"2\.zip: over [\d,]+ bytes unpacked"):
        Source(tmp_path / "3.zip")


def test_a_zip_inside_a_zip_is_read_from_disk(tmp_path: Path) -> None:
    inner, size = io.BytesIO(), 20 << 20
    with zipfile.ZipFile(inner, "w") as archive:  # stored: as large as what it holds
        archive.writestr("a.txt", b"pola\n" * (size // 5))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", inner.getvalue())
    tracemalloc.start()
    try:
        source = Source(tmp_path / "outer.zip")
        (name,) = source.names
        lines = sum(1 for _ in source.lines(name))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (name, lines) == ("outer.zip/inner.zip/a.txt", size // 5)
    assert peak < 8 << 20


def test_no_room_for_a_zip_inside_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", os.urandom(2 << 20))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    with pytest.raises(InputError, match=r"inner\.zip: no room for it in .*set TMPDIR"):
        Source(tmp_path / "outer.zip")
