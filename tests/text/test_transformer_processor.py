"""Windows that lose nothing, whatever the text and the tokenizer."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

import tiny
from biomtl.errors import InputError
from biomtl.text.alignment import render_tokens, word_positions
from biomtl.text.base import EncodedRow, EncodedText, Span, TextInput
from biomtl.text.transformer import TransformerProcessor

KINDS = ("bert", "roberta", "deberta")  # WordPiece, byte-level BPE, Unigram
_TOKENIZERS: dict[str, Any] = {}


def processor(kind: str, max_length: int = 16, stride: int | None = None) -> TransformerProcessor:
    if kind not in _TOKENIZERS:
        _TOKENIZERS[kind] = tiny.tokenizer(kind)
    return TransformerProcessor(_TOKENIZERS[kind], max_length, stride)


characters = st.characters(codec="utf-8", exclude_characters="\0")
plain = st.sampled_from(
    [*tiny.WORDS, *tiny.DRUGS, ".", ",", "zalpidine-brentolol", "ß", "é", "e\u0301", "ﬁbrosis", "中文"]
)
odd = st.one_of(
    st.text(characters, min_size=1, max_size=6),
    st.sampled_from(["\u200b", "\x07", "\ufeff", "\u00a0", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "\ud7ff", "👩\u200d⚕️"]),
    st.integers(20, 150).map(lambda n: "x" * n),
)
words_of = st.lists(st.one_of(plain, odd), max_size=40)


def sentence(tokens: Sequence[str], touching: Sequence[bool]) -> tuple[str, list[Span]]:
    offsets, at = [], 0
    for token, touches in zip(tokens, touching, strict=False):
        at += not touches
        offsets.append([at, at + len(token)])
        at += len(token)
    return render_tokens(tokens, offsets)


def naive_first_piece(row: EncodedRow, word: Span) -> int | None:
    """The first piece that covers a character of the word, looked for one by one."""
    for position in range(len(row)):
        start, end = row.offsets[position]
        if row.sides[position] == 0 and start < end and start < word[1] and end > word[0]:
            return position
    return None


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), tokens=words_of, touching=st.lists(st.booleans(), min_size=40, max_size=40))
def test_every_word_has_its_first_piece(kind: str, tokens: list[str], touching: list[bool]) -> None:
    text, words = sentence(tokens, touching)
    (encoded,) = processor(kind).encode([TextInput((text,))])
    positions = word_positions(encoded.rows, words)
    assert positions.shape == (len(words), 2)
    (whole,) = processor(kind, 100_000).encode([TextInput((text,))])
    (alone,) = whole.rows
    for word, (number, position) in zip(words, positions.tolist(), strict=True):
        first = naive_first_piece(alone, word)
        if first is None:
            assert (number, position) == (-1, -1)  # the tokenizer drops the whole word
            continue
        assert number >= 0, f"{text[slice(*word)]!r} of {text!r} has no site"
        row = encoded.rows[number]
        assert position == naive_first_piece(row, word)
        # It is the word's first piece in the text, not only in its window.
        assert row.inputs["input_ids"][position] == alone.inputs["input_ids"][first]
        assert row.offsets[position].tolist() == alone.offsets[first].tolist()


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), tokens=words_of, length=st.integers(8, 40), data=st.data())
def test_windows_cover_a_text(kind: str, tokens: list[str], length: int, data: st.DataObject) -> None:
    text = " ".join(tokens)
    stride = data.draw(st.integers(1, length - 4))
    short = processor(kind, length, stride)
    (encoded,) = short.encode([TextInput((text,))])
    (whole,) = processor(kind, 100_000).encode([TextInput((text,))])
    assert encoded.truncated == 0
    assert all(len(row) <= length for row in encoded.rows)
    pieces = whole.rows[0].inputs["input_ids"][1:-1].tolist()
    covered = 0
    for row in encoded.rows:
        inside = row.inputs["input_ids"][1:-1].tolist()
        begin = max(0, covered - stride) if covered else 0
        assert inside == pieces[begin : begin + len(inside)]
        covered = begin + len(inside)
    assert covered == len(pieces)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), first=words_of, second=words_of, length=st.sampled_from([16, 40, 64]))
def test_windows_cover_a_pair(kind: str, first: list[str], second: list[str], length: int) -> None:
    texts = (" ".join(first), " ".join(second))
    (encoded,) = processor(kind, length).encode([TextInput(texts)])
    (whole,) = processor(kind, 100_000).encode([TextInput(texts)])
    total = len(whole.rows[0])
    assert all(len(row) <= length for row in encoded.rows)
    seen = {side: covered(encoded, side) for side in (0, 1)}
    expected = {side: covered(whole, side) for side in (0, 1)}
    if total <= length:
        assert len(encoded.rows) == 1
    if encoded.truncated:
        # Both too long to stand whole beside the other: as much as a row holds.
        assert len(encoded.rows) == 1
        assert len(encoded.rows[0]) == length
        assert encoded.truncated == total - length
    else:
        assert seen == expected


def covered(encoded: EncodedText, side: int) -> set[tuple[int, int]]:
    return {tuple(o) for row in encoded.rows for o in row.offsets[row.sides == side].tolist()}


def test_the_shorter_text_is_complete_in_every_window() -> None:
    rng = random.Random(0)
    short, long = " ".join(tiny.sentence(rng, 6)), " ".join(tiny.sentence(rng, 90))
    for pair, side in (((short, long), 0), ((long, short), 1)):
        (encoded,) = processor("bert", 48).encode([TextInput(pair)])
        (alone,) = processor("bert", 48).encode([TextInput((short,))])
        assert len(encoded.rows) > 2
        assert encoded.truncated == 0
        for row in encoded.rows:
            ids = row.inputs["input_ids"][row.sides == side]
            assert ids.tolist() == alone.rows[0].inputs["input_ids"][1:-1].tolist()


def test_two_long_texts_are_truncated_and_counted() -> None:
    rng = random.Random(0)
    pair = tuple(" ".join(tiny.sentence(rng, 60)) for _ in range(2))
    (encoded,) = processor("bert", 48).encode([TextInput(pair)])
    (whole,) = processor("bert", 10_000).encode([TextInput(pair)])
    assert encoded.truncated == len(whole.rows[0]) - 48 > 0


def test_separately_encoded_texts_have_their_own_rows() -> None:
    long = " ".join(tiny.sentence(random.Random(0), 40))
    (encoded,) = processor("bert").encode([TextInput(("pola .", long), apart=True)])
    assert [row.segment_id for row in encoded.rows] == [0] + [1] * (len(encoded.rows) - 1)
    assert len(encoded.rows) > 3
    assert all(set(row.sides.tolist()) <= {-1, 0} for row in encoded.rows)


def test_texts_come_back_in_order() -> None:
    texts = [TextInput(("pola .",)), TextInput(("rimu", "vono")), TextInput(("teksa", "milo"), apart=True)] * 3
    for text, encoded in zip(texts, processor("bert").encode(texts), strict=True):
        (expected,) = processor("bert").encode([text])
        assert [r.inputs["input_ids"].tolist() for r in encoded.rows] == [
            r.inputs["input_ids"].tolist() for r in expected.rows
        ]


def test_identity() -> None:
    words = processor("bert")
    assert words.identity(TextInput(("a",), words=((0, 1),))) == words.identity(TextInput(("a",)))
    pairs = {words.identity(TextInput(("a", "b"), apart=apart)) for apart in (False, True)}
    assert len(pairs | {words.identity(TextInput(("b", "a")))}) == 3


def test_an_empty_text_without_special_tokens_is_a_row() -> None:
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "[PAD]": 1, "pola": 2}, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words = TransformerProcessor(PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]"), 16)
    texts = [TextInput(("",)), TextInput(("", "")), TextInput(("pola", ""), apart=True)]
    rows = [row for encoded in words.encode(texts) for row in encoded.rows]
    assert [row.inputs["input_ids"].tolist() for row in rows] == [[1], [1], [2], [1]]
    assert words.collate(rows)["attention_mask"].tolist() == [[1]] * 4
    assert word_positions(rows[:1], [(0, 1)]).tolist() == [[-1, -1]]


def test_collate_pads_with_the_padding_id() -> None:
    words = processor("bert")
    rows = [encoded.rows[0] for encoded in words.encode([TextInput(("pola",)), TextInput(("pola rimu teksa",))])]
    batch = words.collate(rows)
    assert sorted(batch) == ["attention_mask", "input_ids", "token_type_ids"]
    assert batch["attention_mask"].sum(1).tolist() == [3, 5]
    assert batch["input_ids"][0].tolist() == [*rows[0].inputs["input_ids"].tolist(), 3, 3]
    assert all(value.dtype.is_floating_point is False and value.shape == (2, 5) for value in batch.values())


@pytest.mark.parametrize(("length", "stride"), [(4, 1), (16, 0), (16, 13), (16, -1)])
def test_impossible_lengths(length: int, stride: int) -> None:
    with pytest.raises(InputError, match=f"max_length {length} with stride {stride}"):
        processor("bert", length, stride)


def test_saved_lengths(bert: Path, tmp_path: Path) -> None:
    TransformerProcessor.load(bert, 40, 6).save(tmp_path)
    again = TransformerProcessor.load(tmp_path)
    assert (again.max_length, again.stride) == (40, 6)
    assert TransformerProcessor.load(tmp_path, 24).stride == 6
    assert TransformerProcessor.load(bert).max_length == 128
    assert np.array_equal(
        again.encode([TextInput(("pola zalpidine",))])[0].rows[0].inputs["input_ids"],
        TransformerProcessor.load(bert).encode([TextInput(("pola zalpidine",))])[0].rows[0].inputs["input_ids"],
    )


def test_a_folder_without_tokenizer(bert: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(bert / name, tmp_path / name)
    with pytest.raises(InputError, match=r"no tokenizer, expected tokenizer.json or vocab.txt"):
        TransformerProcessor.load(tmp_path)


@pytest.mark.parametrize("damage", ["short", "empty", "other json", "no json"])
def test_a_broken_tokenizer_gives_a_one_line_error(bert: Path, tmp_path: Path, damage: str) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        shutil.copy(bert / name, tmp_path / name)
    whole = (bert / "tokenizer.json").read_text()
    broken = {"short": whole[:500], "empty": "", "other json": json.dumps({"a": 1}), "no json": "\x80"}[damage]
    (tmp_path / "tokenizer.json").write_text(broken)
    with pytest.raises(InputError, match="no tokenizer could be loaded") as caught:
        TransformerProcessor.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_settings_of_the_wrong_type_give_a_one_line_error(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": {}}))
    with pytest.raises(InputError, match="no tokenizer could be loaded") as caught:
        TransformerProcessor.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [[["input_ids"]], [], ["../.."], ["input_ids", "offset_mapping"], "input_ids"])
def test_unknown_model_inputs_give_a_one_line_error(bert: Path, tmp_path: Path, names: Any) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_input_names": names}))
    with pytest.raises(InputError, match="a tokenizer with model_input_names"):
        TransformerProcessor.load(folder)


@pytest.mark.parametrize("texts", [("zalpidine " * 60,), ("zalpidine " * 60, "teksa")])
def test_windows_that_lose_pieces_are_refused(bert: Path, texts: tuple[str, ...]) -> None:
    """tokenizers 0.23.1 and 0.23.2 return the first and the last window of a long text, and nothing between."""
    processor = TransformerProcessor.load(bert, max_length=32, stride=4)
    whole = processor.encode([TextInput(texts)])[0]
    assert len(whole.rows) > 2
    take = processor._tokenize

    def first_and_last(*args: Any, **keys: Any) -> Any:
        encoding = take(*args, **keys)
        for values in encoding.data.values():
            del values[1:-1]
        encoding._encodings = [encoding.encodings[0], encoding.encodings[-1]]
        return encoding

    processor._tokenize = first_and_last  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"tokenizers [\d.]+ cuts \d+ word pieces into windows that hold \d+ of them"):
        processor.encode([TextInput(texts)])
