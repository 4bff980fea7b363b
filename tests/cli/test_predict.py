"""``biomtl predict``: reads text, pairs and records, and writes one JSON line per text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.tasks import known_tasks

Command = Callable[..., Any]
SINGLE, PAIRS = ["cls-text", "multi-text", "tag-drug"], ["reg-apart", "reg-pair"]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_text_and_pairs_from_standard_input(command: Command, small_model: Path) -> None:
    text = "pola  zalpidine, été .\r\n\nrimu\tvono\n"
    ended = command("predict", small_model, stdin=text.encode())
    assert ended.code == 0, ended.err
    first, second = lines(ended.out)
    assert (first["id"], first["text"]) == (1, "pola  zalpidine, été .")
    assert sorted(first["tasks"]) == SINGLE
    assert (second["id"], second["text_a"], second["text_b"]) == (3, "rimu", "vono")
    assert sorted(second["tasks"]) == PAIRS
    expected = Predictor(small_model)(["pola  zalpidine, été ."])[0]
    assert first["tasks"] == json.loads(json.dumps({name: r.to_dict() for name, r in expected.items()}))
    for mention in first["tasks"]["tag-drug"]["mentions"]:
        assert first["text"][mention["start"] : mention["end"]] == mention["text"]


def test_records(command: Command, small_model: Path, tmp_path: Path) -> None:
    tagged = tiny.records("tag-drug", 1)[0]
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "pola ."},
        {"text_a": "rimu", "text_b": "vono"},
        {"id": 7, "tokens": ["zalpidine", "-", "rimu"]},
        tagged,
    ]
    source = tiny.write_rows(tmp_path / "in.jsonl", rows)
    ended = command("predict", small_model, source, "--out", tmp_path / "out.jsonl")
    assert ended.code == 0, ended.err
    assert ended.out == ""
    found = lines((tmp_path / "out.jsonl").read_text())
    assert [row["id"] for row in found] == ["a", 2, 7, tagged["id"]]
    assert found[2]["text"] == "zalpidine - rimu"
    assert [len(row["tasks"]["tag-drug"]["tags"]) for row in found[2:]] == [3, len(tagged["tokens"])]
    assert "tags" not in found[0]["tasks"]["tag-drug"]
    ended = command("predict", small_model, source, "--out", tmp_path / "out.jsonl")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert command("predict", small_model, source, "--out", tmp_path / "out.jsonl", "--overwrite").code == 0


def test_records_from_standard_input(command: Command, small_model: Path, tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "pola ."}, {"id": "b", "text_a": "rimu", "text_b": "vono"}]
    source = tiny.write_rows(tmp_path / "in.jsonl", rows)
    piped = command("predict", small_model, stdin=b"\n" + source.read_bytes())
    assert piped.code == 0, piped.err
    assert piped.out == command("predict", small_model, source).out
    broken = command("predict", small_model, "-", stdin=source.read_bytes() + b"pola .\n")
    assert (broken.code, broken.out) == (2, "")
    assert "standard input:3: not JSON" in broken.err
    text = command("predict", small_model, stdin=b"{pola} is text.\n")
    assert lines(text.out)[0]["text"] == "{pola} is text."


def test_a_unicode_line_separator_does_not_split_a_text(command: Command, small_model: Path) -> None:
    text = "pola\u2028rimu\x85zalpidine\u2029été ."
    ended = command("predict", small_model, "--task", "tag-drug", stdin=f"{text}\n".encode())
    (row,) = lines(ended.out)
    assert row["text"] == text
    for mention in row["tasks"]["tag-drug"]["mentions"]:
        assert text[mention["start"] : mention["end"]] == mention["text"]


def test_records_are_tagged_as_evaluation_tags_them(
    command: Command, small_model: Path, small_suite: Path, tmp_path: Path
) -> None:
    assert command("evaluate", small_model, "--data", small_suite, "--out", tmp_path / "e").code == 0
    ended = command("predict", small_model, small_suite / "tag-drug" / "test.jsonl", "--task", "tag-drug")
    evaluated = lines((tmp_path / "e" / "predictions" / "tag-drug" / "test.jsonl").read_text())
    predicted = lines(ended.out)
    assert [(row["id"], row["tasks"]["tag-drug"]["tags"]) for row in predicted] == [
        (row["id"], row["tags"]) for row in evaluated
    ]


def test_nothing(command: Command, small_model: Path, tmp_path: Path) -> None:
    assert command("predict", small_model)[:2] == (0, "")
    assert command("predict", small_model, stdin=b"\n \n")[:2] == (0, "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.txt", b"pola\n\xff\n", "in.txt:2: byte 0xff at column 1 is not UTF-8"),
        ("in.txt", b"pola\0\n", "in.txt:1: a NUL byte"),
        ("in.jsonl", b"{\n", "in.jsonl:1: not JSON"),
        ("in.jsonl", b'{"text": 3}\n', "in.jsonl:1: no input text, expected text, text_a and text_b, or tokens"),
        ("in.jsonl", b'{"text": "a"}\n{"text_a": "b"}\n', "in.jsonl:2: no input text"),
        ("in.jsonl", b'{"tokens": ["a", 1]}\n', "in.jsonl:1: token 1, expected text"),
        ("in.jsonl", b'{"tokens": "a"}\n', "in.jsonl:1: tokens and offsets must be lists"),
        ("in.jsonl", b'{"tokens": []}\n', "in.jsonl:1: no tokens"),
        ("in.jsonl", b'{"tokens": ["a", ""]}\n', "in.jsonl:1: token '', expected text"),
        ("in.jsonl", b'{"tokens": ["a"], "offsets": [null]}\n', "in.jsonl:1: offsets None for the token 'a'"),
        ("in.jsonl", b'{"tokens": ["abc"], "offsets": [[5, 2]]}\n', "in.jsonl:1: offsets [5, 2] for the token 'abc'"),
        ("in.jsonl", b'{"tokens": ["a"], "offsets": [[-1, 0]]}\n', "in.jsonl:1: offsets [-1, 0] for the token 'a'"),
        ("in.jsonl", b'{"tokens": ["a"], "offsets": [[0, 1], [2, 3]]}\n', "in.jsonl:1: 1 tokens with 2 offsets"),
        ("in.json", b'[{"text": "a"},\n {"text": 1}]\n', "in.json:2: no input text"),
        ("in.json", b'[{"text": "a"},\n oops]\n', "in.json:2: not JSON"),
        ("in.txt.gz", b"no gzip", "in.txt.gz:1: can't be unpacked"),
        ("in.jsonl.gz", gzip.compress(b'{"text": "a"}\n', mtime=0)[:-9], "in.jsonl.gz:"),
        ("in.jsonl", b'{"text": "\\ud800"}\n', "in.jsonl:1: half a surrogate pair"),
    ],
)
def test_invalid_input(
    command: Command, small_model: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = command("predict", small_model, tmp_path / name, "--out", tmp_path / "out")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_task_by_its_alias(command: Command, bert: Path, tmp_path: Path) -> None:
    MultiTaskModel.from_encoder(bert, [known_tasks()[name] for name in ("ddi2013", "hoc")]).save_pretrained(
        tmp_path / "m"
    )
    ended = command("predict", tmp_path / "m", "--task", "DDI2013-type", stdin=b"word\n")
    assert ended.code == 0, ended.err
    assert list(json.loads(ended.out)["tasks"]) == ["ddi2013"]


def test_mistakes(command: Command, small_model: Path, tmp_path: Path) -> None:
    def refused(*given: object, stdin: bytes = b"") -> str:
        ended = command("predict", *given, stdin=stdin)
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1
        return str(ended.err)

    assert "nothing.txt: no such file" in refused(small_model, tmp_path / "nothing.txt")
    assert "not a biomtl model" in refused(tmp_path)
    (tmp_path / "model.onnx").touch()
    for graph in (tmp_path, tmp_path / "model.onnx"):
        assert "give the model of which this is an ONNX graph" in refused(graph)
    assert "a csv file, expected lines of text, or JSON lines, write JSON lines" in refused(small_model, "notes.csv")
    assert "a pubtator file, expected lines of text, or JSON lines, use `biomtl annotate`" in refused(
        small_model, "a.pubtator.gz"
    )
    assert "did you mean 'tag-drug'?" in refused(small_model, "--task", "tag-drugs")
    said = refused(small_model, "--task", "reg-pair", stdin=b"a\tb\nonly one\n")
    assert "-:2: no task of the model takes single texts, expected input for reg-pair" in said
    assert "standard input:1: byte 0xff" in refused(small_model, stdin=b"\xff\n")


def test_compressed_files_and_lists_of_records(command: Command, small_model: Path, tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "pola ."}, {"id": "b", "text_a": "rimu", "text_b": "vono"}]
    plain = command("predict", small_model, tiny.write_rows(tmp_path / "in.jsonl", rows))
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress((tmp_path / "in.jsonl").read_bytes()))
    (tmp_path / "list.json").write_text(json.dumps(rows, indent=2))
    (tmp_path / "lines.json").write_bytes((tmp_path / "in.jsonl").read_bytes())
    assert plain.code == 0
    for name in ("in.jsonl.gz", "list.json", "lines.json"):
        assert command("predict", small_model, tmp_path / name) == plain
    assert command("predict", small_model, stdin=json.dumps(rows).encode()) == plain
    (tmp_path / "in.txt").write_text("pola .\n\nrimu\n")
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress((tmp_path / "in.txt").read_bytes()))
    assert command("predict", small_model, tmp_path / "in.txt.gz") == command(
        "predict", small_model, tmp_path / "in.txt"
    )
