"""Own files that are not what their names or cells suggest: recognised by content, or reported."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.scoring import score_records
from biomtl.suite import TaskData, load_suite


def own(path: str, kind: str = "classification", **given: object) -> TaskData:
    """The data of a task."""
    definition = TaskDefinition(type=kind, files=Files(train=path), **given)  # type: ignore[arg-type]
    return load_suite("nowhere", ["mine"], {"mine": definition})["mine"]


def read(path: str, kind: str = "classification", **given: object) -> list[dict]:
    """The train records of a task."""
    return own(path, kind, **given).records("train")


def notes(path: str, kind: str = "classification", **given: object) -> tuple[str, ...]:
    """The notes on a task."""
    return own(path, kind, **given).notes


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


TOKENS = "Aspirin\tB-Drug\nstops\tO\n\nsevere\tI-Pain\npain\tI-Pain\n\nNo\tO\n.\tO\n"


@pytest.mark.parametrize("name", ["a.tsv", "a.tab", "a.txt", "a"])
def test_a_file_with_one_token_per_line_is_recognised_by_its_content(write, name: str) -> None:
    records = read(write(name, TOKENS), "tagging")
    assert [record["tokens"] for record in records] == [["Aspirin", "stops"], ["severe", "pain"], ["No", "."]]
    assert records[1]["tags"] == ["B-Pain", "I-Pain"]


def test_sentences_without_document_marks_are_documents_of_their_own(write) -> None:
    first, second, third = read(write("a.conll", TOKENS), "tagging")
    assert len({first["doc_id"], second["doc_id"], third["doc_id"]}) == 3
    assert [record["offsets"][0][0] for record in (first, second, third)] == [0, 0, 0]
    result = score_records(own(write("b.tsv", TOKENS), "tagging").task, [first, second, third], [first, second, third])
    assert (result.units, result.unit) == (3, "row")
    marked = read(write("c.conll", "-DOCSTART-\tO\n\n" + TOKENS), "tagging")
    assert len({record["doc_id"] for record in marked}) == 1


def test_chunks_are_not_joined_across_sentences_without_documents(write) -> None:
    text = "a\tO\nb\tB-Drug\n\nc\tI-Drug\nd\tO\n"
    records = read(write("a.tsv", text), "tagging")
    task = own(write("b.tsv", text), "tagging").task
    assert score_records(task, records, records).metrics["entity_f1_spans"].support == 2


def test_one_word_per_row_is_refused_with_a_hint(write) -> None:
    path = write("a.csv", "word,tag\n" + "".join(f"w{i},O\n" for i in range(30)) + "x,B\n")
    with pytest.raises(InputError, match=r"31 of 31 rows hold one word, .* use `format: conll`"):
        read(path, "tagging", columns={"tokens": "word", "tags": "tag"})


def test_quoted_cells_are_reported_and_read(write) -> None:
    text = 'text\tlabel\n"one ""two"" three"\tx\nfour\ty\nfi"ve\tx\n'
    path = write("a.tsv", text)
    assert read(path)[0]["text"] == '"one ""two"" three"'
    assert "1 of 3 rows of a.tsv have cells in double quotes" in " ".join(notes(path))
    assert read(write("b.tsv", text.replace('fi"ve', "five")), quoting="csv")[0]["text"] == 'one "two" three'
    assert not any("quotes" in note for note in notes(path, quoting="none"))
    assert not any("quotes" in note for note in notes(write("c.csv", 'text,label\n"a, b",x\nc,y\n')))
    assert read(write("d.csv", 'text,label\n"a" b,x\nc,y\n'), quoting="none")[0]["text"] == '"a" b'


def test_labels_that_contain_a_separator_are_reported(write) -> None:
    path = write("a.tsv", "text\tlabels\none\ta;b\ntwo\tb;c\nthree\tc\n")
    (line,) = [note for note in notes(path, "multilabel") if "separator" in note]
    assert "2 of 3 labels hold a ';'" in line
    assert not any("separator" in note for note in notes(path, "multilabel", separator=";"))


def test_texts_without_annotations_are_reported(tmp_path: Path) -> None:
    for name in ("done", "open"):
        (tmp_path / f"{name}.txt").write_text("Aspirin stops pain.\n")
    (tmp_path / "done.ann").write_text("T1\tDrug 0 7\tAspirin\n")
    said = (
        f"task mine: 1 of 2 texts in {tmp_path.name} have no .ann and count as texts without mentions, such as open.txt"
    )
    assert said in notes(str(tmp_path), "tagging")
    (tmp_path / "open.ann").touch()
    assert not any(".ann" in note for note in notes(str(tmp_path), "tagging"))


def test_labels_that_annotate_wrote_over_sentences_are_no_mentions(write) -> None:
    aspirin = {"id": "T0", "type": "Drug", "start": 0, "end": 7, "text": "Aspirin"}
    label = {"id": "T1", "type": "Sentence", "start": 0, "end": 19, "text": "Aspirin stops pain."}
    document = {"id": "1", "text": label["text"], "relations": []}
    labelled = {**label, "attributes": {"task": "effect", "label": "good"}}
    entry = own(write("a.jsonl", json.dumps({**document, "mentions": [aspirin, labelled]})), "tagging")
    assert entry.task.labels == ("O", "B-Drug", "I-Drug")
    assert entry.records("train")[0]["tags"] == ["B-Drug", "O", "O", "O"]
    plain = own(write("b.jsonl", json.dumps({**document, "mentions": [label]})), "tagging")
    assert plain.task.labels == ("O", "B-Sentence", "I-Sentence"), "a type of the user's own"


def test_compressed_files(tmp_path: Path) -> None:
    contents = {
        "a.tsv": ("classification", "text\tlabel\none\tx\ntwo\ty\n"),
        "a.csv": ("classification", 'text,label\n"one, two",x\ntwo,y\n'),
        "a.jsonl": ("classification", '{"text": "one", "label": "x"}\n{"text": "two", "label": "y"}\n'),
        "b.tsv": ("tagging", TOKENS),
        "b.conll": ("tagging", TOKENS),
        "a.pubtator": ("tagging", "1|t|Aspirin stops.\n1|a|It hurts.\n1\t0\t7\tAspirin\tDrug\tD1\n"),
    }
    for name, (kind, text) in contents.items():
        (tmp_path / name).write_text(text)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        plain, packed = (read(str(tmp_path / end), kind) for end in (name, f"{name}.gz"))
        names = ("id", "doc_id")
        strip = [[{k: v for k, v in row.items() if k not in names} for row in rows] for rows in (plain, packed)]
        assert strip[0] == strip[1] != []


@pytest.mark.parametrize("indent", [None, 2])
def test_json_records_are_distinguished_from_bioc(write, indent: int | None) -> None:
    rows = [{"id": "1", "text": "one", "label": "x"}, {"id": "2", "text": "two", "label": "y"}]
    for text in (json.dumps(rows, indent=indent), "".join(json.dumps(row) + "\n" for row in rows)):
        assert [record["text"] for record in read(write("a.json", text))] == ["one", "two"]
    with pytest.raises(InputError, match=r"a\.json:2: a JSON str"):
        read(write("a.json", json.dumps([rows[0], "two"], indent=indent)))
    passage = {"offset": 0, "text": "Aspirin stops.", "infons": {}, "annotations": []}
    note = {"id": "T1", "text": "Aspirin", "infons": {"type": "Drug"}, "locations": [{"offset": 0, "length": 7}]}
    passage["annotations"] = [note]
    collection = {"source": "", "documents": [{"id": "1", "infons": {}, "passages": [passage]}]}
    for value in (collection, [collection]):
        (record,) = read(write("b.json", json.dumps(value, indent=indent)), "tagging")
        assert record["tags"][0] == "B-Drug"


def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stream.tsv")
    with pytest.raises(InputError, match=r"stream\.tsv: a pipe, expected a file or folder, save the data"):
        own(str(tmp_path / "stream.tsv"), format="tsv")


def test_folders_of_brat_in_one_split_may_have_files_of_the_same_name(write, tmp_path: Path) -> None:
    for folder, text in (("first", "Zorin helps."), ("second", "Zorin fails.")):
        (tmp_path / folder).mkdir()
        write(f"{folder}/note.txt", text)
        write(f"{folder}/note.ann", "T1\tDrug 0 5\tZorin\n")
    files = write("own.yaml", "tasks:\n- {name: drugs, type: tagging, files: {train: [first, second], dev: first}}\n")
    data = load_suite(files)["drugs"]
    train = data.records("train")
    assert [record["tokens"][1] for record in train] == ["helps", "fails"]
    assert len({record["id"] for record in train}) == len({record["doc_id"] for record in train}) == 2
    assert [record["id"] for record in data.records("dev")] == ["note.0"]
