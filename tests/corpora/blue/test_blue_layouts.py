"""Every layout of relation, pair and HoC files gives the documented records. All text is invented."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora.blue.reader import BlueFiles
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task

CPR = "index\tsentence\tlabel\r\n7.T1.T2\t@CHEMICAL$ blocks @GENE$.\tCPR:4\r\n"
STS = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\r\n"
FOUR = "index\tsentence1\tsentence2\tscore\n0\tOne cell.\tTwo cells.\t2.4\n"
NLI = {
    "release": "label\tindex\tsentence1\tsentence2\nneutral\tp1\tHe coughs.\tHe smokes.\n",
    "converter": "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n",
    "elmo": "id\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n",
    "canonical": "p1\tneutral\tHe coughs.\tHe smokes.\n",
}


def one(found: dict[str, dict[str, list[dict[str, Any]]]], task: str, split: str = "train") -> dict[str, Any]:
    assert list(found) == [task]
    (record,) = found[task][split]
    return record


def test_relation(read: Any) -> None:
    assert one(read({"ChemProt/train.tsv": CPR}), "chemprot") == {
        "id": "7.T1.T2",
        "doc_id": "7",
        "text": "@CHEMICAL$ blocks @GENE$.",
        "label": "CPR:4",
        "entities": [
            {"id": "e1", "type": "CHEMICAL", "start": 0, "end": 10, "text": "@CHEMICAL$"},
            {"id": "e2", "type": "GENE", "start": 18, "end": 24, "text": "@GENE$"},
        ],
    }


def test_one_placeholder_over_both_mentions(read: Any) -> None:
    record = one(read({"chemprot/train.tsv": CPR.replace("@CHEMICAL$ blocks @GENE$", "The @CHEM-GENE$")}), "chemprot")
    assert [(e["type"], e["start"], e["end"]) for e in record["entities"]] == [("CHEM", 4, 15), ("GENE", 4, 15)]


def test_unmasked_text_has_no_entities(read: Any) -> None:
    record = one(read({"chemprot/train.tsv": CPR.replace("@CHEMICAL$", "It")}), "chemprot")
    assert "entities" not in record


def test_two_labels_of_a_pair_get_two_ids(read: Any) -> None:
    rows = CPR + "7.T1.T2\t@CHEMICAL$ blocks @GENE$.\tCPR:6\r\n7.T1.T3\t@CHEMICAL$ is @GENE$.\tfalse\r\n"
    records = read({"chemprot/train.tsv": rows})["chemprot"]["train"]
    assert [(r["id"], r["label"]) for r in records] == [
        ("7.T1.T2", "CPR:4"),
        ("7.T1.T2#2", "CPR:6"),
        ("7.T1.T3", "false"),
    ]


@pytest.mark.parametrize("header", ["index\tsentence\tlabel", "label\tindex\tsentence", "sentence\tlabel\tindex"])
def test_relation_columns_by_name(read: Any, header: str) -> None:
    cells = {"index": "DDI-DrugBank.d0.s1.p0", "sentence": "@DRUG$ and @DRUG$", "label": "DDI-int"}
    row = "\t".join(cells[name] for name in header.split("\t"))
    record = one(read({"ddi2013-type/train.tsv": f"{header}\n{row}\n"}), "ddi2013")
    assert (record["id"], record["doc_id"], record["label"]) == ("DDI-DrugBank.d0.s1.p0", "DDI-DrugBank.d0", "DDI-int")


def test_i2b2_document(read: Any) -> None:
    index = "note-1.x.note-1.x.con.l0.note-1.x.con.l12"
    text = f"index\tsentence\tlabel\n{index}\t@problem$ after @treatment$\tTrCP\n"
    assert one(read({"i2b2-2010-re/train.tsv": text}), "i2b2-2010")["doc_id"] == "note-1.x"


def test_canonical_relation(read: Any) -> None:
    record = one(
        read({"canonical_data/ddi2013-type_dev.tsv": "u.s0.p0\tDDI-int\t@DRUG$ and @DRUG$\n"}), "ddi2013", "dev"
    )
    assert (record["id"], record["doc_id"], record["text"]) == ("u.s0.p0", "u", "@DRUG$ and @DRUG$")


@pytest.mark.parametrize("layout", NLI)
def test_inference(read: Any, layout: str) -> None:
    name = "canonical_data/mednli_train.tsv" if layout == "canonical" else "mednli/train.tsv"
    assert one(read({name: NLI[layout]}), "mednli") == {
        "id": "p1",
        "doc_id": "p1",
        "text_a": "He coughs.",
        "text_b": "He smokes.",
        "label": "neutral",
    }


FILLERS = "g\tf\t1997\t1\tS\tS"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clinicalSTS/train.tsv", f"{STS}0\t{FILLERS}\tOne cell.\tTwo cells.\t2.4\r\n"),
        ("clinicalsts/train.tsv", FOUR),
        ("medsts/train.tsv", "score\tsentence1\tsentence2\tindex\n2.4\tOne cell.\tTwo cells.\t0\n"),
        ("canonical_data/clinicalsts_train.tsv", "0\t2.4\tOne cell.\tTwo cells.\n"),
    ],
)
def test_similarity(read: Any, name: str, text: str) -> None:
    assert one(read({name: text}), "medsts") == {
        "id": "0",
        "doc_id": "0",
        "text_a": "One cell.",
        "text_b": "Two cells.",
        "score": 2.4,
    }


def test_similarity_takes_the_last_three_of_ten_whatever_their_names(read: Any) -> None:
    header = STS.replace("sentence1\tsentence2\tscore", "a\tb\tgold")
    record = one(read({"BIOSSES/dev.tsv": f"{header}5\t{FILLERS}\tOne.\tTwo.\t4\r\n"}), "biosses", "dev")
    assert (record["id"], record["text_a"], record["text_b"], record["score"]) == ("5", "One.", "Two.", 4.0)


def test_similarity_columns_are_found_by_name_if_more_follow(read: Any) -> None:
    rows = f"0\t{FILLERS}\tOne.\tTwo.\t3.2\tJo\r\n"
    record = one(read({"clinicalSTS/train.tsv": STS.replace("\r\n", "\tannotator\r\n") + rows}), "medsts")
    assert (record["text_a"], record["text_b"], record["score"]) == ("One.", "Two.", 3.2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BIOSSES/dev.tsv", "index\tsentence1\tsentence2\n", "no column 'score', expected the columns index, score"),
        ("hoc/dev.tsv", "index\tsentence\n", "no column 'labels', expected the columns index, labels, sentence"),
        ("chemprot/dev.tsv", "index\tsentence\n", "no column 'label', expected the columns index, label, sentence"),
        ("BIOSSES/dev.tsv", "0\tOne.\tTwo.\tx\n", "no header, expected a header with the columns index, score"),
    ],
)
def test_a_missing_column_is_named_as_in_its_files(read: Any, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"{name}:1: {message}"):
        read({name: text})


def test_a_tab_inside_a_quoted_sentence(read: Any) -> None:
    rows = f'0\t{FILLERS}\tOne.\tTwo.\t4.0\r\n1\t{FILLERS}\tA start:\t"Half \tand half"\t1.4\r\n'
    records = read({"BIOSSES/train.tsv": STS + rows})["biosses"]["train"]
    assert (records[1]["text_a"], records[1]["text_b"]) == ("A start:", "Half \tand half")


CODES = "0_0,1_0,2_1,3_0,4_0,5_0,6_0,7_1,8_0,9_0"
NAMES = ["cellular energetics", "resisting cell death"]


@pytest.mark.parametrize(
    "text",
    [
        f"index\tlabels\tsentence\n12_s0\t{CODES}\tCells died.\n",
        f"index\tsentence\tlabels\n12_s0\tCells died.\t{CODES}\n",
        f"index\tsentence\tlabels\n12_s0\tCells died.\t{NAMES[1]},{NAMES[0]}\n",
        f"index\tsentence1\tsentence2\tlabel\n12_s0\tCells died.\t{NAMES[0]},{NAMES[1]}\n",
        "index\tsentence\tlabels\n12_s0\tCells died.\t2_1,7_1\n",
    ],
)
def test_hoc_by_sentence(read: Any, text: str) -> None:
    expected = {"id": "12_s0", "doc_id": "12", "text": "Cells died.", "labels": NAMES}
    assert one(read({"hoc/train.tsv": text}), "hoc") == expected


def test_hoc_by_document(read: Any) -> None:
    text = f'pmid\ttext\tlabels\n12\t"The ""end"". It came."\t{NAMES[1]};{NAMES[0]}\n13\tNothing.\t\n'
    first, second = read({"hoc/dev.tsv": text})["hoc"]["dev"]
    assert first == {"id": "12", "doc_id": "12", "text": 'The "end". It came.', "labels": NAMES}
    assert second["labels"] == []


NAMED = {
    "medsts": ["clinicalSTS", "clinicalsts", "clnclsts", "medsts"],
    "biosses": ["BIOSSES"],
    "bc5cdr-chem": ["BC5CDR-chem", "bc5cdr-chemical"],
    "bc5cdr-disease": ["BC5CDR-disease", "bc5cdr-dz"],
    "shareclefe": ["ShAReCLEFEHealthCorpus", "shareclefe", "clefe"],
    "ddi2013": ["ddi2013-type", "ddi"],
    "chemprot": ["ChemProt"],
    "i2b2-2010": ["i2b2-2010", "i2b2_2010", "i2b2", "i2b2-2010-re"],
    "hoc": ["hoc", "HoC"],
    "mednli": ["mednli", "MedNLI"],
}


@pytest.mark.parametrize(("task", "folder"), [(task, name) for task, names in NAMED.items() for name in names])
def test_folder_names_of_every_consumer(tmp_path: Path, task: str, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "train.tsv").touch()
    assert BlueFiles().detect(Source(tmp_path)) == [task]
    assert BlueFiles().detect(Source(tmp_path / folder)) == [task]


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [("train", "devel", "test"), ("Training", "Development", "Test"), ("train", "dev", "test")],
)
def test_file_names_of_every_consumer(read: Any, train: str, dev: str, test: str) -> None:
    found = read({f"shareclefe/{name}.tsv": f"{name}\tn1\t0\tO\n\n" for name in (train, dev, test)})["shareclefe"]
    assert {split: records[0]["tokens"] for split, records in found.items()} == {
        "train": [train],
        "dev": [dev],
        "test": [test],
    }


def test_packed_files(tmp_path: Path) -> None:
    (tmp_path / "chemprot").mkdir()
    (tmp_path / "chemprot" / "dev.tsv.gz").write_bytes(gzip.compress(CPR.encode()))
    with zipfile.ZipFile(tmp_path / "blue.zip", "w") as archive:
        archive.writestr("bert_data/mednli/test.tsv", NLI["release"])
    source = Source(tmp_path)
    found = [(task, split) for task, split, _ in BlueFiles().read(source, ["chemprot", "mednli"], ReadOptions())]
    assert found == [("chemprot", "dev"), ("mednli", "test")]


def test_a_folder_without_a_name_for_its_task(read: Any) -> None:
    assert one(read({"mine/train.tsv": CPR}, assume="chemprot"), "chemprot")["id"] == "7.T1.T2"


def test_the_most_complete_folder_wins(read: Any) -> None:
    other = CPR.replace("7.", "8.")
    files = {"chemprot/dev.tsv": CPR, "canonical_data/chemprot_dev.tsv": "9.T1.T2\tfalse\tIt.\n"}
    assert read(files)["chemprot"]["dev"][0]["doc_id"] == "7"  # BLUE's own name before MT-DNN's
    more = {"b/chemprot/train.tsv": other, "b/chemprot/dev.tsv": other}
    assert read(files | more)["chemprot"]["dev"][0]["doc_id"] == "8"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/hoc/dev.tsv": "", "b/hoc/dev.tsv": ""}, "the same task in two folders: a/hoc and b/hoc"),
        ({"hoc/dev.tsv": "", "hoc/devel.tsv": ""}, "two files for dev: hoc/dev.tsv and hoc/devel.tsv"),
    ],
)
def test_two_candidates_are_refused(read: Any, files: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(files)


def test_every_task_of_the_benchmark_has_a_family() -> None:
    from biomtl.corpora.blue.reader import FAMILIES
    from biomtl.tasks import SUITES

    assert set(FAMILIES) == set(SUITES["blue"])
    assert all(get_task(name) for name in FAMILIES)


CANONICAL_ROWS = {
    "clinicalsts": "0\t2.4\tOne cell.\tTwo cells.\n",
    "biosses": "0\t2.4\tOne cell.\tTwo cells.\n",
    "mednli": "p1\tneutral\tHe coughs.\tHe smokes.\n",
    "ddi2013-type": "u.s0.p0\tDDI-int\t@DRUG$ and @DRUG$\n",
    "chemprot": "u.1\tCPR:3\t@CHEMICAL$ and @GENE$\n",
    "i2b2-2010-re": "u.1\tPIP\t@problem$ and @problem$\n",
    "bc5cdr-chemical": '12.0\t["B-Chemical", "O"]\t["Milo", "sat"]\t["0;4", "5;8"]\n',
    "bc5cdr-disease": '12.0\t["B-Disease", "O"]\t["Milo", "sat"]\t["0;4", "5;8"]\n',
    "shareclefe": '12.0\t["B-Disease", "O"]\t["Milo", "sat"]\t["0;4", "5;8"]\n',
}


def test_all_nine_of_mt_bluebert(tmp_path: Path, command: Any) -> None:
    """No reader of an original corpus claims one of them."""
    for name, row in CANONICAL_ROWS.items():
        for split in ("train", "dev", "test"):
            (tmp_path / "canonical_data").mkdir(exist_ok=True)
            (tmp_path / "canonical_data" / f"{name}_{split}.tsv").write_text(row)
    ended = command("prepare", tmp_path / "canonical_data", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "out").glob("*/train.jsonl"))) == 9
