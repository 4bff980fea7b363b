"""``biomtl annotate``: documents in every format in, annotated documents in every format out."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import elmo_data
import tiny
from biomtl.formats import Document, Mention, Passage, bioc, brat, jsonl, pubtator
from biomtl.model import MultiTaskModel
from biomtl.tasks import get_task

Command = Callable[..., Any]
READ: dict[str, Callable[[Path], Any]] = {
    "pubtator": pubtator.read,
    "bioc": bioc.read,
    "brat": brat.read,
    "jsonl": jsonl.read,
}
NAMES = {"text": "texts", "pubtator": "in.txt", "bioc": "in.xml", "brat": "standoff", "jsonl": "in.jsonl"}
TASKS = ("tag-drug", "cls-text", "multi-text", "reg-pair")


def write_model(encoder: Path, folder: Path) -> Path:
    """A model of untrained heads, wide enough to find mentions everywhere, and relations between them."""
    torch.manual_seed(0)
    tasks = [*(tiny.task(name) for name in TASKS), get_task("ddi2013"), get_task("chemprot")]
    model = MultiTaskModel.from_encoder(encoder, tasks)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)
        for name, never in (("ddi2013", "DDI-false"), ("tag-drug", "O")):
            labels = model.tasks[name].labels
            bias = [p for p in model.head(name).parameters() if p.shape == (len(labels),)][-1]
            bias[labels.index(never)] -= 10 if never == "O" else 1e4
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(bert, tmp_path_factory.mktemp("annotate") / "model")


def invented() -> list[Document]:
    """Three documents of a title and three sentences, a word of each marked."""
    rng = random.Random(0)
    documents = []
    for i in range(3):
        title, *rest = (" ".join(tiny.sentence(rng)).capitalize() for _ in range(4))
        text = f"{title} {' '.join(rest)}"
        passages = (Passage("title", 0, len(title)), Passage("abstract", len(title) + 1, len(text)))
        word = title.split()[0]
        mention = Mention("T0", "Chemical", ((0, len(word)),), word, ("D000001",))
        documents.append(Document(f"d{i}", text, passages, (mention,)))
    return documents


def write_source(folder: Path, format: str) -> Path:
    """The invented documents in a format, and their path."""
    path = folder / NAMES[format]
    if format == "text":
        path.mkdir()
        for document in invented():
            (path / f"{document.id}.txt").write_text(document.text, encoding="utf-8")
    else:
        {"pubtator": pubtator, "bioc": bioc, "brat": brat, "jsonl": jsonl}[format].write(invented(), path)
    return path


@pytest.mark.parametrize("source", list(NAMES))
@pytest.mark.parametrize("target", list(READ))
def test_every_format_into_every_other(command: Command, model: Path, tmp_path: Path, source: str, target: str) -> None:
    path = write_source(tmp_path, source)
    ended = command("annotate", model, path, "--out", tmp_path / "out", "--to", target)
    assert ended.code == 0, ended.err
    assert ended.out == f"{tmp_path / 'out'}: 3 documents, {target}\n"
    found = list(READ[target](tmp_path / "out"))
    assert [document.id for document in found] == ["d0", "d1", "d2"]
    assert [document.text for document in found] == [document.text for document in invented()]
    for document in found:
        for mention in document.mentions:
            assert mention.text == document.text[mention.start : mention.end] != ""
            assert not mention.identifiers  # what was there is left out
    types = {mention.type for document in found for mention in document.mentions}
    assert types == ({"Drug"} if target == "pubtator" else {"Drug", "Sentence"})
    relations = [relation for document in found for relation in document.relations]
    assert {relation.type[:4] for relation in relations} == {"DDI-"}
    known = {document.id: {mention.id for mention in document.mentions} for document in found}
    assert all({name for _, name in r.arguments} <= known[d.id] for d in found for r in d.relations)
    said = ended.err.splitlines()
    assert "biomtl: reg-pair is not applied: it compares two texts" in said
    assert sum("chemprot is not applied: no tagger of the model finds its arguments" in line for line in said) == 1
    assert any("multi-text is not applied: the format can't store" in line for line in said) == (target == "pubtator")
    left_out = f"biomtl: the 3 annotations of {path} are dropped (--keep keeps them)"
    assert (left_out in said) == (source != "text")
    if target != "pubtator":
        names = {value for d in found for m in d.mentions for key, value in m.attributes if key == "task"}
        assert names == {"tag-drug", "cls-text", "multi-text"}


def test_all_formats_give_the_same_annotations(command: Command, model: Path, tmp_path: Path) -> None:
    path = write_source(tmp_path, "pubtator")
    for target in READ:
        assert command("annotate", model, path, "--out", tmp_path / target, "--to", target).code == 0
    found = {target: list(READ[target](tmp_path / target)) for target in READ}

    def what(document: Document) -> Any:
        names = {mention.id: (mention.type, mention.spans) for mention in document.mentions}
        mentions = sorted((m.type, m.spans, sorted(m.attributes)) for m in document.mentions)
        relations = [(r.type, [names[name] for _, name in r.arguments]) for r in document.relations]
        return mentions, relations

    assert list(map(what, found["bioc"])) == list(map(what, found["brat"])) == list(map(what, found["jsonl"]))
    for few, all_of_it in zip(found["pubtator"], found["jsonl"], strict=True):
        assert what(few)[1] == what(all_of_it)[1]
        drugs = [(m.type, m.spans) for m in all_of_it.mentions if m.type == "Drug"]
        assert [(m.type, m.spans) for m in few.mentions] == drugs


def test_existing_annotations_can_be_kept(command: Command, model: Path, tmp_path: Path) -> None:
    path = write_source(tmp_path, "bioc")
    out = tmp_path / "out.json"
    ended = command("annotate", model, path, "--out", out, "--keep", "--task", "DDI2013-type", "--task", "tag-drug")
    assert ended.code == 0, ended.err
    assert ended.err == "biomtl: one encoder pass for tag-drug and a second for ddi2013 (view mask)\n"
    assert json.loads(out.read_text(encoding="utf-8"))["documents"]
    for before, after in zip(invented(), bioc.read(out), strict=True):
        assert after.mentions[0] == before.mentions[0]
        assert not after.relations  # one chemical was there, so there is no pair of such
        assert len(after.mentions) > 1


def test_json_lines_keep_their_other_keys(command: Command, model: Path, tmp_path: Path) -> None:
    rows = [{"id": 7, "doc_id": "x", "year": 2012, "text": "Pola zalpidine."}, {"text": "Rimu é korinosis."}]
    source = tiny.write_rows(tmp_path / "in.jsonl", rows)
    assert command("annotate", model, source, "--out", tmp_path / "out.jsonl").code == 0
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [{key: row[key] for key in ("id", "doc_id", "year", "text")} for row in found[:1]] == rows[:1]
    assert (found[1]["id"], found[1]["text"]) == ("2", "Rimu é korinosis.")
    ended = command("annotate", model, source, "--out", tmp_path / "out.xml")
    assert "biomtl: bioc can't store doc_id, year\n" in ended.err
    assert [document.id for document in bioc.read(tmp_path / "out.xml")] == ["7", "2"]


def test_a_text_file_is_one_document(command: Command, model: Path, tmp_path: Path) -> None:
    text = "Pola\nzalpidine . Rimu\r\nvono\n\nKorinosis milo\n"
    (tmp_path / "note.txt").write_bytes(text.encode())
    assert command("annotate", model, tmp_path / "note.txt", "--out", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".biomtl.json", "note.ann", "note.txt"]
    assert (tmp_path / "out" / "note.txt").read_bytes() == text.encode()
    (document,) = brat.read(tmp_path / "out")
    sentences = {m.text for m in document.mentions if m.type == "Sentence"}
    assert sentences <= {"Pola zalpidine .", "Rimu vono", "Korinosis milo"}
    # brat marks nothing across line ends, so that a mention has one piece per line.
    assert not any(c in document.text[start:end] for m in document.mentions for start, end in m.spans for c in "\r\n")
    assert sentences


def test_labels_of_whole_documents(command: Command, model: Path, tmp_path: Path) -> None:
    path = write_source(tmp_path, "jsonl")
    given = ("annotate", model, path, "--task", "multi-text", "--whole", "multi-text", "--out", tmp_path / "out.jsonl")
    assert command(*given).code == 0
    for document in jsonl.read(tmp_path / "out.jsonl"):
        assert {(m.type, m.text) for m in document.mentions} <= {("Document", document.text)}


def test_an_elmo_model(command: Command, tmp_path: Path) -> None:
    folder = write_model(elmo_data.write_bilm(tmp_path / "bilm"), tmp_path / "model")
    path = write_source(tmp_path, "pubtator")
    assert command("annotate", folder, path, "--out", tmp_path / "out.xml").code == 0
    found = list(bioc.read(tmp_path / "out.xml"))
    assert {mention.type for document in found for mention in document.mentions} == {"Drug", "Sentence"}


def test_mistakes(command: Command, model: Path, tmp_path: Path) -> None:
    def refused(*given: object) -> str:
        ended = command("annotate", *given)
        assert ended.code == 2, ended
        assert ended.err.splitlines()[-1].startswith("biomtl: error: ")
        assert not list(tmp_path.glob(".*"))
        return str(ended.err)

    path, out = write_source(tmp_path, "pubtator"), tmp_path / "out.jsonl"
    assert "nothing.txt: no such file" in refused(model, tmp_path / "nothing.txt", "--out", out)
    assert "not a biomtl model" in refused(tmp_path, path, "--out", out)
    assert "did you mean 'tag-drug'?" in refused(model, path, "--out", out, "--task", "tag-drugs")
    assert "'conll' is not one of" in refused(model, path, "--out", out, "--to", "conll")
    assert "a file's name for brat" in refused(model, path, "--out", tmp_path / "out.txt", "--to", "brat")
    (tmp_path / "a.tsv").write_text("a\tb\n")
    said = refused(model, tmp_path / "a.tsv", "--out", out)
    assert "documents in tsv, expected text, pubtator, bioc, brat, jsonl, say which with --from" in said
    only = refused(model, path, "--out", out, "--task", "reg-pair")
    assert "no task that can annotate documents (reg-pair: it compares two texts)" in only
    out.write_text("precious")
    assert "already exists" in refused(model, path, "--out", out)
    assert "not the kind of file" in refused(model, path, "--out", out, "--overwrite")
    out.write_text('{"text": "precious"}')
    path.write_text(path.read_text() + "d2\t0\t99999\tPola\tDrug\n")
    assert "in.txt:" in refused(model, path, "--out", out, "--overwrite")
    assert out.read_text() == '{"text": "precious"}'
    bad = tiny.write_rows(tmp_path / "bad.jsonl", [{"text": "Pola."}, {"tokens": ["a"]}])
    assert "bad.jsonl:2: no text" in refused(model, bad, "--out", out, "--overwrite")
    assert out.read_text() == '{"text": "precious"}'


def test_devices_and_pipes_are_refused(command: Command, model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for source, what in (("/dev/zero", "a device"), (tmp_path / "pipe.txt", "a pipe")):
        ended = command("annotate", model, source, "--out", tmp_path / "out.jsonl")
        assert ended.code == 2
        assert f"{source}: {what}, expected a file or folder, save the data" in ended.err


def test_the_input_is_never_replaced(command: Command, model: Path, tmp_path: Path) -> None:
    path = write_source(tmp_path, "jsonl")
    before = path.read_bytes()
    ended = command("annotate", model, path, "--out", path, "--overwrite")
    assert ended.code == 2
    assert "would replace the input" in ended.err
    assert path.read_bytes() == before


def test_arguments_that_nothing_provides_are_reported(command: Command, model: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.pubtator"
    source.write_text("1|t|Pola met rimu.\n1|a|\n1\t0\t4\tPola\tChemical\tD1\n\n", encoding="utf-8")
    ended = command(
        "annotate", model, source, "--out", tmp_path / "out.json", "--keep", "--task", "chemprot", "--task", "cls-text"
    )
    assert ended.code == 0, ended.err
    where = f"neither the taggers nor {source} have mentions of its arguments (gene-y, gene-n)"
    assert f"biomtl: chemprot had no pairs: {where}" in ended.err.splitlines()
