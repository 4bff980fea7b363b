"""The corpora of BLURB from their original files: invented samples in the exact layouts, and real ones if present."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.registry import readers
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task
from biomtl.tasks.task import SPLITS
from biomtl.tasks.types.base import check_record
from blurb_data import Files, bioasq, lay, originals

NAMES = tuple(originals())


def read(name: str, folder: Path, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Split -> records, each of which must be a record of its task."""
    (reader,) = [reader for reader in readers() if type(reader).__name__ == name]
    source = Source(folder)
    (task,) = reader.detect(source)
    found: dict[str, list[dict[str, Any]]] = {}
    for _, split, record in reader.read(source, [task], replace(ReadOptions(), **options)):
        assert check_record(get_task(task), record) is None
        found.setdefault(split, []).append(record)
    for records in found.values():
        assert len({record["id"] for record in records}) == len(records)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_reader_recognises_only_its_own_files(name: str, tmp_path: Path) -> None:
    source = Source(lay(originals()[name], tmp_path))
    assert [type(reader).__name__ for reader in readers() if reader.detect(source)] == [name]


def test_ncbi_disease_has_one_type_and_each_document_once(tmp_path: Path) -> None:
    found = read("NCBIDisease", lay(originals()["NCBIDisease"], tmp_path))
    assert {split: len(records) for split, records in found.items()} == {"train": 4, "dev": 2, "test": 2}
    title = found["train"][0]
    assert (title["id"], title["tokens"]) == ("11.0", ["A", "zorubic", "tremor"])
    assert title["tags"] == ["O", "B-Disease", "B-Disease"]  # the inner mention comes later in the file
    assert title.cases["nested"] == 1  # type: ignore[attr-defined]
    files = {**originals()["NCBIDisease"], "NCBItestset_corpus.txt": "9|t|Flu\n9|a|X\n9\t0\t3\tFlu\tIllness\tD1\n"}
    with pytest.raises(InputError, match="mention 'Flu' of type 'Illness'"):
        read("NCBIDisease", lay(files, tmp_path / "bad"))


def test_bc2gm_offsets_count_no_spaces_and_dev_follows_the_list(tmp_path: Path) -> None:
    found = read("BC2GM", lay(originals()["BC2GM"], tmp_path))
    (train,), (dev,), (test,) = (found[split] for split in ("train", "dev", "test"))
    assert train["tokens"] == ["The", "abc", "-", "2", "gene", "."]
    assert train["tags"] == [
        "O",
        "B-Gene",
        "I-Gene",
        "I-Gene",
        "O",
        "O",
    ]  # the alternative would take the word gene too
    assert set(dev["tags"]) == {"O"}
    assert [t for t in zip(test["tokens"], test["tags"], strict=True) if t[1] != "O"] == [
        ("Xyz", "B-Gene"), ("xyz", "B-Gene"), ("1", "I-Gene"),
    ]  # fmt: skip
    for wrong, said in (("P2A1|0 99|Xyz", "0 99 in a sentence of 11"), ("P2A1 0 2", "expected ID"), ("Q|0 1|x", "'Q'")):
        files = {**originals()["BC2GM"], "bc2GMtest_1.0/test/GENE.eval": f"P2A1|0 2|Xyz\n{wrong}\n"}
        with pytest.raises(InputError, match=rf"GENE.eval:2: .*{said}"):
            read("BC2GM", lay(files, tmp_path / said[:2]))


def test_jnlpba_joins_the_types_and_the_last_200_abstracts_are_dev(tmp_path: Path) -> None:
    found = read("JNLPBA", lay(originals()["JNLPBA"], tmp_path))
    assert {split: len({r["doc_id"] for r in rows}) for split, rows in found.items()} == {
        "train": 3,
        "dev": 200,
        "test": 1,
    }
    first = found["train"][0]
    assert (first["id"], first["tags"]) == ("95000000.0", ["O", "B-Entity", "B-Entity", "I-Entity"])
    assert found["dev"][0]["doc_id"] == "95000003"
    files = {"Genia4ERtask1.iob2": "The\tO\n"}
    with pytest.raises(
        InputError, match=r"Genia4ERtask1.iob2: a file without marks of abstracts, expected Genia4ERtask2"
    ):
        read("JNLPBA", lay(files, tmp_path / "one"))


def test_ebm_pico_takes_the_last_element_and_splits_at_full_stops(tmp_path: Path) -> None:
    found = read("EBMNLP", lay(originals()["EBMNLP"], tmp_path))
    assert sorted(found) == ["dev", "test", "train"]
    one, two = found["train"]
    assert (one["id"], one["tokens"], one["tags"]) == ("1.0", ["Old", "men", "."], ["I-PAR", "I-INT", "O"])
    assert (two["id"], two["tags"], two["offsets"]) == ("1.10", ["I-INT", "O"], [[10, 13], [14, 23]])
    files = {name: "1 0" if name.endswith("3.AGGREGATED.ann") else text for name, text in originals()["EBMNLP"].items()}
    with pytest.raises(InputError, match=r"3.AGGREGATED.ann: 2 labels, expected 5, one for each token"):
        read("EBMNLP", lay(files, tmp_path / "short"))


def test_gad_is_split_by_row(tmp_path: Path) -> None:
    found = read("GAD", lay(originals()["GAD"], tmp_path))
    assert {split: len(records) for split, records in found.items()} == {"train": 4261, "dev": 2, "test": 1}
    assert [(r["id"], r["label"]) for r in found["dev"]] == [("0", "false"), ("1", "false")]
    train = found["train"][0]
    assert (train["label"], [entity["text"] for entity in train["entities"]]) == (
        "association",
        ["@GENE$", "@DISEASE$"],
    )


def test_pubmedqa_is_split_by_the_lists_in_the_package(tmp_path: Path) -> None:
    found = read("PubMedQA", lay(originals()["PubMedQA"], tmp_path))
    (train,) = found["train"]
    assert train == {"id": "1", "doc_id": "1", "text_a": "Is it?", "text_b": "One. Two.", "label": "yes"}
    assert [found[split][0]["label"] for split in ("dev", "test")] == ["no", "maybe"]
    files = {"ori_pqal.json": '{"1": {"QUESTION": "Is it?", "CONTEXTS": ["One."], "final_decision": "perhaps"}}'}
    with pytest.raises(InputError, match="question '1': final_decision 'perhaps'"):
        read("PubMedQA", lay(files, tmp_path / "odd"))


def test_bioasq_samples_dev_unless_blurbs_lists_are_there(tmp_path: Path) -> None:
    found = read("BioASQ", lay(originals()["BioASQ"], tmp_path))
    assert {split: len(records) for split, records in found.items()} == {"train": 9, "dev": 1, "test": 2}
    assert found["test"][1] == {
        "id": "b2",
        "doc_id": "b2",
        "text_a": "Is it so?",
        "text_b": "It is. Indeed.",
        "label": "no",
    }
    assert read("BioASQ", tmp_path, seed=3)["dev"] != found["dev"]
    lists = {
        f"indexing/BioASQ/{split}_id.tsv": text
        for split, text in zip(("train", "dev", "test"), ("a0", "a2,b1", "b2"), strict=True)
    }
    listed = read("BioASQ", lay({**originals()["BioASQ"], **lists}, tmp_path / "lists"))
    assert {split: [r["id"] for r in rows] for split, rows in listed.items()} == {
        "train": ["a0"],
        "dev": ["a2", "b1"],
        "test": ["b2"],
    }
    for wrong, said in (("a2,b9", "'b9', expected an id of the corpus"), ("a2,a0", "'a0' again")):
        with pytest.raises(InputError, match=f"dev_id.tsv: {said}"):
            read(
                "BioASQ",
                lay({**originals()["BioASQ"], **lists, "indexing/BioASQ/dev_id.tsv": wrong}, tmp_path / said[1:3]),
            )
    files = {**originals()["BioASQ"], "Task7BGoldenEnriched/7B1_golden.json": bioasq("b1", answer="maybe")}
    with pytest.raises(InputError, match=r"7B1_golden.json, question 1: exact_answer 'maybe', expected yes or no"):
        read("BioASQ", lay(files, tmp_path / "maybe"))


PIECES = ("\t", "\n", "|", '"', "}", "[", "-1", "99999999999", "\x00", "É", "B-X", "1 ")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_give_records_or_one_error_with_their_name(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in NAMES if name not in ("GAD", "JNLPBA")]))  # two large ones
    files: Files = originals()[name]
    victim = data.draw(st.sampled_from(sorted(files)))
    content, piece = files[victim], data.draw(st.sampled_from(PIECES))
    at = data.draw(st.integers(0, len(content)))
    files[victim] = content[:at] + piece + content[at + data.draw(st.integers(0, 6)) :]
    (reader,) = [reader for reader in readers() if type(reader).__name__ == name]
    with tempfile.TemporaryDirectory() as folder:
        source = Source(lay(files, Path(folder)))
        try:
            rows = list(reader.read(source, reader.detect(source), ReadOptions()))
        except InputError as error:
            rows, where = [], str(error.path)
        else:
            where = folder
    assert where.startswith(folder)
    assert all(split in SPLITS for _, split, _ in rows)


def test_ddi_and_hallmarks_as_blurb_splits_them(shared: Path) -> None:
    """Real files: the counts of the paper that don't depend on a list that only BLURB has."""
    found = {
        name: divided(name, shared / "data" / corpus) for name, corpus in (("BlurbDDI", "ddi2013"), ("BlurbHoC", "hoc"))
    }
    ddi, hoc = found["BlurbDDI"], found["BlurbHoC"]
    assert {split: len(rows) for split, rows in hoc.items()} == {"train": 1295, "dev": 186, "test": 371}
    assert sum(not row["labels"] for rows in hoc.values() for row in rows) == 272  # BLUE leaves these out
    assert len(ddi["test"]) == 5716
    assert sum(row["label"] == "DDI-false" for row in ddi["test"]) == 4737
    assert len(ddi["train"]) + len(ddi["dev"]) == 25296 + 2496 - 1  # a pair without a type has no row
    documents = [{row["doc_id"] for row in ddi[split]} for split in ("train", "dev", "test")]
    assert len(set().union(*documents)) == sum(map(len, documents))


def divided(name: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    (reader,) = [reader for reader in readers() if type(reader).__name__ == name]
    source, splits = Source(folder), {}
    for _, split, record in reader.read(source, reader.detect(source), ReadOptions()):
        splits.setdefault(split, []).append(record)
    return splits


@pytest.mark.parametrize(
    ("name", "folder", "ending", "suffix"), [("BlurbHoC", "HoC", "pmid", ".txt"), ("BlurbDDI", "DDI", "files", ".xml")]
)
def test_blurbs_lists_of_documents_are_used_if_present(
    name: str, folder: str, ending: str, suffix: str, tmp_path: Path
) -> None:
    document = (
        '<document id="D{0}"><sentence id="D{0}.s0" text="Abc of xyz">'
        '<entity id="a" charOffset="0-2" type="drug" text="Abc"/>'
        '<entity id="b" charOffset="7-9" type="drug" text="xyz"/>'
        '<pair id="D{0}.s0.p0" e1="a" e2="b" ddi="false"/></sentence></document>'
    )
    files: Files = {}
    for number in (11, 12, 13):
        if name == "BlurbHoC":
            files |= {f"text/{number}.txt": "One .\nTwo .\n", f"labels/{number}.txt": "< Cellular energetics--x < NULL"}
        else:
            files[f"{'Test' if number == 13 else 'Train'}/DrugBank/{number}.xml"] = document.format(number)
    parts = {"train": "11", "dev": "12", "test": "13"}
    files |= {f"indexing/{folder}/{split}_{ending}.tsv": f"x/{number}{suffix}" for split, number in parts.items()}
    splits = divided(name, lay(files, tmp_path))
    assert {split: "".join(row["doc_id"] for row in rows).removeprefix("D") for split, rows in splits.items()} == parts
    if name == "BlurbHoC":
        assert splits["dev"] == [{"id": "12", "doc_id": "12", "text": "One . Two .", "labels": ["cellular energetics"]}]
