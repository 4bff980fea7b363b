"""The encoder half of T5 and similar models: with heads, saved, exported and embedded; others are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from biomtl.errors import InputError
from biomtl.inference.embed import embed
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.training.optimiser import set_dropout

NAMES = ("cls-pair", "reg-text", "tag-drug", "multi-apart")


def write(folder: Path, class_name: str, config: Any, words: Any) -> Path:
    import transformers

    torch.manual_seed(0)
    getattr(transformers, class_name)(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole T5, with its decoder, as the hub has them."""
    import transformers

    words = tiny.tokenizer("roberta")
    config = transformers.T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2, pad_token_id=3,
        decoder_start_token_id=3,
    )  # fmt: skip
    return write(tmp_path_factory.mktemp("t5") / "t5", "T5ForConditionalGeneration", config, words)


def test_a_t5_s_encoder_is_trained_saved_and_loaded(t5: Path, tmp_path: Path) -> None:
    import biomtl

    suite = tiny.write_suite(tmp_path / "suite", NAMES, train=8, other=4)
    keys = {"encoder": str(t5), "suite": str(suite), "max_length": 32, "max_steps": 2, "num_hidden_layers": 2}
    keys |= {"eval_strategy": "no", "layer_decay": 0.9, "learning_rate": 1e-3, "output": str(tmp_path / "run")}
    run = biomtl.train(keys)
    names = [name for name, _ in run.model.encoder.named_parameters()]
    assert not any("decoder" in name or "block.2" in name for name in names)
    again = MultiTaskModel.from_pretrained(run.folder)
    records = {name: tiny.records(name, 4) for name in NAMES}
    assert predict_records(again, records) == predict_records(run.model, records)
    set_dropout(again, 0.25)
    assert again.encoder.network.encoder.block[0].layer[0].SelfAttention.dropout == 0.25


def test_hidden_states_are_those_of_the_whole_model(t5: Path) -> None:
    import transformers

    model = tiny.model(t5, ["tag-drug"], max_length=32).eval()
    whole = transformers.T5ForConditionalGeneration.from_pretrained(t5).eval()
    ids = torch.tensor([[5, 9, 12, 1]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        own, theirs = model.encoder(inputs).hidden, whole.encoder(**inputs).last_hidden_state
    torch.testing.assert_close(own, theirs)


def test_exports(t5: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    import transformers

    tiny.model(t5, ["tag-drug", "cls-pair"], max_length=32).save_pretrained(tmp_path / "model")
    ended = command("export", tmp_path / "model", tmp_path / "hf", "--task", "tag-drug", "--to", "hf")
    assert ended.code == 0, ended.err
    stock = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "hf").eval()
    model = MultiTaskModel.from_pretrained(tmp_path / "model")
    ids = torch.tensor([[5, 9, 12, 1]])
    with torch.no_grad():
        torch.testing.assert_close(stock(input_ids=ids).logits, model.logits("tag-drug", input_ids=ids))
    ended = command("export", tmp_path / "model", tmp_path / "hf2", "--task", "cls-pair", "--to", "hf")
    assert ended.code == 2
    assert "a head that stock transformers has" in ended.err


def test_vectors(t5: Path) -> None:
    first, second = embed(t5, [["milo", "rimu"], ["pola"]], layers=[0, -1])
    assert (first.shape, second.shape) == ((2, 2, 16), (2, 1, 16))
    assert np.isfinite(first).all()


def test_a_bart_is_refused_in_one_line(tmp_path: Path) -> None:
    import transformers

    words = tiny.tokenizer("roberta")
    config = transformers.BartConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40, pad_token_id=3,
    )  # fmt: skip
    folder = write(tmp_path / "bart", "BartModel", config, words)
    with pytest.raises(InputError, match="a bart with a decoder, expected an encoder, such as a BERT, or one of t5"):
        tiny.model(folder, ["tag-drug"], max_length=32)
