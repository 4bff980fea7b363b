"""``biomtl embed`` on small encoders."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from biomtl.cli.embed import Words, read_sentences
from biomtl.cli.main import main
from biomtl.encoders.elmo import Elmo, ElmoOptions, convert_elmo, encode, load_elmo, save_elmo
from biomtl.errors import InputError
from biomtl.inference.embed import embed, write_embeddings

Run = Callable[..., tuple[int, str]]

SENTENCES = [["a", "word"], ["Zalpidine", "(", "x", ")"], ["one"]]


@pytest.fixture(scope="module")
def elmo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    char = {"embedding": {"dim": 4}, "filters": [[1, 4], [3, 8]], "n_highway": 1}
    lstm = {"dim": 16, "projection_dim": 6, "cell_clip": 3, "proj_clip": 3, "use_skip_connections": True}
    folder = tmp_path_factory.mktemp("elmo") / "model"
    save_elmo(Elmo(ElmoOptions.parse({"char_cnn": char, "lstm": lstm})), folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "word", "zal", "##pi", "##dine", "(", "x", ")", "one"]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(*arguments)`` -> exit code and stderr."""

    def run_command(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["biomtl", "embed", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run_command


def test_elmo_to_hdf5(run: Run, elmo: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(" ".join(words) for words in SENTENCES) + "\n")
    code, said = run(elmo, tmp_path / "in.txt", "--out", tmp_path / "out.hdf5")
    assert code == 0, said
    wanted = list(encode(load_elmo(elmo), SENTENCES))
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert sorted(file) == ["0", "1", "2"]
        for i, layers in enumerate(wanted):
            assert file[str(i)].dtype == np.float32
            assert file[str(i)].shape == (3, len(SENTENCES[i]), 12)
            np.testing.assert_allclose(file[str(i)][()], layers.numpy(), atol=1e-6)
    code, said = run(elmo, tmp_path / "in.txt", "--out", tmp_path / "out.hdf5")
    assert code == 2
    assert "--overwrite" in said


def test_bad_line_leaves_no_file(run: Run, elmo: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a word"}\n{"text": " "}\n')
    code, said = run(elmo, tmp_path / "in.jsonl", "--out", tmp_path / "out.hdf5")
    assert code == 2
    assert said.strip().splitlines()[-1].startswith(f"biomtl: error: {tmp_path}/in.jsonl:2: a sentence with no words")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_blank_lines_are_skipped_as_in_predict(run: Run, elmo: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a word\n\n  \nanother\n")
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress((tmp_path / "in.txt").read_bytes()))
    for name in ("in.txt", "in.txt.gz"):
        code, said = run(elmo, tmp_path / name, "--out", tmp_path / f"{name}.hdf5")
        assert code == 0, said
        with h5py.File(tmp_path / f"{name}.hdf5") as file:
            assert sorted(file) == ["0", "1"]


def test_transformer_layers_first_piece_and_mean(bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    encoded = tokenizer("Zalpidine ( x )", return_tensors="pt")
    assert encoded["input_ids"].shape[1] == 8
    states = network(**encoded, output_hidden_states=True).hidden_states
    states = torch.stack(states)[:, 0].detach().numpy()
    first = list(embed(bert, SENTENCES))
    mean = list(embed(bert, SENTENCES, pooling="mean"))
    assert [layers.shape for layers in first] == [(3, 2, 8), (3, 4, 8), (3, 1, 8)]
    np.testing.assert_allclose(first[1], states[:, [1, 4, 5, 6]], atol=1e-5)
    np.testing.assert_allclose(mean[1][:, 0], states[:, 1:4].mean(1), atol=1e-5)
    np.testing.assert_allclose(mean[1][:, 1:], states[:, 4:7], atol=1e-5)


def test_long_and_odd_sentences(bert: Path) -> None:
    """Windows cover every word of a sentence that is longer than the encoder's positions; odd words have zeros."""
    sentences = [["word", "a"] * 30, ["a", "", "\u200b", "\ud800", "a b", "x"]]
    for pooling in ("first", "mean"):
        long, odd = embed(bert, sentences, pooling=pooling)  # type: ignore[arg-type]
        assert long.shape == (3, 60, 8)
        assert (np.abs(long).sum((0, 2)) > 0).all()
        assert odd.shape == (3, 6, 8)
        assert not odd[:, 1].any()
        assert odd[:, 5].any()


def test_stateful_is_for_elmo(elmo: Path, bert: Path) -> None:
    apart = list(embed(elmo, SENTENCES))
    carried = list(embed(elmo, SENTENCES, stateful=True))
    np.testing.assert_allclose(apart[0], carried[0], atol=1e-6)
    assert np.abs(apart[1][1:] - carried[1][1:]).max() > 1e-4
    with pytest.raises(InputError, match="--stateful with a transformer"):
        embed(bert, SENTENCES, stateful=True)


def test_bf16_is_close(elmo: Path, bert: Path) -> None:
    for model in (elmo, bert):
        exact, near = list(embed(model, SENTENCES)), list(embed(model, SENTENCES, bf16=True))
        for a, b in zip(exact, near, strict=True):
            assert b.dtype == np.float32
            assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a)


def test_reads_lazily(elmo: Path, tmp_path: Path) -> None:
    """A sentence is read when it is needed, so that a file of any size streams."""
    asked = 0

    def endless() -> object:
        nonlocal asked
        while True:
            asked += 1
            yield ["word"] * 1000

    vectors = embed(elmo, endless())  # type: ignore[arg-type]
    next(vectors)
    assert asked < 100


def test_convert_then_embed(elmo: Path, tmp_path: Path) -> None:
    convert_elmo(elmo, tmp_path / "again")
    for a, b in zip(embed(elmo, SENTENCES), embed(tmp_path / "again", SENTENCES), strict=True):
        assert np.array_equal(a, b)


def test_write_needs_no_sentences(tmp_path: Path) -> None:
    assert write_embeddings(tmp_path / "out.hdf5", []) == 0
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert list(file) == []


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_words_of_lines_and_records(tmp_path: Path) -> None:
    lines = write(tmp_path / "in.txt", "\ufeffZalpidine-free  diet.\r\n", "x\n")
    assert list(read_sentences(lines)) == [["Zalpidine-free", "diet."], ["x"]]
    assert next(read_sentences(lines, Words.cut)) == ["Zalpidine", "-", "free", "diet", "."]
    records = write(tmp_path / "in.jsonl", {"tokens": ["a b", ""]}, {"text": "x-y z."}, {"tokens": ["q"], "text": "z"})
    assert list(read_sentences(records)) == [["a b", ""], ["x", "-", "y", "z", "."], ["q"]]
    assert list(read_sentences(records, Words.blanks))[1] == ["x-y", "z."]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": 1}, "2: no tokens and no text, expected"),
        ({"tokens": "a b"}, "2: tokens that are not a list of strings"),
        ({"tokens": ["a", 1]}, "2: tokens that are not a list of strings"),
        ({"tokens": []}, "2: a sentence with no words"),
        ({"text": " "}, "2: a sentence with no words"),
        (["a"], "2: a JSON list, expected a JSON object"),
        ("{\n", "2: not JSON"),
    ],
)
def test_bad_records(record: object, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {"text": "fine"}, record)
    with pytest.raises(InputError) as caught:
        list(read_sentences(path))
    assert message in str(caught.value)


def test_vectors_of_texts_and_pairs(bert: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    import transformers

    lines = tmp_path / "in.txt"
    lines.write_text("a word\n\nZalpidine ( x )|||one\n")
    network = transformers.AutoModel.from_pretrained(bert).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    with torch.inference_mode():
        pair = network(**tokenizer("Zalpidine ( x )", "one", return_tensors="pt"), output_hidden_states=True)
    ended = command("embed", bert, lines, "--of", "text", "--layers", "-1,0", "--out", tmp_path / "a.hdf5")
    assert ended.code == 0, ended.err
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert sorted(file) == ["0", "1"]
        expected = torch.stack([pair.hidden_states[-1][0, 0], pair.hidden_states[0][0, 0]]).numpy()
        np.testing.assert_allclose(file["1"][:], expected, atol=1e-5)
    (tmp_path / "in.jsonl").write_text(json.dumps({"text_a": "Zalpidine ( x )", "text_b": "one"}) + "\n")
    for of, expected in (("pooled", pair.pooler_output[0]), ("text", pair.hidden_states[-1][0].mean(0)[None])):
        more = ["--pooling", "mean", "--layers", "-1"] if of == "text" else []
        out = tmp_path / f"{of}.hdf5"
        ended = command("embed", bert, tmp_path / "in.jsonl", "--of", of, *more, "--out", out)
        assert ended.code == 0, ended.err
        with h5py.File(out) as file:
            np.testing.assert_allclose(file["0"][:], expected.numpy(), atol=1e-5)


def test_chosen_layers_of_words(bert: Path, elmo: Path) -> None:
    for model in (bert, elmo):
        whole, last = list(embed(model, SENTENCES)), list(embed(model, SENTENCES, layers=[-1]))
        for every, one in zip(whole, last, strict=True):
            np.testing.assert_array_equal(every[-1:], one)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layers", "9"], "layer 9, expected 0 to 2"),
        (["--layers", "last"], "--layers 'last', expected numbers"),
        (["--of", "pooled", "--layers", "-1"], "--layers for the pooled vector"),
        (["--of", "text", "--words", "cut"], "--words for whole texts"),
    ],
)
def test_options_that_are_refused(
    bert: Path, tmp_path: Path, command: Callable[..., Any], words: list[str], message: str
) -> None:
    (tmp_path / "in.txt").write_text("a word\n")
    ended = command("embed", bert, tmp_path / "in.txt", *words, "--out", tmp_path / "a.hdf5")
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "a.hdf5").exists()


def test_whole_texts_of_an_elmo_are_refused(elmo: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "in.txt").write_text("a\tb\tc\n")
    ended = command("embed", elmo, tmp_path / "in.txt", "--of", "text", "--out", tmp_path / "a.hdf5")
    assert "vectors of whole texts from an ELMo" in ended.err
