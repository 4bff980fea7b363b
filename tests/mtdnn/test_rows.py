"""MT-DNN's data in each of its formats, as own tasks read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biomtl.custom import Files, TaskDefinition, own_task
from biomtl.custom.detect import detect
from biomtl.errors import InputError
from biomtl.tasks.types.base import task_type

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "pola", "rimu", "##sa", ".", "vono")


def read(path: Path, kind: str, **options: Any) -> list[dict[str, Any]]:
    definition = TaskDefinition(type=kind, files=Files(train=(str(path),)), **options)
    records = own_task("mine", definition, task_type(kind)).records("train")
    return [{key: value for key, value in record.items() if key != "doc_id"} for record in records]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


TEXT = {"id": "7", "label": "no", "text": "Milo sat."}
PAIR = {"id": "7", "label": "no", "text_a": "Milo sat.", "text_b": "He lay."}
SCORED = {"id": "7", "score": 2.5, "text_a": "Milo sat.", "text_b": "He lay."}
TAGGED = {"id": "d.4", "tokens": ["Milo", "sat"], "tags": ["B-X", "O"]}
RANKED = {"id": "7", "label": 1, "text": "Who?", "candidates": ["Milo.", "Rimu."]}

CANONICAL = {
    "text": ("classification", ["7\tno\tMilo sat.", "8\tyes\tNo."], {}, TEXT),
    "text by number": ("classification", ["7\t0\tMilo sat.", "8\t1\tNo."], {"labels": ("no", "yes")}, TEXT),
    "pair": ("classification", ["7\tno\tMilo sat.\tHe lay.", "8\tyes\tA\tB"], {}, PAIR),
    "score": ("regression", ["7\t2.5\tMilo sat.\tHe lay.", "8\t1\tA\tB"], {}, SCORED),
    "tags": ("tagging", ['d.4\t["B-X", "O"]\t["Milo", "sat"]'], {}, TAGGED | {"offsets": [[0, 4], [5, 8]]}),
    "tags in Python": ("tagging", ["d.4\t['B-X', 'O']\t['Milo', \"sat\"]"], {}, TAGGED | {"offsets": [[0, 4], [5, 8]]}),
    "tags of MT-BlueBERT": (
        "tagging", ['d.4\t["B-X", "O"]\t["Milo", "sat"]\t["4;8", "9;12"]'], {}, TAGGED | {"offsets": [[4, 8], [9, 12]]},
    ),
    "ranking": ("ranking", ["7\t1,2\t0,1\tWho?\tMilo.\tRimu."], {}, RANKED),
    "ranking by index": ("ranking", ["7\t1,2\t1\tWho?\tMilo.\tRimu."], {}, RANKED),
}  # fmt: skip


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_rows(tmp_path: Path, name: str) -> None:
    kind, rows, options, expected = CANONICAL[name]
    assert read(write(tmp_path / "t.tsv", *rows), kind, format="mtdnn", **options)[0] == expected


JSON = {
    "text": ("classification", {"uid": 7, "label": "no", "premise": "Milo sat."}, TEXT),
    "pair": ("classification", {"uid": 7, "label": 0, "premise": "Milo sat.", "hypothesis": "He lay."}, PAIR),
    "score": ("regression", {"uid": 7, "label": 2.5, "premise": "Milo sat.", "hypothesis": "He lay."}, SCORED),
    "tags": (
        "tagging", {"uid": "d.4", "label": [1, 0], "premise": ["Milo", "sat"]}, TAGGED | {"offsets": [[0, 4], [5, 8]]},
    ),
    "ranking": (
        "ranking",
        {"uid": 7, "label": [0, 1], "ruid": ["1", "2"], "premise": "Who?", "hypothesis": ["Milo.", "Rimu."]},
        RANKED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize("name", JSON)
def test_json_rows_are_recognised_by_their_keys(tmp_path: Path, name: str, suffix: str) -> None:
    kind, row, expected = JSON[name]
    labels = {"classification": ("no", "yes"), "tagging": ("O", "B-X", "I-X")}.get(kind)
    path = write(tmp_path / f"t.{suffix}", row)
    assert detect(path, tagging=kind == "tagging") == "mtdnn"
    if kind == "regression":
        path = write(path, row, row | {"uid": 8, "label": 1})
    assert read(path, kind, labels=labels)[0] == expected


TOKENISED = {
    "text": ("classification", {"label": 1, "token_id": [2, 4, 5, 6, 7, 3], "type_id": [0] * 6},
             {"label": "yes", "text": "pola rimusa ."}),
    "pair": ("classification", {"label": 0, "token_id": [2, 4, 3, 5, 6, 3], "type_id": [0, 0, 0, 1, 1, 1]},
             {"label": "no", "text_a": "pola", "text_b": "rimusa"}),
    "unknown": ("classification", {"label": 0, "token_id": [2, 1, 4, 3], "type_id": [0] * 4},
                {"label": "no", "text": "⌧ pola"}),
    "score": ("regression", {"label": 1.5, "token_id": [2, 4, 3, 5, 3], "type_id": [0, 0, 0, 1, 1]},
              {"score": 1.5, "text_a": "pola", "text_b": "rimu"}),
    "tags": ("tagging", {"label": [4, 1, 0, 3, 5], "token_id": [2, 4, 5, 6, 3], "type_id": [0] * 5},
             {"tokens": ["pola", "rimusa"], "tags": ["B-X", "O"], "offsets": [[0, 4], [5, 11]]}),
    "ranking": ("ranking", {"label": 1, "token_id": [[2, 4, 3, 5, 3], [2, 4, 3, 8, 3]],
                            "type_id": [[0, 0, 0, 1, 1]] * 2},
                {"label": 1, "text": "pola", "candidates": ["rimu", "vono"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENISED)
def test_word_pieces_become_texts(tmp_path: Path, name: str) -> None:
    kind, row, expected = TOKENISED[name]
    write(tmp_path / "vocab.txt", *PIECES)
    path = write(
        tmp_path / "t.json", {"uid": 7, **row}, *([{"uid": 8, **row, "label": 3.0}] if "score" in name else [])
    )
    labels = {"classification": ("no", "yes"), "tagging": ("O", "B-X", "I-X")}.get(kind)
    found = read(path, kind, labels=labels, vocabulary=str(tmp_path / "vocab.txt"))[0]
    if name == "unknown":
        found["text"] = "⌧" + found["text"][1:]  # any character that isn't in the vocabulary
    assert found == {"id": "7", **expected}


def test_word_pieces_survive_a_round_trip(tmp_path: Path) -> None:
    from transformers import BertTokenizerFast

    write(tmp_path / "vocab.txt", *PIECES, "[MASK]")
    tokenizer = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"))
    ids = tokenizer("Pola rimusa. Zzz", "vono.")
    row = {"uid": 1, "label": 0, "token_id": ids["input_ids"], "type_id": ids["token_type_ids"]}
    path = write(tmp_path / "t.json", row)
    found = read(path, "classification", labels=("a", "b"), vocabulary=str(tmp_path / "vocab.txt"))[0]
    assert tokenizer(found["text_a"], found["text_b"])["input_ids"] == ids["input_ids"]


def test_pairs_that_were_encoded_the_other_way_round(tmp_path: Path) -> None:
    write(tmp_path / "vocab.txt", *PIECES)
    kind, row, _ = TOKENISED["pair"]
    path = write(tmp_path / "t.json", {"uid": 7, **row})
    swapped = {"text_a": "text_b", "text_b": "text_a"}
    found = read(path, kind, labels=("no", "yes"), vocabulary=str(tmp_path / "vocab.txt"), columns=swapped)[0]
    assert (found["text_a"], found["text_b"]) == ("rimusa", "pola")


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("classification", "7\tno", r"t\.tsv:1: 2 column\(s\), expected uid, label, premise"),
        ("classification", "7\t9\tText.", r"label 9 of 2, expected 0 to 1"),
        ("tagging", "7\t['O']\t['a', 'b']", "as many tokens as tags"),
        ("tagging", "7\t__import__('os').system('touch x')\t['a']", "malformed"),
        ("tagging", "7\t['O']\t['a'", "a malformed row"),
        ("tagging", "7\t3\t['a']", "a int, expected a list"),
        ("ranking", "7\t1,2\t0\tWho?\tMilo.", "two or more hypotheses"),
        ("regression", "7\tmuch\tA\tB", "could not convert string to float: 'much'"),
    ],
)
def test_bad_rows_give_a_one_line_error(tmp_path: Path, kind: str, row: str, message: str) -> None:
    labels = {"classification": ("no", "yes"), "tagging": ("O",)}.get(kind)
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path / "t.tsv", row), kind, format="mtdnn", labels=labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"token_id": [2, 99, 3], "type_id": [0, 0, 0]}, "piece 99, expected 0 to 8: is it another vocabulary"),
        ({"token_id": [2, 4, 3], "type_id": [0]}, "3 pieces with 1 type ids"),
        ({"token_id": [2, 3], "type_id": [0, 0]}, "0 texts"),
        ({"token_id": "no", "type_id": 1}, "a malformed row"),
        ({"token_id": [2, 4, 3]}, "a malformed row"),
    ],
)
def test_bad_word_pieces(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    write(tmp_path / "vocab.txt", *PIECES)
    path = write(tmp_path / "t.json", {"uid": 7, "label": 0, **row})
    with pytest.raises(InputError, match=message):
        read(path, "classification", labels=("a", "b"), vocabulary=str(tmp_path / "vocab.txt"))


def test_word_pieces_need_their_vocabulary(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", {"uid": 7, "label": 0, "token_id": [2, 4, 3], "type_id": [0, 0, 0]})
    with pytest.raises(InputError, match=r"word pieces by number, expected the vocabulary.*vocabulary: vocab\.txt"):
        read(path, "classification", labels=("a", "b"))
    with pytest.raises(InputError, match="no such file, expected the vocab"):
        read(path, "classification", labels=("a", "b"), vocabulary=str(tmp_path / "vocab.txt"))
    write(tmp_path / "vocab.txt", "words", "alone")
    with pytest.raises(InputError, match=r"no \[CLS\]"):
        read(path, "classification", labels=("a", "b"), vocabulary=str(tmp_path / "vocab.txt"))
